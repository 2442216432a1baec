"""Elasticsearch's bulk API: elastic.co/docs/api, "Bulk index or delete documents".

The answer has one item a document, in order, and `errors` before `items`: Fluent Bit reads it in
order, and Vector looks for the text `"errors":true`.
"""

import time
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.errors import AnomalyError
from api_anomaly.http.handlers.shippers.elastic_hello import PRODUCT
from api_anomaly.http.handlers.shippers.exchange import (
    UNREADABLE,
    Batch,
    admitted_body,
    json_refusal,
    opened,
    take,
)
from api_anomaly.http.problems import json_response, shipper_status
from api_anomaly.http.state import HttpState
from api_anomaly.logs.envelopes.elastic_bulk import Bulk, read
from api_anomaly.logs.formats.format import LineError

#: Repeats all documents of a bulk, also those that were taken, when one of them has an error.
_REPEATS_ALL: Final = "Fluent-Bit"
_CREATED: Final = frozenset(("create", "index"))
_ERROR_TYPES: Final = {401: "security_exception", 403: "security_exception"}


async def elastic_bulk(request: Request, state: HttpState) -> Response:
    """Take documents as Elasticsearch does: pairs of lines, an action and a log."""
    started = time.perf_counter()
    async with admitted_body(request, state) as body:
        bulk = await opened(read, body)
        reasons = await _take(request, state, bulk, body)
    if request.headers.get("user-agent", "").startswith(_REPEATS_ALL):
        reasons = {}
    items = [_item(item.action, reasons.get(i)) for i, item in enumerate(bulk.items, 1)]
    took = int((time.perf_counter() - started) * 1e3)
    answer = {"took": took, "errors": bool(reasons), "items": items}
    return json_response(answer, headers=PRODUCT)


async def _take(request: Request, state: HttpState, bulk: Bulk, body: bytes) -> dict[int, str]:
    """Why documents could not be read, by their positions from 1."""
    count = len(bulk.items)
    broken = [LineError(i, item.error) for i, item in enumerate(bulk.items, 1) if item.error]
    try:
        taken = await take(request, state, Batch(bulk.events, body, broken=broken), count)
    except UNREADABLE as error:
        found = {event.position: str(error) for event in bulk.events}
        return found | {line: reason for line, reason in broken}
    return {line: reason for line, reason in taken.errors}


def _item(action: str, reason: str | None) -> dict[str, Any]:
    if reason is None:
        return {action: {"status": 201 if action in _CREATED else 200}}
    # Only a 400 or 404 is not sent again by Logstash and Filebeat.
    error = {"type": "document_parsing_exception", "reason": reason}
    return {action: {"status": 400, "error": error}}


def refuse_elastic(_request: Request, error: AnomalyError, response: Response) -> Response:
    """An error as Elasticsearch writes it."""
    status = shipper_status(response.status_code)
    default = "es_rejected_execution_exception" if status == 503 else "illegal_argument_exception"
    cause = {"type": _ERROR_TYPES.get(status, default), "reason": str(error)}
    fields = {"error": {"root_cause": [cause], **cause}, "status": status}
    refused = json_refusal(response, fields)
    refused.headers.update(PRODUCT)
    return refused
