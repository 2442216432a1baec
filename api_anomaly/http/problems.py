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
    EnvelopeInvalid,
    Forbidden,
    FormatAmbiguous,
    FormatUnknown,
    IdempotencyKeyInvalid,
    IdempotencyKeyReused,
    Invalid,
    ModelIncompatible,
    ModelNotFound,
    ModelNotTrained,
    ModelNotTrusted,
    NothingReadable,
    Overloaded,
    StorageFailed,
    TooFewLogs,
    TooManyAttempts,
    TrainingInProgress,
    Unauthorized,
)

#: Seconds after which a client may retry while a training runs.
TRAINING_RETRY_SECONDS = 5
#: What clients may choose from, as the `Accept-Encoding` of a 415 names it.
ACCEPTED_ENCODINGS = "gzip, zstd, deflate, snappy, lz4"
ENCODING_UNKNOWN_MESSAGE = f"A Content-Encoding is one of {ACCEPTED_ENCODINGS}."
OVERLOADED_MESSAGE = "Overloaded: the request was not processed. Retry after 1 s."


#: Statuses that mean "later", but make some log shippers throw their batch away.
_LATER = frozenset((408, 429, 507))


def shipper_status(status: int) -> int:
    """The status of an error for a log shipper. All repeat after a 503, and only that."""
    return 503 if status in _LATER else 400 if status == 422 else status


class Problem(NamedTuple):
    """How an error is answered: the status, an example of the `detail`, headers, and for a 422
    the location of the fault."""

    status: int
    example: str
    location: tuple[str, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()


_KEY = ("header", "Idempotency-Key")
_TRAINING_RETRY = (("retry-after", str(TRAINING_RETRY_SECONDS)),)
PROBLEMS: dict[type[AnomalyError], Problem] = {
    Unauthorized: Problem(
        401,
        "A valid bearer token is needed: Authorization: Bearer <token>.",
        headers=(("www-authenticate", "Bearer"),),
    ),
    Forbidden: Problem(403, "This token is not for that: it lacks the scope 'train'."),
    TooManyAttempts: Problem(
        429,
        "Too many wrong tokens came from this address. Wait a minute.",
        headers=(("retry-after", "60"),),
    ),
    Overloaded: Problem(503, OVERLOADED_MESSAGE, headers=(("retry-after", "1"),)),
    # The rest of the body cannot be told from a next request, so the connection is closed.
    BodyTooSlow: Problem(408, "The body came too slowly.", headers=(("connection", "close"),)),
    BodyTooLarge: Problem(413, "At most 67108864 bytes fit into one request."),
    BatchTooLarge: Problem(413, "At most 100000 logs fit into one request."),
    EncodingUnknown: Problem(
        415, ENCODING_UNKNOWN_MESSAGE, headers=(("accept-encoding", ACCEPTED_ENCODINGS),)
    ),
    EncodingBroken: Problem(400, "The body is not gzip, although its header says so."),
    Invalid: Problem(422, "Input should be a valid integer"),
    IdempotencyKeyReused: Problem(
        422, "This Idempotency-Key came with another body before.", location=_KEY
    ),
    IdempotencyKeyInvalid: Problem(422, "A key has 1 to 255 characters.", location=_KEY),
    AnomalyUnknown: Problem(422, "No such anomaly is remembered. Send its log instead."),
    NothingReadable: Problem(
        422, "None of 3 lines could be read. Line 1: not a known format.", location=("body",)
    ),
    FormatUnknown: Problem(
        422, "There is no format 'x'. GET /formats lists them.", location=("query", "format")
    ),
    FormatAmbiguous: Problem(
        422, "Two formats fit: caddy and kong. Name one.", location=("query", "format")
    ),
    EnvelopeInvalid: Problem(400, "This is not what the protocol sends: no action line."),
    TooFewLogs: Problem(422, "Training needs at least 10 logs.", location=("body", "logs")),
    ModelNotTrained: Problem(400, "Model not trained. Call POST /train first."),
    TrainingInProgress: Problem(
        409, "A training is running. Ask again when it has ended.", headers=_TRAINING_RETRY
    ),
    ModelNotFound: Problem(404, "There is no model on disk. Call POST /train first."),
    ModelNotTrusted: Problem(409, "The signature of the model on disk does not verify."),
    ModelIncompatible: Problem(409, "The model on disk is of another release. Train again."),
    StorageFailed: Problem(507, "The model could not be stored: the disk is full."),
}
_UNEXPECTED = Problem(500, "")
#: Codes of the errors that the framework answers itself.
FRAMEWORK_CODES = {404: "not_found", 405: "method_not_allowed"}
#: Bodies of the errors that any request may get from the protocol or the middleware, by status.
PROTOCOL_PROBLEMS: dict[int, dict[str, Any]] = {
    400: {"detail": "This is not HTTP.", "code": "malformed_request"},
    431: {"detail": "The request's line and headers are too large.", "code": "headers_too_large"},
    500: {
        "detail": "An unexpected error happened. It is in the journal.",
        "code": "internal_error",
    },
    503: {"detail": OVERLOADED_MESSAGE, "code": Overloaded.code},
}


def example_of(error: type[AnomalyError]) -> dict[str, Any]:
    """An example body for the OpenAPI document."""
    problem = PROBLEMS[error]
    if problem.status != 422:
        return {"detail": problem.example, "code": error.code}
    location = problem.location or ("body", "logs", 7, "status_code")
    kind = "int_type" if error is Invalid else error.code
    return {"detail": [{"type": kind, "loc": location, "msg": problem.example}], "code": error.code}


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
