"""Content-Encodings: each is decoded up to a limit, whatever its headers promise.

gzip, deflate and zstd are decoded piece by piece. snappy and lz4 are decoded into a buffer of at
most the limit; both are formats that grow by a known factor, so a short body gets a short buffer.
"""

import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import cramjam
import numpy as np
import zstandard

from api_anomaly.errors import BodyTooLarge, EncodingBroken

_CHUNK_BYTES: Final = 64 * 1024
#: Members of one gzip body (RFC 1952). Writers make one, block writers a few; a body of a million
#: empty members is an attack.
_MAX_GZIP_MEMBERS: Final = 4_096
#: RFC 9659: what a sender of `Content-Encoding: zstd` may expect the receiver to have.
_ZSTD_WINDOW_BYTES: Final = 8 * 1024 * 1024
#: Blocks of one zstd body. A writer that ends a block after each line stays below this.
_MAX_ZSTD_BLOCKS: Final = 1_000_000
#: Longest header of a zstd frame, and the magic number of frames without data.
_ZSTD_HEADER_BYTES: Final = 18
_ZSTD_SKIPPABLE: Final = 0x184D2A50
_ZSTD_RLE: Final = 1
#: How many times longer than its input the output can be at most.
_SNAPPY_GROWTH: Final = 64
_LZ4_GROWTH: Final = 256
#: The first chunk of framed snappy; no block begins like this in practice.
_SNAPPY_FRAMED: Final = b"\xff\x06\x00\x00sNaPpY"


def _gzip(body: bytes, max_bytes: int) -> bytes:
    return _inflate(body, max_bytes, zlib.MAX_WBITS | 16, _MAX_GZIP_MEMBERS)


def _deflate(body: bytes, max_bytes: int) -> bytes:
    """zlib (RFC 1950), as HTTP means it, or the bare deflate stream that some send instead."""
    zlib_header = len(body) > 1 and body[0] & 15 == 8 and int.from_bytes(body[:2]) % 31 == 0
    return _inflate(body, max_bytes, zlib.MAX_WBITS if zlib_header else -zlib.MAX_WBITS, 1)


def _inflate(body: bytes, max_bytes: int, wbits: int, max_members: int) -> bytes:
    """Decompress 64 KiB at a time so that it stops at `max_bytes`."""
    chunks: list[bytes] = []
    remaining = max_bytes
    unread = memoryview(body)
    for _ in range(max_members):
        stream = zlib.decompressobj(wbits=wbits)
        while not stream.eof:
            data = stream.unconsumed_tail or bytes(unread[:_CHUNK_BYTES])
            unread = unread if stream.unconsumed_tail else unread[_CHUNK_BYTES:]
            chunk = stream.decompress(data, min(_CHUNK_BYTES, remaining + 1))
            chunks.append(chunk)
            remaining -= len(chunk)
            if remaining < 0:
                raise too_large(max_bytes)
            if not data and not chunk:
                raise EncodingBroken("The body ends before its compressed stream does.")
        # The next member begins in the unused end of the last chunk.
        unread = memoryview(body)[len(body) - len(unread) - len(stream.unused_data) :]
        if not unread:
            return b"".join(chunks)
    raise EncodingBroken("The body consists of too many compressed parts.")


def _zstd(body: bytes, max_bytes: int) -> bytes:
    if not _zstd_is_whole(body):
        raise EncodingBroken("The body ends before its compressed stream does.")
    decompressor = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES)
    chunks: list[bytes] = []
    remaining = max_bytes
    with decompressor.stream_reader(body, read_across_frames=True) as reader:
        while chunk := reader.read(_CHUNK_BYTES):
            chunks.append(chunk)
            remaining -= len(chunk)
            if remaining < 0:
                raise too_large(max_bytes)
    return b"".join(chunks)


def _zstd_is_whole(body: bytes) -> bool:
    """Whether `body` ends where its last frame does: the library does not tell."""
    at, blocks = 0, 0
    while at < len(body):
        if int.from_bytes(body[at : at + 4], "little") & ~15 == _ZSTD_SKIPPABLE:
            at += 8 + int.from_bytes(body[at + 4 : at + 8], "little")
            blocks += 1
            continue
        header = body[at : at + _ZSTD_HEADER_BYTES]
        checksum = zstandard.get_frame_parameters(header).has_checksum
        at += zstandard.frame_header_size(header)
        last = False
        while not last:
            block = int.from_bytes(body[at : at + 3], "little")
            last = bool(block & 1)
            at += 3 + (1 if block >> 1 & 3 == _ZSTD_RLE else block >> 3)
            blocks += 1
            if at > len(body) or blocks > _MAX_ZSTD_BLOCKS:
                return False
        at += 4 if checksum else 0
    return at == len(body) > 0


def _snappy(body: bytes, max_bytes: int) -> bytes:
    """One block, as shippers mean it, or the framed format, which names itself."""
    if body.startswith(_SNAPPY_FRAMED):
        return _decode_into(cramjam.snappy.decompress_into, _SNAPPY_GROWTH, body, max_bytes)
    size = cramjam.snappy.decompress_raw_len(body)
    if size > max_bytes:
        raise too_large(max_bytes)
    if size > _SNAPPY_GROWTH * len(body):
        raise EncodingBroken("The body is not snappy, although its header says so.")
    return _filled(cramjam.snappy.decompress_raw_into, body, size)


def _decode_into(decompress: Any, growth: int, body: bytes, max_bytes: int) -> bytes:
    try:
        return _filled(decompress, body, min(max_bytes, growth * len(body)))
    except cramjam.DecompressionError as error:
        if "write whole buffer" in str(error):
            raise too_large(max_bytes) from error
        raise


def _filled(decompress: Any, body: bytes, size: int) -> bytes:
    """What `decompress` writes into a buffer of `size` bytes, which costs only what is written."""
    buffer = np.empty(size, np.uint8)
    return buffer[: decompress(body, buffer)].tobytes()


_DECODERS: Final[dict[bytes, Callable[[bytes, int], bytes]]] = {
    b"gzip": _gzip,
    b"x-gzip": _gzip,
    b"deflate": _deflate,
    b"zlib": _deflate,
    b"zstd": _zstd,
    b"snappy": _snappy,
    b"x-snappy-framed": _snappy,
    b"lz4": partial(_decode_into, cramjam.lz4.decompress_into, _LZ4_GROWTH),
}
#: Names of the encodings, as in the header.
ENCODINGS: Final = frozenset(_DECODERS)


def decompress(body: bytes, encoding: bytes, max_bytes: int) -> bytes:
    """The decoded body, of at most `max_bytes`. `encoding` is one of `ENCODINGS`.

    Raises BodyTooLarge and EncodingBroken.
    """
    try:
        return _DECODERS[encoding](body, max_bytes)
    except (zlib.error, zstandard.ZstdError, cramjam.DecompressionError) as error:
        name = encoding.decode()
        message = f"The body is not {name}, although its header says so."
        raise EncodingBroken(message) from error


def too_large(max_bytes: int) -> BodyTooLarge:
    """The error for a body of more than `max_bytes`."""
    return BodyTooLarge(f"At most {max_bytes} bytes fit into one request, also after inflating.")
