"""What the service itself refuses, besides the errors of the other rooms; and the status of each.

Every error leaves as ``{"detail": ..., "code": "..."}``. A 422 has a list in `detail`, one item for
each fault: ``{"type", "loc", "msg", "input"?}``, as FastAPI writes it.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import msgspec
from starlette.responses import Response

from api_anomaly.errors import (
    AnomalyError,
    ModelIncompatible,
    ModelNotFound,
    ModelNotTrained,
    ModelNotTrusted,
    StorageFailed,
    TooFewLogs,
    TrainingInProgress,
)

#: Seconds after which a client may ask again while a training runs.
RETRY_AFTER = 5


class Unauthorized(AnomalyError):
    """No token, or one that is not valid."""

    code = "unauthorized"


class Forbidden(AnomalyError):
    """A valid token that lacks the scope of the endpoint."""

    code = "forbidden"


class TooManyAttempts(AnomalyError):
    """Too many wrong tokens from one address."""

    code = "too_many_attempts"


class Overloaded(AnomalyError):
    """More to do than can be done soon. Nothing of the request was looked at or remembered."""

    code = "overloaded"


class BodyTooSlow(AnomalyError):
    """A body that came too slowly."""

    code = "body_too_slow"


class BodyTooLarge(AnomalyError):
    """More bytes than the setting allows."""

    code = "body_too_large"


class BatchTooLarge(AnomalyError):
    """More logs than the setting allows."""

    code = "batch_too_large"


class EncodingUnknown(AnomalyError):
    """A Content-Encoding other than gzip."""

    code = "unsupported_encoding"


class EncodingBroken(AnomalyError):
    """A body that says it is gzip and cannot be inflated."""

    code = "broken_encoding"


class IdempotencyKeyReused(AnomalyError):
    """An Idempotency-Key that came with another body before."""

    code = "idempotency_key_reused"


class IdempotencyKeyInvalid(AnomalyError):
    """An Idempotency-Key that is empty or too long."""

    code = "validation_error"


class Invalid(AnomalyError):
    """A body that does not follow the schema: the listed `items` and `more` faults besides."""

    code = "validation_error"

    def __init__(self, items: Sequence[dict[str, Any]], more: int = 0) -> None:
        super().__init__(f"{len(items) + more} faults in the body")
        self.items = items
        self.more = more


class AnomalyUnknown(Invalid):
    """A verdict on an anomaly that was never returned, or so long ago that it is forgotten."""

    code = "anomaly_unknown"


class Rule(NamedTuple):
    """How an error leaves: its status, for a 422 where the fault is, and headers of its own."""

    status: int
    place: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


RULES: dict[type[AnomalyError], Rule] = {
    Unauthorized: Rule(401, headers=(("www-authenticate", "Bearer"),)),
    Forbidden: Rule(403),
    TooManyAttempts: Rule(429, headers=(("retry-after", "60"),)),
    Overloaded: Rule(503, headers=(("retry-after", "1"),)),
    # What is left of the body cannot be told from a next request, so the connection ends.
    BodyTooSlow: Rule(408, headers=(("connection", "close"),)),
    BodyTooLarge: Rule(413),
    BatchTooLarge: Rule(413),
    EncodingUnknown: Rule(415, headers=(("accept-encoding", "gzip"),)),
    EncodingBroken: Rule(400),
    IdempotencyKeyReused: Rule(422, ("header", "Idempotency-Key")),
    IdempotencyKeyInvalid: Rule(422, ("header", "Idempotency-Key")),
    Invalid: Rule(422),
    AnomalyUnknown: Rule(422),
    TooFewLogs: Rule(422, ("body", "logs")),
    ModelNotTrained: Rule(400),
    TrainingInProgress: Rule(409, headers=(("retry-after", str(RETRY_AFTER)),)),
    ModelNotFound: Rule(404),
    ModelNotTrusted: Rule(409),
    ModelIncompatible: Rule(409),
    StorageFailed: Rule(507),
}
_UNEXPECTED = Rule(500)
#: Codes of the framework's own answers.
FRAMEWORK_CODES = {404: "not_found", 405: "method_not_allowed"}


def answer(error: AnomalyError) -> Response:
    """The response to a client for a named error."""
    rule = RULES.get(type(error), _UNEXPECTED)
    fields: dict[str, Any] = {"detail": str(error), "code": error.code}
    if isinstance(error, Invalid):
        fields["detail"] = error.items
        if error.more:
            fields["more"] = error.more
    elif rule.place:
        fields["detail"] = [{"type": error.code, "loc": rule.place, "msg": str(error)}]
    return json_response(fields, rule.status, dict(rule.headers))


def json_response(
    fields: Any, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    """Any JSON-able value as a response."""
    body = msgspec.json.encode(fields)
    return Response(body, status, headers, "application/json")
