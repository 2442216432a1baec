"""Scopes: what a token may be used for. Each row of `http/endpoints.py` names one."""

from typing import Final

INGEST: Final = "ingest"
DETECT: Final = "detect"
TRAIN: Final = "train"
FEEDBACK: Final = "feedback"
READ: Final = "read"
ADMIN: Final = "admin"
#: Held by `METRICS_TOKEN` only: such a token is for /metrics and nothing else.
METRICS: Final = "metrics"

#: Scopes that an entry of the token file may name, with what they allow.
SCOPES: Final = {
    INGEST: "send logs to be kept and scored; what shippers need",
    DETECT: "score logs",
    TRAIN: "train and give feedback: whatever changes what is flagged",
    FEEDBACK: "give feedback",
    READ: "read the status, and the metrics where these need a token",
    ADMIN: "everything, also loading a model",
}
#: Scopes that another one includes, by the one that is needed. `admin` includes every scope.
_INCLUDED_IN: Final = {METRICS: READ, FEEDBACK: TRAIN}


def allows(held: frozenset[str], needed: str) -> bool:
    """Whether a token with the scopes `held` may call an endpoint that needs `needed`."""
    return needed in held or ADMIN in held or _INCLUDED_IN.get(needed) in held
