"""Amazon Data Firehose's HTTP endpoint delivery -> events.

A record is base64 of a line, of several, of JSON, of a CloudWatch Logs message, or of gzip of
these.
Source: the Amazon Data Firehose developer guide (HTTP endpoint delivery specification).
"""

import base64
import binascii
import zlib
from collections.abc import Iterator
from typing import Final, NamedTuple

from msgspec import Struct

from api_anomaly.logs.envelopes.broken import EnvelopeBroken, bounded, check_text
from api_anomaly.logs.envelopes.json_text import decode_as
from api_anomaly.logs.formats.format import Event
from api_anomaly.logs.formats.unwrap import events_of

_GZIP: Final = b"\x1f\x8b\x08"
_GZIP_WINDOW: Final = 31
#: Members of one record: each costs a copy of the rest.
MAX_MEMBERS: Final = 64


class _Record(Struct, gc=False):
    data: str


class _Request(Struct, rename="camel"):
    request_id: str
    records: list[_Record]


class Delivery(NamedTuple):
    """The answer has to name `request_id` again. Positions count over all records."""

    request_id: str
    events: list[Event]


def read(body: bytes, max_bytes: int) -> Delivery:
    """The events of a delivery whose records hold at most `max_bytes` together, after
    decompression. Raises EnvelopeBroken."""
    request = decode_as(body, _Request)
    events = [
        event._replace(position=position)
        for position, event in enumerate(bounded(_events(request, max_bytes)), start=1)
    ]
    return Delivery(request.request_id, events)


def _events(request: _Request, max_bytes: int) -> Iterator[Event]:
    left = max_bytes
    for record in request.records:
        try:
            data = base64.b64decode(record.data, validate=True)
        except (binascii.Error, ValueError):
            raise EnvelopeBroken("the data of a record is not base64") from None
        if data.startswith(_GZIP):
            data = _gunzip(data, left)
        left -= len(data)
        if left < 0:
            raise EnvelopeBroken(f"more than {max_bytes} bytes after decompression")
        check_text(data)
        yield from events_of(data)


def _gunzip(data: bytes, max_bytes: int) -> bytes:
    """What gzip members hold together, of which there may be several."""
    parts: list[bytes] = []
    while data.startswith(_GZIP) and len(parts) < MAX_MEMBERS:
        inflater = zlib.decompressobj(_GZIP_WINDOW)
        try:
            part = inflater.decompress(data, max_bytes + 1)
        except zlib.error:
            raise EnvelopeBroken("a record is not valid gzip") from None
        max_bytes -= len(part)
        if max_bytes < 0:
            raise EnvelopeBroken("too many bytes after decompression")
        if not inflater.eof:
            raise EnvelopeBroken("the gzip of a record is cut off")
        parts.append(part)
        data = inflater.unused_data
    if data.startswith(_GZIP):
        raise EnvelopeBroken("a record of too many gzip members")
    return b"".join(parts)


class _CommonAttributes(Struct, rename="camel"):
    common_attributes: dict[str, str] = {}


def common_attributes(header: str | None) -> dict[str, str]:
    """The attributes of `X-Amz-Firehose-Common-Attributes`, such as the format; none where the
    header is absent or broken."""
    if not header:
        return {}
    try:
        return decode_as(header.encode("utf-8", "replace"), _CommonAttributes).common_attributes
    except EnvelopeBroken:
        return {}
