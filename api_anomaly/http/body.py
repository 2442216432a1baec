"""Reading a request body, bounded in bytes (as sent and decompressed) and in seconds."""

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, NamedTuple

from starlette.requests import ClientDisconnect
from starlette.types import Receive

from api_anomaly.errors import BodyTooSlow, EncodingUnknown
from api_anomaly.http.encodings import ENCODINGS, decompress, too_large
from api_anomaly.http.problems import ENCODING_UNKNOWN_MESSAGE
from api_anomaly.runtime.threads import in_thread

#: Compressed bytes up to which a body is decompressed on the event loop instead of in a thread.
_INLINE_BYTES: Final = 4 * 1024
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
    headers: Iterable[tuple[bytes, bytes]],
    receive: Receive,
    limits: BodyLimits,
    left: bytes = b"",
) -> bytes:
    """The request body, decoded as its Content-Encoding says, unless that is `left`.

    Raises BodyTooLarge, BodyTooSlow, EncodingUnknown, EncodingBroken, ClientDisconnect, and what
    `limits.hold` raises.
    """
    length, encoding = b"", b""
    for name, value in headers:
        if name == b"content-length":
            length = value
        elif name == b"content-encoding":
            encoding = value.strip().lower()
    encoding = b"" if encoding in (b"identity", left) else encoding
    if encoding and encoding not in ENCODINGS:
        raise EncodingUnknown(ENCODING_UNKNOWN_MESSAGE)
    if length.isdigit() and int(length) > limits.max_bytes:
        raise too_large(limits.max_bytes)
    body = await _receive_all(receive, limits)
    if not encoding:
        return body
    if len(body) <= _INLINE_BYTES:
        decompressed = decompress(body, encoding, limits.max_bytes)
    else:
        decompressed = await in_thread(decompress, body, encoding, limits.max_bytes)
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
                    raise too_large(limits.max_bytes)
                limits.hold(len(chunk))
                chunks.append(chunk)
                if more:
                    timeout.reschedule(deadline + size / _BYTES_PER_SECOND)
    except TimeoutError:
        raise BodyTooSlow("The body came too slowly.") from None
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)
