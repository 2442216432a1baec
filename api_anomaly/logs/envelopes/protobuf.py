"""Reading and writing the protobuf wire format: only what OTLP and Loki need.

Source: protobuf.dev/programming-guides/encoding. Own, because the official package builds an object
for each of the many small messages of a log record.
"""

from collections.abc import Iterator
from typing import Final

from api_anomaly.logs.envelopes.broken import EnvelopeBroken

#: Wire types, the low three bits of a tag.
VARINT: Final = 0
FIXED64: Final = 1
BYTES: Final = 2
FIXED32: Final = 5
MAX_FIELD: Final = (1 << 29) - 1
_FIXED_BYTES: Final = {FIXED64: 8, FIXED32: 4}
_SIGN: Final = 1 << 63


def fields(data: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(tag, value) of each field of a message: bytes for what has a length, else an unsigned
    number. A tag is the field's number times 8 plus its wire type. Raises EnvelopeBroken."""
    position, end = 0, len(data)
    while position < end:
        tag = data[position]
        position += 1
        if tag > 127:
            tag, position = varint(data, position - 1)
        if not 8 <= tag <= MAX_FIELD * 8 + 7:
            raise EnvelopeBroken("protobuf: not a field number")
        wire = tag & 7
        if wire == BYTES:
            length = data[position] if position < end else 128
            position += 1
            if length > 127:
                length, position = varint(data, position - 1)
            start, position = position, position + length
            if position > end:
                raise EnvelopeBroken("protobuf: a field ends after its message")
            yield tag, data[start:position]
        elif wire == VARINT:
            value, position = varint(data, position)
            yield tag, value
        elif wire in _FIXED_BYTES:
            start, position = position, position + _FIXED_BYTES[wire]
            if position > end:
                raise EnvelopeBroken("protobuf: a field ends after its message")
            yield tag, int.from_bytes(data[start:position], "little")
        else:
            raise EnvelopeBroken("protobuf: not a wire type")


def varint(data: bytes, position: int) -> tuple[int, int]:
    """The unsigned number of 64 bits at `position`, and the position behind it."""
    try:
        byte = data[position]
        if byte < 128:
            return byte, position + 1
        value, shift = byte & 127, 7
        while shift < 70:
            position += 1
            byte = data[position]
            value |= (byte & 127) << shift
            if byte < 128:
                return value & 0xFFFF_FFFF_FFFF_FFFF, position + 1
            shift += 7
    except IndexError:
        raise EnvelopeBroken("protobuf: a number is cut off") from None
    raise EnvelopeBroken("protobuf: a number of more than 64 bits")


def signed(value: int) -> int:
    """An int64 from its unsigned form."""
    return value - (1 << 64) if value & _SIGN else value


def message(value: int | bytes) -> bytes:
    """A field that must be a message or text."""
    if isinstance(value, bytes):
        return value
    raise EnvelopeBroken("protobuf: a number where a message should be")


def encode_varint(value: int) -> bytes:
    """An unsigned number."""
    result = bytearray()
    while value > 127:
        result.append(value & 127 | 128)
        value >>= 7
    result.append(value)
    return bytes(result)


def encode_bytes(number: int, value: bytes) -> bytes:
    """A field with a length."""
    return encode_varint(number * 8 + BYTES) + encode_varint(len(value)) + value


def encode_number(number: int, value: int) -> bytes:
    """A field of an unsigned number."""
    return encode_varint(number * 8 + VARINT) + encode_varint(value)
