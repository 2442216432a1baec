"""OTLP/HTTP logs: ExportLogsServiceRequest as protobuf or JSON -> events, and the answers.

A log record becomes an object: its attributes, `timeUnixNano`, `observedTimeUnixNano`, `body`.
Source: open-telemetry/opentelemetry-proto (logs.proto, common.proto, the OTLP specification).
"""

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

import msgspec
from msgspec import Struct

from api_anomaly.logs.envelopes.broken import EnvelopeBroken, bounded
from api_anomaly.logs.envelopes.json_text import decode_as
from api_anomaly.logs.envelopes.protobuf import (
    encode_bytes,
    encode_number,
    fields,
    message,
    signed,
    varint,
)
from api_anomaly.logs.formats.format import Event, Value

#: How deep values of attributes and bodies may nest.
MAX_DEPTH: Final = 32
Record = dict[str, Value]

# --- Protobuf

# Tags: the field's number times 8 plus its wire type.
_REPEATED_1, _REPEATED_2 = 10, 18
_TIME, _BODY, _ATTRIBUTE, _OBSERVED = 9, 42, 50, 89
_STRING, _INT, _DOUBLE = 10, 24, 33
_double = struct.Struct("<d").unpack_from


def read_protobuf(body: bytes) -> list[Event]:
    """The log records of an ExportLogsServiceRequest. Raises EnvelopeBroken."""
    records = (
        record
        for resource_logs in _messages(body, _REPEATED_1)
        for scope_logs in _messages(resource_logs, _REPEATED_2)
        for record in _messages(scope_logs, _REPEATED_2)
    )
    return [_event(number, *_record(record)) for number, record in enumerate(bounded(records), 1)]


def _messages(data: bytes, wanted: int) -> Iterator[bytes]:
    return (message(value) for tag, value in fields(data) if tag == wanted)


def _record(data: bytes) -> tuple[Record, Value, int, int]:
    """(attributes, body, time, observed time) of a LogRecord."""
    attributes: Record = {}
    body: Value = None
    time = observed = 0
    for tag, value in fields(data):
        if tag == _ATTRIBUTE:
            key, inner = _attribute(message(value))
            attributes[key] = inner
        elif tag == _BODY:
            body = _any_value(message(value), 0)
        elif tag == _TIME:
            time = int(value)
        elif tag == _OBSERVED:
            observed = int(value)
    return attributes, body, time, observed


def _attribute(data: bytes) -> tuple[str, Value]:
    """An attribute. A short one, as nearly all are, has lengths of one byte each and is read here:
    10, length, key, 18, length, then the value's tag. Everything else takes the general way."""
    end = len(data)
    if end < 128 and end > 5 and data[0] == _REPEATED_1:
        at = data[1] + 4  # behind the key and the two bytes after it
        if at < end and data[at - 2] == _REPEATED_2 and data[at - 1] == end - at:
            tag = data[at]
            if tag == _STRING and at + 1 < end and data[at + 1] == end - at - 2:
                return _kept_key(data[2 : at - 2]), data[at + 2 :].decode("utf-8", "replace")
            if tag == _DOUBLE and end - at == 9:
                return _kept_key(data[2 : at - 2]), _double(data, at + 1)[0]
            if tag == _INT and at + 1 < end:
                number, behind = varint(data, at + 1)
                if behind == end:
                    return _kept_key(data[2 : at - 2]), signed(number)
    return _key_value(data, 0)


@lru_cache(maxsize=1_024)
def _kept_key(data: bytes) -> str:
    return _text(data)


def _key_value(data: bytes, depth: int) -> tuple[str, Value]:
    key, inner = "", None
    for tag, value in fields(data):
        if tag == _REPEATED_1:
            key = _text(message(value))
        elif tag == _REPEATED_2:
            inner = _any_value(message(value), depth)
    return key, inner


def _any_value(data: bytes, depth: int) -> Value:
    if depth > MAX_DEPTH:
        raise EnvelopeBroken("values nest too deeply")
    result: Value = None
    for tag, value in fields(data):
        if tag == _STRING:
            result = _text(message(value))
        elif tag == _INT:
            result = signed(int(value))
        elif tag == _DOUBLE:
            result = struct.unpack("<d", int(value).to_bytes(8, "little"))[0]
        elif tag == 16:  # bool_value
            result = bool(value)
        elif tag == 42:  # array_value
            inner = _messages(message(value), _REPEATED_1)
            result = [_any_value(item, depth + 1) for item in inner]
        elif tag == 50:  # kvlist_value
            inner = _messages(message(value), _REPEATED_1)
            result = dict(_key_value(item, depth + 1) for item in inner)
        elif tag == 58:  # bytes_value
            result = _text(message(value))
    return result


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


# --- JSON


class _AnyValue(Struct, rename="camel", gc=False):
    string_value: str | None = None
    int_value: str | int | float | None = None
    double_value: str | float | None = None
    bool_value: bool | None = None
    array_value: "_ArrayValue | None" = None
    kvlist_value: "_KvList | None" = None
    bytes_value: str | None = None


class _KeyValue(Struct, gc=False):
    key: str = ""
    value: _AnyValue | None = None


class _ArrayValue(Struct, gc=False):
    values: list[_AnyValue] | None = None


class _KvList(Struct, gc=False):
    values: list[_KeyValue] | None = None


class _LogRecord(Struct, rename="camel", gc=False):
    time_unix_nano: str | int | float | None = None
    observed_time_unix_nano: str | int | float | None = None
    body: _AnyValue | None = None
    attributes: list[_KeyValue] | None = None


class _ScopeLogs(Struct, rename="camel", gc=False):
    log_records: list[_LogRecord] | None = None


class _ResourceLogs(Struct, rename="camel", gc=False):
    scope_logs: list[_ScopeLogs] | None = None


class _Request(Struct, rename="camel", gc=False):
    resource_logs: list[_ResourceLogs] | None = None


def read_json(body: bytes) -> list[Event]:
    """The log records of an ExportLogsServiceRequest in JSON. Raises EnvelopeBroken."""
    return _events(decode_as(body, _Request))


def events_of_document(document: Record) -> list[Event]:
    """As `read_json`, of a decoded document with `resourceLogs`."""
    try:
        return _events(msgspec.convert(document, _Request))
    except (msgspec.ValidationError, RecursionError) as error:
        raise EnvelopeBroken(f"not what the protocol says: {error}") from error


def _events(request: _Request) -> list[Event]:
    records = (
        record
        for resource_logs in request.resource_logs or ()
        for scope_logs in resource_logs.scope_logs or ()
        for record in scope_logs.log_records or ()
    )
    return [
        _event(number, *_json_record(record)) for number, record in enumerate(bounded(records), 1)
    ]


def _json_record(record: _LogRecord) -> tuple[Record, Value, int, int]:
    return (
        _json_attributes(record.attributes, 0),
        _json_value(record.body, 0),
        _nanoseconds(record.time_unix_nano),
        _nanoseconds(record.observed_time_unix_nano),
    )


def _json_attributes(attributes: list[_KeyValue] | None, depth: int) -> Record:
    return {item.key: _json_value(item.value, depth) for item in attributes or ()}


def _json_value(value: _AnyValue | None, depth: int) -> Value:
    if depth > MAX_DEPTH:
        raise EnvelopeBroken("values nest too deeply")
    if value is None:
        return None
    if value.string_value is not None:
        return value.string_value
    if value.int_value is not None:
        return _int(value.int_value)
    if value.array_value is not None:
        return [_json_value(item, depth + 1) for item in value.array_value.values or ()]
    if value.kvlist_value is not None:
        return _json_attributes(value.kvlist_value.values, depth + 1)
    return next(
        (
            item
            for item in (value.double_value, value.bool_value, value.bytes_value)
            if item is not None
        ),
        None,
    )


def _int(value: str | int | float) -> Value:
    """An int64, which JSON writes as text or as a number."""
    text = value.strip() if isinstance(value, str) else ""
    is_whole = text.removeprefix("-").isascii() and text.removeprefix("-").isdigit()
    return int(text) if is_whole and len(text) <= 20 else value


def _nanoseconds(value: str | int | float | None) -> int:
    """A time of at least 0; 0 is none."""
    number = _int(value) if value is not None else 0
    return number if isinstance(number, int) and 0 < number < 1 << 64 else 0


# --- Both


def _event(position: int, attributes: Record, body: Value, time: int, observed: int) -> Event:
    if time:
        attributes["timeUnixNano"] = time
    if observed:
        attributes["observedTimeUnixNano"] = observed
    if body is not None:
        attributes["body"] = body
    return Event(position, attributes, (time or observed) / 1e9 or None)


# --- Answers


def response(rejected: int, reason: str, *, protobuf: bool) -> bytes:
    """The body of an ExportLogsServiceResponse: empty where nothing was rejected."""
    if protobuf:
        if not rejected:
            return b""
        partial = encode_number(1, rejected) + encode_bytes(2, reason.encode("utf-8", "replace"))
        return encode_bytes(1, partial)
    if not rejected:
        return b"{}"
    partial_success = {"rejectedLogRecords": str(rejected), "errorMessage": reason}
    return msgspec.json.encode({"partialSuccess": partial_success})


def status(code: int, reason: str, *, protobuf: bool) -> bytes:
    """The body of an error, a google.rpc.Status; `code` is gRPC's (3: invalid argument, 14:
    unavailable)."""
    if protobuf:
        return encode_number(1, code) + encode_bytes(2, reason.encode("utf-8", "replace"))
    return msgspec.json.encode({"code": code, "message": reason})
