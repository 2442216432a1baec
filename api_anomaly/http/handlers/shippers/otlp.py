"""OTLP/HTTP logs: opentelemetry.io/docs/specs/otlp, in protobuf and JSON, answered alike."""

from collections.abc import Sequence
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.errors import AnomalyError
from api_anomaly.http.handlers.shippers.exchange import (
    JSON,
    UNREADABLE,
    Batch,
    admitted_body,
    opened,
    refusal,
    take,
)
from api_anomaly.http.problems import shipper_status
from api_anomaly.http.state import HttpState
from api_anomaly.logs.envelopes import otlp
from api_anomaly.logs.formats.format import Event

_PROTOBUF: Final = "application/x-protobuf"
#: google.rpc.Code by HTTP status.
_INVALID_ARGUMENT: Final = 3
_CODES: Final = {401: 16, 403: 7, 413: 8, 500: 13, 503: 14}


async def otlp_logs(request: Request, state: HttpState) -> Response:
    """Take log records of OpenTelemetry, protobuf or JSON. Those that cannot be read are counted
    in `partial_success`."""
    is_json = _is_json(request)
    async with admitted_body(request, state) as body:
        events = await opened(otlp.read_json if is_json else otlp.read_protobuf, body)
        rejected, reason = await _take(request, state, events, body)
    content = otlp.response(rejected, reason, protobuf=not is_json)
    return Response(content, media_type=JSON if is_json else _PROTOBUF)


async def _take(
    request: Request, state: HttpState, events: Sequence[Event], body: bytes
) -> tuple[int, str]:
    """How many records could not be read, and why."""
    try:
        read = await take(request, state, Batch(events, body))
    except UNREADABLE as error:
        return len(events), str(error)
    if not read.rejected:
        return 0, ""
    first = read.errors[0]
    return read.rejected, f"Record {first.line}: {first.reason}."


def refuse_otlp(request: Request, error: AnomalyError, response: Response) -> Response:
    """An error as a google.rpc.Status in the encoding of the request."""
    is_json = _is_json(request)
    code = _CODES.get(shipper_status(response.status_code), _INVALID_ARGUMENT)
    content = otlp.status(code, str(error), protobuf=not is_json)
    return refusal(response, content, JSON if is_json else _PROTOBUF)


def _is_json(request: Request) -> bool:
    return request.headers.get("content-type", "").startswith(JSON)
