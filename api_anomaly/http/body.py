"""Reading a request's body: never more than the limit, sent or inflated."""

import asyncio
import zlib
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive

from api_anomaly.http.begun import Begun
from api_anomaly.errors import BodyTooLarge, BodyTooSlow, EncodingBroken, EncodingUnknown
from api_anomaly.runtime.threads import in_thread

_SLICE: Final = 64 * 1024
#: Compressed bytes that are inflated on the event loop; more of them go to a thread.
_INLINE = 4 * 1024
#: Parts of one gzip body. Real writers make one, blocked ones a few; a million empty ones are an
#: attack.
_MOST_PARTS = 4_096
#: Bytes that buy a body one second more. Slower than the slowest line, faster than an attack
#: which holds a place for nothing.
_SLOWEST = 16 * 1024


class Bounds(NamedTuple):
    """What a body may be: its bytes, as sent and inflated, the seconds it may take besides one for
    each 16 KiB, and whom to tell of bytes that are held."""

    most_bytes: int
    seconds: float
    hold: Callable[[int], None]


async def read_body(
    headers: Iterable[tuple[bytes, bytes]], receive: Receive, bounds: Bounds
) -> bytes:
    """The body, inflated when it came as gzip.

    Raises BodyTooLarge, BodyTooSlow, EncodingUnknown, EncodingBroken, ClientDisconnect, and what
    `bounds.hold` raises.
    """
    most_bytes = bounds.most_bytes
    length, encoding = b"", b""
    for name, value in headers:
        if name == b"content-length":
            length = value
        elif name == b"content-encoding":
            encoding = value.strip().lower()
    if encoding not in (b"", b"identity", b"gzip", b"x-gzip"):
        raise EncodingUnknown("Only gzip is known as Content-Encoding.")
    if length.isdigit() and int(length) > most_bytes:
        raise _too_large(most_bytes)
    body = await _received(receive, bounds)
    if not encoding.endswith(b"gzip"):
        return body
    if len(body) <= _INLINE:
        inflated = inflate(body, most_bytes)
    else:
        inflated = await in_thread(inflate, body, most_bytes)
    bounds.hold(len(inflated))
    return inflated


async def _received(receive: Receive, bounds: Bounds) -> bytes:
    """All parts, each in time: a body that stays away ends as one that trickles."""
    first = Begun(receive())
    if first.waits or first.result.get("more_body", False):
        return await _in_time(first, receive, bounds)
    # It has come whole with its head, as nearly every small one has: no clock has to be set.
    part = _part(first.result)
    if len(part) > bounds.most_bytes:
        raise _too_large(bounds.most_bytes)
    bounds.hold(len(part))
    return part


async def _in_time(first: Begun[Message], receive: Receive, bounds: Bounds) -> bytes:
    parts: list[bytes] = []
    size = 0
    more = True
    try:
        async with asyncio.timeout(bounds.seconds) as limit:
            end = limit.when() or 0.0
            message = await first if first.waits else first.result
            while more:
                part = _part(message)
                size += len(part)
                if size > bounds.most_bytes:
                    raise _too_large(bounds.most_bytes)
                bounds.hold(len(part))
                parts.append(part)
                more = message.get("more_body", False)
                if more:
                    limit.reschedule(end + size / _SLOWEST)
                    message = await receive()
    except TimeoutError:
        raise BodyTooSlow("The body came too slowly.") from None
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _part(message: Message) -> bytes:
    if message["type"] == "http.disconnect":
        raise ClientDisconnect()
    part: bytes = message.get("body", b"")
    return part


def inflate(body: bytes, most_bytes: int) -> bytes:
    """`body` out of gzip (RFC 1952), made a slice at a time so that a bomb stops at the limit."""
    inflated: list[bytes] = []
    remaining = most_bytes
    left = memoryview(body)
    for _ in range(_MOST_PARTS):
        stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        while not stream.eof:
            given = stream.unconsumed_tail or bytes(left[:_SLICE])
            left = left if stream.unconsumed_tail else left[_SLICE:]
            piece = _decompressed(stream, given, min(_SLICE, remaining + 1))
            inflated.append(piece)
            remaining -= len(piece)
            if remaining < 0:
                raise _too_large(most_bytes)
            if not given and not piece:
                raise EncodingBroken("The body ends before its gzip stream does.")
        left = body_after(body, left, stream.unused_data)
        if not left:
            return b"".join(inflated)
    raise EncodingBroken("The body consists of too many gzip parts.")


def body_after(body: bytes, left: memoryview, unused: bytes) -> memoryview:
    """What follows a finished gzip part: the unused end of its last slice, and all that is left."""
    return memoryview(body)[len(body) - len(left) - len(unused) :]


def _decompressed(stream: "zlib._Decompress", data: bytes, most: int) -> bytes:
    try:
        return stream.decompress(data, most)
    except zlib.error as error:
        raise EncodingBroken("The body is not gzip, although its header says so.") from error


def _too_large(most_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"At most {most_bytes} bytes fit into one request, also after inflating.")
