"""Amazon Data Firehose: docs.aws.amazon.com/firehose, "HTTP endpoint delivery request and response
specifications". Whatever is not exactly its answer counts as a failure there."""

import time
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.errors import AnomalyError
from api_anomaly.http.handlers.shippers.exchange import (
    Batch,
    admitted_body,
    json_refusal,
    opened,
    take,
)
from api_anomaly.http.problems import json_response
from api_anomaly.http.state import HttpState
from api_anomaly.logs.envelopes.firehose import common_attributes, read

_MAX_MESSAGE_CHARACTERS: Final = 8_192


async def firehose(request: Request, state: HttpState) -> Response:
    """Take records of Amazon Data Firehose. Its request id makes a retry harmless. The common
    attribute `format` names the format of the records."""
    attributes = common_attributes(request.headers.get("x-amz-firehose-common-attributes"))
    async with admitted_body(request, state) as body:
        max_bytes = state.app.settings.max_body_bytes
        delivery = await opened(partial(read, max_bytes=max_bytes), body)
        key = delivery.request_id.encode()
        # A retry has the same id; the time beside it may be another.
        await take(request, state, Batch(delivery.events, key, key, attributes.get("format")))
    return json_response(_fields(delivery.request_id))


def refuse_firehose(request: Request, error: AnomalyError, response: Response) -> Response:
    """An error as Firehose shows it to its owner."""
    request_id = request.headers.get("x-amz-firehose-request-id", "")
    message = str(error)[:_MAX_MESSAGE_CHARACTERS]
    return json_refusal(response, _fields(request_id) | {"errorMessage": message})


def _fields(request_id: str) -> dict[str, Any]:
    return {"requestId": request_id, "timestamp": int(time.time() * 1e3)}
