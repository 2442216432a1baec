"""Loki push requests, as JSON or as protobuf in one snappy block -> events.

Source: grafana/loki pkg/push/push.proto and docs/sources/reference/loki-http-api.md.
"""

from typing import Any, Final

import cramjam
from msgspec import Struct

from api_anomaly.logs.envelopes.broken import EnvelopeBroken, bounded
from api_anomaly.logs.envelopes.json_text import decode_as
from api_anomaly.logs.envelopes.protobuf import fields, message, signed, varint
from api_anomaly.logs.formats.format import Event, Value

#: A byte of a snappy block gives less than so many: three bytes copy 64.
MAX_RATIO: Final = 22


class _Stream(Struct, gc=False):
    values: list[list[Any]] | None = None  # a Value each


class _Push(Struct, gc=False):
    streams: list[_Stream] | None = None


def read_json(body: bytes) -> list[Event]:
    """The entries of `{"streams": [{"stream": {}, "values": [["ns", "line"]]}]}`. Raises
    EnvelopeBroken."""
    push = decode_as(body, _Push)
    entries = [entry for stream in push.streams or () for entry in stream.values or ()]
    return [_json_event(number, entry) for number, entry in enumerate(bounded(entries), start=1)]


def _json_event(position: int, entry: list[Value]) -> Event:
    if len(entry) < 2 or not isinstance(entry[1], str):
        raise EnvelopeBroken("an entry is not a time and a line")
    return Event(position, entry[1], _seconds(entry[0]))


def _seconds(nanoseconds: Value) -> float | None:
    text = str(nanoseconds)
    is_number = text.isascii() and text.isdigit() and len(text) <= 19
    return int(text) / 1e9 if is_number else None


def read_protobuf(body: bytes, max_bytes: int) -> list[Event]:
    """The entries of a PushRequest in a snappy block that holds at most `max_bytes`. Raises
    EnvelopeBroken."""
    entries = (
        message(entry)
        for tag, stream in fields(uncompressed(body, max_bytes))
        if tag == 10  # 1: streams
        for inner, entry in fields(message(stream))
        if inner == 18  # 2: entries
    )
    return [_event(number, entry) for number, entry in enumerate(bounded(entries), start=1)]


def _event(position: int, entry: bytes) -> Event:
    line, time = "", None
    for tag, value in fields(entry):
        if tag == 18:  # 2: line
            line = message(value).decode("utf-8", "replace")
        elif tag == 10:  # 1: timestamp
            time = _timestamp(message(value))
    return Event(position, line, time)


def _timestamp(data: bytes) -> float | None:
    """A google.protobuf.Timestamp in seconds; None for what was before 1970."""
    seconds = nanoseconds = 0
    for tag, value in fields(data):
        if tag == 8:
            seconds = signed(int(value))
        elif tag == 16:
            nanoseconds = signed(int(value))
    return (seconds * 1_000_000_000 + nanoseconds) / 1e9 if seconds > 0 else None


def uncompressed(body: bytes, max_bytes: int) -> bytes:
    """What a snappy block holds. Its length stands in front and is believed only within bounds, so
    that a few bytes cannot ask for memory. Raises EnvelopeBroken."""
    if not body:
        return b""
    length, _ = varint(body, 0)
    if length > max_bytes:
        raise EnvelopeBroken(f"more than {max_bytes} bytes after decompression")
    if length > MAX_RATIO * len(body):
        raise EnvelopeBroken("not a snappy block")
    if not length:
        return b""
    output = bytearray(length)
    try:
        written = cramjam.snappy.decompress_raw_into(body, output)
    except cramjam.DecompressionError:
        raise EnvelopeBroken("not a snappy block") from None
    if written != length:
        raise EnvelopeBroken("not a snappy block")
    return bytes(output)
