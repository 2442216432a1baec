"""POST /ingest and GET /formats."""

from collections.abc import Callable
from ipaddress import ip_network
from zoneinfo import ZoneInfo

from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.errors import (
    AnomalyError,
    BatchTooLarge,
    FormatAmbiguous,
    FormatUnknown,
    StorageFailed,
)
from api_anomaly.http.body import BodyLimits, read_body
from api_anomaly.http.handlers.batch import idempotency_key
from api_anomaly.http.problems import json_response
from api_anomaly.http.state import HttpState
from api_anomaly.logs.formats import format as formats
from api_anomaly.logs.formats.format import ReadOptions
from api_anomaly.logs.formats.read import ReadResult, read_body as read_logs
from api_anomaly.logs.formats.registry import FORMATS
from api_anomaly.runtime.idempotency import retry_of
from api_anomaly.runtime.ingestion import IngestOptions
from api_anomaly.runtime.threads import in_thread

#: Bodies up to this size are read on the event loop: about a millisecond.
_INLINE_BYTES = 32 * 1024
#: Lines that a body may have for each log that it may have: comments, blank ones, lines of others.
_LINES_A_LOG = 2


async def ingest(request: Request, state: HttpState) -> Response:
    """Take in access logs in any known format, keep them and score them. `format` names the format
    (auto: it is recognized), `log_format` is a server's own directive, `anomalies=true` lists the
    anomalies. A line that cannot be read costs no other. When the response comes, the logs are on
    disk. The same body again within `IDEMPOTENCY_SECONDS` is a retry."""
    settings = state.app.settings
    with state.admission.ticket() as ticket:
        limits = BodyLimits(settings.max_body_bytes, settings.body_seconds, ticket.hold)
        body = await read_body(request.scope["headers"], request.receive, limits)
        ticket.queue(len(body))
        options = read_options(request, state)
        read = await read_named(lambda: read_logs(body, options), len(body) <= _INLINE_BYTES)
        content = await keep(request, state, read, body)
    return Response(content, media_type="application/json")


async def list_formats(_request: Request, _state: HttpState) -> Response:
    """The log formats that can be named, with an example of each."""
    rows = [
        {"name": row.name, "title": row.title, "example": row.example} for row in FORMATS.values()
    ]
    return json_response({"formats": rows})


def refuse_ingest(_request: Request, error: AnomalyError, response: Response) -> Response:
    """A full disk is a 503, the one status after which every shipper sends the batch again."""
    if isinstance(error, StorageFailed):
        response.status_code = 503
        response.headers["retry-after"] = "10"
    return response


def read_options(request: Request, state: HttpState, format_name: str | None = None) -> ReadOptions:
    """How to read the logs of a request: its query parameters and the settings. `format_name`: a
    format that the request names elsewhere."""
    settings, query = state.app.settings, request.query_params
    return ReadOptions(
        format_name or query.get("format", "auto"),
        query.get("log_format"),
        tuple(ip_network(network) for network in settings.log_trusted_proxies),
        ZoneInfo(settings.log_time_zone),
        state.app.named_formats,
        _LINES_A_LOG * settings.max_batch_logs,
    )


async def read_named(read: Callable[[], ReadResult], inline: bool) -> ReadResult:
    """What `read` returns, from a thread unless `inline`. Raises FormatUnknown,
    FormatAmbiguous and BatchTooLarge."""
    try:
        return read() if inline else await in_thread(read)
    except formats.FormatUnknown as error:
        raise FormatUnknown(f"{error}.") from error
    except formats.TooManyLines as error:
        raise BatchTooLarge(f"{error}.") from error
    except formats.FormatAmbiguous as error:
        raise FormatAmbiguous(f"{error}.") from error


async def keep(
    request: Request, state: HttpState, read: ReadResult, body: bytes, key: bytes | None = None
) -> bytes:
    """Keep and score what was read; the response of POST /ingest. `key`: the shipper's own id of
    the batch. Without one, and without an Idempotency-Key, a retry is known by its body.

    Raises NothingReadable, BatchTooLarge, StorageFailed, IdempotencyKeyInvalid and
    IdempotencyKeyReused.
    """
    key = key or idempotency_key(request.scope["headers"])
    owner = request.scope["state"]["caller"].owner
    place = request.url.path.encode() + b"?" + request.url.query.encode() + b"\0"
    retry = await retry_of(owner, place + (key or b""), body)
    if key is None:
        retry = (await retry_of(owner, place + retry.digest, body))._replace(automatic=True)
    anomalies = request.query_params.get("anomalies") == "true"
    return await state.app.ingestion.ingest(read, IngestOptions(retry, anomalies, owner))
