"""How errors are answered: one table gives each error its status, field and headers.

Every error body is ``{"detail": ..., "code": "..."}``. The `detail` of a 422 is a list with one
item for each fault, ``{"type", "loc", "msg", "input"?}``, as FastAPI writes it.
"""

from typing import Any, NamedTuple

import msgspec
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

#: Seconds after which a client may retry while a training runs.
TRAINING_RETRY_SECONDS = 5
OVERLOADED_MESSAGE = "Overloaded: the request was not processed. Retry after 1 s."


class Problem(NamedTuple):
    """How an error is answered: the status, headers, and for a 422 the location of the fault."""

    status: int
    location: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


_IDEMPOTENCY_KEY = ("header", "Idempotency-Key")
PROBLEMS: dict[type[AnomalyError], Problem] = {
    Unauthorized: Problem(401, headers=(("www-authenticate", "Bearer"),)),
    Forbidden: Problem(403),
    TooManyAttempts: Problem(429, headers=(("retry-after", "60"),)),
    Overloaded: Problem(503, headers=(("retry-after", "1"),)),
    # The rest of the body cannot be told from a next request, so the connection is closed.
    BodyTooSlow: Problem(408, headers=(("connection", "close"),)),
    BodyTooLarge: Problem(413),
    BatchTooLarge: Problem(413),
    EncodingUnknown: Problem(415, headers=(("accept-encoding", "gzip"),)),
    EncodingBroken: Problem(400),
    IdempotencyKeyReused: Problem(422, _IDEMPOTENCY_KEY),
    IdempotencyKeyInvalid: Problem(422, _IDEMPOTENCY_KEY),
    Invalid: Problem(422),
    AnomalyUnknown: Problem(422),
    TooFewLogs: Problem(422, ("body", "logs")),
    ModelNotTrained: Problem(400),
    TrainingInProgress: Problem(409, headers=(("retry-after", str(TRAINING_RETRY_SECONDS)),)),
    ModelNotFound: Problem(404),
    ModelNotTrusted: Problem(409),
    ModelIncompatible: Problem(409),
    StorageFailed: Problem(507),
}
_UNEXPECTED = Problem(500)
#: Codes of the errors that the framework answers itself.
FRAMEWORK_CODES = {404: "not_found", 405: "method_not_allowed"}


def problem_response(error: AnomalyError) -> Response:
    """The response for a named error."""
    problem = PROBLEMS.get(type(error), _UNEXPECTED)
    fields: dict[str, Any] = {"detail": str(error), "code": error.code}
    if isinstance(error, Invalid):
        fields["detail"] = error.items
        if error.more:
            fields["more"] = error.more
    elif problem.location:
        fields["detail"] = [{"type": error.code, "loc": problem.location, "msg": str(error)}]
    return json_response(fields, problem.status, dict(problem.headers))


def json_response(
    fields: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """A response with `fields` encoded as JSON."""
    body = msgspec.json.encode(fields)
    return Response(body, status, headers, "application/json")
