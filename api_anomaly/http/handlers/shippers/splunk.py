"""Splunk's HTTP event collector (HEC): docs.splunk.com, "HTTP Event Collector REST API endpoints".

Acknowledgements of indexers are off, as shippers find out by asking: an answered event is kept.
"""

from typing import Any, Final, NamedTuple

from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.errors import (
    AnomalyError,
    BodyTooLarge,
    EnvelopeInvalid,
    Forbidden,
    Unauthorized,
)
from api_anomaly.http.handlers.shippers.exchange import (
    Batch,
    admitted_body,
    json_refusal,
    opened,
    take,
)
from api_anomaly.http.problems import json_response, shipper_status
from api_anomaly.http.state import HttpState
from api_anomaly.logs.envelopes.splunk_hec import HecBroken, read_events, read_raw
from api_anomaly.logs.formats.format import LineError


class _Answer(NamedTuple):
    """An answer of the collector."""

    status: int
    code: int
    text: str


_SUCCESS: Final = _Answer(200, 0, "Success")
_NO_TOKEN: Final = _Answer(401, 2, "Token is required")
_NO_DATA: Final = _Answer(400, 5, "No data")
_INVALID_DATA: Final = _Answer(400, 6, "Invalid data format")
_INTERNAL: Final = _Answer(500, 8, "Internal server error")
_BUSY: Final = _Answer(503, 9, "Server is busy")
_NO_ACKS: Final = _Answer(400, 14, "ACK is disabled")
_QUERY_TOKEN: Final = _Answer(400, 16, "Query string authorization is not enabled")
_HEALTHY: Final = _Answer(200, 17, "HEC is healthy")
_CODES: Final = {
    answer.code: answer
    for answer in (
        _NO_DATA,
        _INVALID_DATA,
        _Answer(400, 12, "Event field is required"),
        _Answer(400, 13, "Event field cannot be blank"),
    )
}
_ERRORS: Final[dict[type[AnomalyError], _Answer]] = {
    Unauthorized: _Answer(403, 4, "Invalid token"),
    Forbidden: _Answer(403, 4, "Invalid token"),
    BodyTooLarge: _Answer(413, 27, "Request entity too large"),
}


def _answer(answer: _Answer) -> Response:
    return json_response({"text": answer.text, "code": answer.code}, answer.status)


async def splunk_event(request: Request, state: HttpState) -> Response:
    """Take events as Splunk's HTTP event collector does, JSON objects one after the other."""
    async with admitted_body(request, state) as body:
        events, errors = await opened(read_events, body)
        broken = [LineError(error.number + 1, _CODES[error.code].text) for error in errors]
        await take(request, state, Batch(events, body, broken=broken))
    return _answer(_SUCCESS)


async def splunk_raw(request: Request, state: HttpState) -> Response:
    """Take lines as Splunk's HTTP event collector does at its raw endpoint."""
    async with admitted_body(request, state) as body:
        await take(request, state, Batch(await opened(read_raw, body), body))
    return _answer(_SUCCESS)


async def splunk_health(_request: Request, _state: HttpState) -> Response:
    """The health check of senders to Splunk. Needs no token."""
    return _answer(_HEALTHY)


async def splunk_ack(_request: Request, _state: HttpState) -> Response:
    """Answer that acknowledgements are disabled, as Splunk does where they are."""
    return _answer(_NO_ACKS)


def refuse_splunk(request: Request, error: AnomalyError, response: Response) -> Response:
    """An error as the collector writes it."""
    answer = _refused(request, error, shipper_status(response.status_code))
    fields: dict[str, Any] = {"text": answer.text, "code": answer.code}
    if isinstance(error, EnvelopeInvalid) and answer != _NO_DATA:
        fields["invalid-event-number"] = 0
    refused = json_refusal(response, fields)
    refused.status_code = answer.status
    return refused


def _refused(request: Request, error: AnomalyError, status: int) -> _Answer:
    if isinstance(error, Unauthorized) and "authorization" not in request.headers:
        return _QUERY_TOKEN if "token" in request.query_params else _NO_TOKEN
    if isinstance(error.__cause__, HecBroken):
        return _CODES[error.__cause__.code]
    if type(error) in _ERRORS:
        return _ERRORS[type(error)]
    answer = _BUSY if status == 503 else _INTERNAL if status >= 500 else _INVALID_DATA
    return answer._replace(status=status)
