"""The endpoints of the API as one table.

Dispatch, authorization, audit log, the OpenAPI document and docs/api.md come from it:
a new endpoint is a handler and a row. ``python -m api_anomaly.http.endpoints`` prints the tables of
docs/api.md.
"""

import inspect
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.errors import (
    AnomalyError,
    AnomalyUnknown,
    BatchTooLarge,
    BodyTooLarge,
    BodyTooSlow,
    EncodingBroken,
    EncodingUnknown,
    Forbidden,
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    Invalid,
    ModelIncompatible,
    ModelNotFound,
    ModelNotTrained,
    ModelNotTrusted,
    Overloaded,
    StorageFailed,
    TooFewLogs,
    TooManyAttempts,
    TrainingInProgress,
    Unauthorized,
)
from api_anomaly.http import responses
from api_anomaly.http.auth.scopes import ADMIN, DETECT, METRICS, READ, TRAIN
from api_anomaly.feedback.decode import FeedbackBody
from api_anomaly.http.handlers.detect import detect
from api_anomaly.http.handlers.feedback import feedback
from api_anomaly.http.handlers.health import health
from api_anomaly.http.handlers.metrics import metrics
from api_anomaly.http.handlers.models import load_model
from api_anomaly.http.handlers.status import status
from api_anomaly.http.handlers.train import train
from api_anomaly.http.problems import PROBLEMS, PROTOCOL_PROBLEMS, example_of
from api_anomaly.http.state import HttpState
from api_anomaly.logs.schema import DetectBody, HistoryTrainBody, Log, TrainBody

Errors = tuple[type[AnomalyError], ...]
_AUTH: Final[Errors] = (Unauthorized, Forbidden, TooManyAttempts)
_BODY: Final[Errors] = (
    *(BodyTooSlow, BodyTooLarge, BatchTooLarge, EncodingUnknown, EncodingBroken, Invalid),
)
_IDEMPOTENCY: Final[Errors] = (IdempotencyKeyInvalid, IdempotencyKeyReused)


class Endpoint(NamedTuple):
    """One endpoint.

    `scope`: what the token must allow; None: no token. `response` and `request` are the types of
    the bodies (`str`: plain text). `errors`: those besides the ones that `request`, `scope` and
    `idempotent` imply. `always_served`: not refused under overload. `next`: endpoints that clients
    usually call afterwards.
    """

    method: str
    path: str
    handler: Callable[[Request, HttpState], Awaitable[Response]]
    scope: str | None
    response: Any
    request: Any = None
    errors: Errors = ()
    example: Any = None
    audited: bool = False
    idempotent: bool = False
    always_served: bool = False
    next: tuple[str, ...] = ()

    @property
    def id(self) -> str:
        """The operation's id in the OpenAPI document."""
        return self.path.strip("/")

    @property
    def description(self) -> str:
        """The handler's docstring."""
        return inspect.cleandoc(self.handler.__doc__ or "")

    @property
    def all_errors(self) -> Errors:
        """Every named error that a client may get."""
        return (
            *self.errors,
            *(_AUTH if self.scope is not None else ()),
            *(_BODY if self.request is not None else ()),
            *(_IDEMPOTENCY if self.idempotent else ()),
            *(() if self.always_served else (Overloaded,)),
        )


_LOG: Final[dict[str, Any]] = {
    "timestamp": "2025-06-06T08:43:09Z",
    "user_id": "usr_489562",
    "endpoint": "/api/v1/users/18834",
    "method": "GET",
    "status_code": 404,
    "response_time": 0.031,
    "ip_address": "203.0.113.9",
    "user_agent": "python-requests/2.31",
    "response_size": 120,
}

ENDPOINTS: Final = (
    Endpoint("GET", "/health", health, None, responses.HealthResponse, always_served=True),
    Endpoint("GET", "/metrics", metrics, METRICS, str),
    Endpoint(
        "POST",
        "/train",
        train,
        TRAIN,
        responses.TrainResponse,
        TrainBody[list[Log]] | HistoryTrainBody,
        errors=(TrainingInProgress, TooFewLogs, StorageFailed),
        example={
            "logs": [_LOG | {"timestamp": 1_749_199_389 + 7 * number} for number in range(10)],
            "test_size": 0.2,
        },
        audited=True,
        next=("detect", "status", "load-model"),
    ),
    Endpoint(
        "POST",
        "/detect",
        detect,
        DETECT,
        responses.DetectResponse,
        DetectBody[list[Log]],
        errors=(ModelNotTrained,),
        example={"logs": [_LOG], "include_scores": True},
        idempotent=True,
        next=("detect", "status", "metrics"),
    ),
    Endpoint(
        "POST",
        "/feedback",
        feedback,
        TRAIN,
        responses.FeedbackResponse,
        FeedbackBody,
        errors=(ModelNotTrained, AnomalyUnknown, StorageFailed),
        example={
            "items": [
                {"anomaly_id": "5f0c1d2e3a4b596877869504", "verdict": "false_positive"},
                {"log": _LOG, "verdict": "true_positive"},
            ]
        },
        audited=True,
        idempotent=True,
    ),
    Endpoint("GET", "/status", status, READ, responses.StatusResponse),
    Endpoint(
        "POST",
        "/load-model",
        load_model,
        ADMIN,
        responses.LoadResponse,
        errors=(ModelNotFound, ModelNotTrusted, ModelIncompatible),
        audited=True,
        next=("detect", "status"),
    ),
)


def markdown_table(endpoints: Sequence[Endpoint] = ENDPOINTS) -> str:
    """The endpoints as a Markdown table."""
    lines = ["| Endpoint | Scope | What it does | Errors of its own |", "|---|---|---|---|"]
    for endpoint in endpoints:
        summary = " ".join(endpoint.description.partition(".")[0].split())
        errors = ", ".join(f"{PROBLEMS[error].status} `{error.code}`" for error in endpoint.errors)
        scope = f"`{endpoint.scope}`" if endpoint.scope else "none"
        lines.append(
            f"| `{endpoint.method} {endpoint.path}` | {scope} | {summary}. | {errors or '–'} |"
        )
    return "\n".join(lines)


def errors_markdown_table() -> str:
    """The errors as a Markdown table, by status."""
    bodies = [(problem.status, example_of(error)) for error, problem in PROBLEMS.items()]
    details: dict[tuple[int, str], str] = {}
    for code, body in [*bodies, *PROTOCOL_PROBLEMS.items()]:
        detail = body["detail"] if isinstance(body["detail"], str) else body["detail"][0]["msg"]
        details.setdefault((code, body["code"]), detail)
    lines = ["| Status | Code | Example of the detail |", "|---|---|---|"]
    lines += [f"| {code} | `{name}` | `{details[code, name]}` |" for code, name in sorted(details)]
    return "\n".join(lines)


if __name__ == "__main__":
    print(markdown_table(), errors_markdown_table(), sep="\n\n")
