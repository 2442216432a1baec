"""Loki's push API: grafana.com/docs/loki, "Loki HTTP API". There is no partial answer: logs that
cannot be read are counted, and the push succeeds."""

from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.errors import AnomalyError
from api_anomaly.http.handlers.shippers.exchange import (
    JSON,
    Batch,
    admitted_body,
    opened,
    refusal,
    take,
)
from api_anomaly.http.state import HttpState
from api_anomaly.logs.envelopes import loki


async def loki_push(request: Request, state: HttpState) -> Response:
    """Take streams as Loki does, JSON or protobuf. Protobuf is one block of snappy, whether or not
    the header says so."""
    is_json = request.headers.get("content-type", "").startswith(JSON)
    async with admitted_body(request, state, b"" if is_json else b"snappy") as body:
        max_bytes = state.app.settings.max_body_bytes
        protobuf = partial(loki.read_protobuf, max_bytes=max_bytes)
        events = await opened(loki.read_json if is_json else protobuf, body)
        await take(request, state, Batch(events, body))
    return Response(status_code=204)


def refuse_loki(_request: Request, error: AnomalyError, response: Response) -> Response:
    """An error as Loki writes it: a sentence."""
    return refusal(response, str(error).encode(), "text/plain")
