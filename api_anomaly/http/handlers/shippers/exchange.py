"""What the endpoints of shippers share: reading a body, keeping its logs, and refusing.

A shipper repeats a batch only after some answers, and which ones differ. All repeat after a 503, so
whatever may pass is a 503 here: full queues, a slow body, a full disk. What stays wrong however
often it is sent is a 400. Logs that cannot be read beside others that can are no error at all.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Final, NamedTuple, TypeVar

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.errors import EnvelopeInvalid, FormatAmbiguous, FormatUnknown, NothingReadable
from api_anomaly.http.body import BodyLimits, read_body
from api_anomaly.http.handlers.ingest import keep, read_named, read_options
from api_anomaly.http.problems import shipper_status
from api_anomaly.http.state import HttpState
from api_anomaly.logs.envelopes.broken import EnvelopeBroken
from api_anomaly.logs.formats.format import Event, LineError
from api_anomaly.logs.formats.read import MAX_ERRORS, ReadResult, StreamReader
from api_anomaly.runtime.threads import in_thread

JSON: Final = "application/json"
#: Errors of logs of which none can be read.
UNREADABLE: Final = (NothingReadable, FormatUnknown, FormatAmbiguous)
_RETRY: Final = ("retry-after", "5")
#: Events that are read on the event loop: about a millisecond.
_INLINE_EVENTS: Final = 100
#: Bytes of an envelope that is opened on the event loop.
_INLINE_BYTES: Final = 32 * 1024
Envelope = TypeVar("Envelope")


class Batch(NamedTuple):
    """What an envelope held. `body` identifies a retry, together with the shipper's own `key` if it
    has one. `format_name`: the format that the envelope names. `broken`: what is no event."""

    events: Sequence[Event]
    body: bytes
    key: bytes | None = None
    format_name: str | None = None
    broken: Sequence[LineError] = ()


@asynccontextmanager
async def admitted_body(
    request: Request, state: HttpState, left_encoded: bytes = b""
) -> AsyncIterator[bytes]:
    """The decoded body of a request, which counts as open work until the end of the context.

    Raises Overloaded and what `read_body` raises.
    """
    settings = state.app.settings
    with state.admission.ticket() as ticket:
        limits = BodyLimits(settings.max_body_bytes, settings.body_seconds, ticket.hold)
        headers = request.scope["headers"]
        body = await read_body(headers, request.receive, limits, left_encoded)
        ticket.queue(len(body))
        yield body


async def opened(read: Callable[[bytes], Envelope], body: bytes) -> Envelope:
    """The envelope that `read` finds in `body`. Raises EnvelopeInvalid."""
    try:
        return read(body) if len(body) <= _INLINE_BYTES else await in_thread(read, body)
    except EnvelopeBroken as error:
        raise EnvelopeInvalid(f"This is not what the protocol sends: {error}.") from error


async def take(
    request: Request, state: HttpState, batch: Batch, max_errors: int = MAX_ERRORS
) -> ReadResult:
    """Read the events of a batch as logs, keep and score them. What was read, with up to
    `max_errors` errors.

    Raises NothingReadable, FormatUnknown, FormatAmbiguous, BatchTooLarge, StorageFailed.
    """
    reader = StreamReader(read_options(request, state, batch.format_name), max_errors)
    inline = len(batch.events) <= _INLINE_EVENTS
    read = await read_named(lambda: reader.read_events(batch.events), inline)
    read = read._replace(
        rejected=read.rejected + len(batch.broken),
        errors=sorted([*read.errors, *batch.broken])[:max_errors],
    )
    await keep(
        request, state, read._replace(errors=read.errors[:MAX_ERRORS]), batch.body, batch.key
    )
    return read


def refusal(response: Response, content: bytes, media_type: str = JSON) -> Response:
    """An error with the protocol's own body, and the headers of the usual `response`."""
    headers = {
        name: value
        for name, value in response.headers.items()
        if name not in ("content-type", "content-length")
    }
    status = shipper_status(response.status_code)
    if status == 503:
        headers.setdefault(*_RETRY)
    return Response(content, status, headers, media_type)


def json_refusal(response: Response, fields: object) -> Response:
    """`refusal` with a JSON body."""
    return refusal(response, msgspec.json.encode(fields))
