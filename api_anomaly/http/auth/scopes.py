"""What a token may be used for, and which endpoint needs what: one table.

`admin` holds every scope. An endpoint that is not in the table needs `admin`, so a new one is shut
until somebody decides who may use it.
"""

from typing import Final

DETECT: Final = "detect"
TRAIN: Final = "train"
READ: Final = "read"
ADMIN: Final = "admin"
#: Only for `METRICS_TOKEN`: such a token opens /metrics and nothing else.
METRICS: Final = "metrics"

#: Scopes that an entry of the token file may name, with what they open.
SCOPES: Final = {
    DETECT: "POST /detect",
    TRAIN: "POST /train and POST /feedback: whatever changes what is flagged",
    READ: "GET /status, and GET /metrics where that needs a token",
    ADMIN: "everything, POST /load-model too",
}

#: By route template.
NEEDED: Final = {
    "/detect": DETECT,
    "/train": TRAIN,
    "/feedback": TRAIN,
    "/status": READ,
    "/metrics": METRICS,
    "/load-model": ADMIN,
}

#: Route templates whose every call leaves an audit entry in the journal.
AUDITED: Final = frozenset(("/train", "/feedback", "/load-model"))


def needed(template: str) -> str:
    """The scope that the endpoint at `template` needs."""
    return NEEDED.get(template, ADMIN)


def allows(held: frozenset[str], wanted: str) -> bool:
    """Whether the scopes `held` open what needs `wanted`; whoever may read may read metrics."""
    return wanted in held or ADMIN in held or (wanted == METRICS and READ in held)
