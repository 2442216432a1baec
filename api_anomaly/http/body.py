"""Reading a request body, bounded in bytes (as sent and decompressed) and in seconds."""

import asyncio
import zlib
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from api_anomaly.errors import BodyTooLarge, BodyTooSlow, EncodingBroken, EncodingUnknown
from api_anomaly.runtime.threads import in_thread

_CHUNK_BYTES: Final = 64 * 1024
#: Compressed bytes up to which a body is decompressed on the event loop instead of in a thread.
_INLINE_BYTES: Final = 4 * 1024
#: Members of one gzip body (RFC 1952). Writers make one, block writers a few; a body of a million
#: empty members is an attack.
_MAX_GZIP_MEMBERS: Final = 4_096
#: Bytes that extend a body's time limit by one second: slower than the slowest real network,
#: faster than an attack that only keeps a connection busy.
_BYTES_PER_SECOND: Final = 16 * 1024


class BodyLimits(NamedTuple):
    """`max_bytes` as sent and decompressed; `seconds` in which it must arrive, besides one for
    each 16 KiB; `hold` is called with the number of bytes that were added in memory."""

    max_bytes: int
    seconds: float
    hold: Callable[[int], None]


async def read_body(
    headers: Iterable[tuple[bytes, bytes]], receive: Receive, limits: BodyLimits
) -> bytes:
    """The request body, decompressed if it is gzip.

    Raises BodyTooLarge, BodyTooSlow, EncodingUnknown, EncodingBroken, ClientDisconnect, and what
    `limits.hold` raises.
    """
    length, encoding = b"", b""
    for name, value in headers:
        if name == b"content-length":
            length = value
        elif name == b"content-encoding":
            encoding = value.strip().lower()
    if encoding not in (b"", b"identity", b"gzip", b"x-gzip"):
        raise EncodingUnknown("Only gzip is known as Content-Encoding.")
    if length.isdigit() and int(length) > limits.max_bytes:
        raise _too_large(limits.max_bytes)
    body = await _receive_all(receive, limits)
    if not encoding.endswith(b"gzip"):
        return body
    if len(body) <= _INLINE_BYTES:
        decompressed = decompress(body, limits.max_bytes)
    else:
        decompressed = await in_thread(decompress, body, limits.max_bytes)
    limits.hold(len(decompressed))
    return decompressed


async def _receive_all(receive: Receive, limits: BodyLimits) -> bytes:
    chunks: list[bytes] = []
    size = 0
    more = True
    try:
        async with asyncio.timeout(limits.seconds) as timeout:
            deadline = timeout.when() or 0.0
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise ClientDisconnect()
                chunk: bytes = message.get("body", b"")
                more = message.get("more_body", False)
                size += len(chunk)
                if size > limits.max_bytes:
                    raise _too_large(limits.max_bytes)
                limits.hold(len(chunk))
                chunks.append(chunk)
                if more:
                    timeout.reschedule(deadline + size / _BYTES_PER_SECOND)
    except TimeoutError:
        raise BodyTooSlow("The body came too slowly.") from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def decompress(body: bytes, max_bytes: int) -> bytes:
    """Decompress gzip (RFC 1952), 64 KiB at a time so that it stops at `max_bytes`.

    Raises BodyTooLarge and EncodingBroken.
    """
    chunks: list[bytes] = []
    remaining = max_bytes
    unread = memoryview(body)
    for _ in range(_MAX_GZIP_MEMBERS):
        stream = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
        while not stream.eof:
            data = stream.unconsumed_tail or bytes(unread[:_CHUNK_BYTES])
            unread = unread if stream.unconsumed_tail else unread[_CHUNK_BYTES:]
            chunk = _decompress_chunk(stream, data, min(_CHUNK_BYTES, remaining + 1))
            chunks.append(chunk)
            remaining -= len(chunk)
            if remaining < 0:
                raise _too_large(max_bytes)
            if not data and not chunk:
                raise EncodingBroken("The body ends before its gzip stream does.")
        # The next member begins in the unused end of the last chunk.
        unread = memoryview(body)[len(body) - len(unread) - len(stream.unused_data) :]
        if not unread:
            return b"".join(chunks)
    raise EncodingBroken("The body consists of too many gzip parts.")


def _decompress_chunk(stream: "zlib._Decompress", data: bytes, max_bytes: int) -> bytes:
    try:
        return stream.decompress(data, max_bytes)
    except zlib.error as error:
        raise EncodingBroken("The body is not gzip, although its header says so.") from error


def _too_large(max_bytes: int) -> BodyTooLarge:
    return BodyTooLarge(f"At most {max_bytes} bytes fit into one request, also after inflating.")
