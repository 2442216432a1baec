"""Scopes: what a token may be used for. Each row of `http/endpoints.py` names one."""

from typing import Final

DETECT: Final = "detect"
TRAIN: Final = "train"
READ: Final = "read"
ADMIN: Final = "admin"
#: Held by `METRICS_TOKEN` only: such a token is for /metrics and nothing else.
METRICS: Final = "metrics"

#: Scopes that an entry of the token file may name, with what they allow.
SCOPES: Final = {
    DETECT: "score logs",
    TRAIN: "train and give feedback: whatever changes what is flagged",
    READ: "read the status, and the metrics where these need a token",
    ADMIN: "everything, also loading a model",
}


def allows(held: frozenset[str], needed: str) -> bool:
    """Whether a token with the scopes `held` may call an endpoint that needs `needed`.

    `admin` includes every scope; `read` includes `metrics`.
    """
    return needed in held or ADMIN in held or (needed == METRICS and READ in held)
