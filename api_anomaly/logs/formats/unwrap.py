r"""From a body or an event to what a format reads: a line of text, or a JSON object with a request.

Shippers wrap lines: in a prefix (syslog, containerd's CRI, Docker Compose), in a text field of a
JSON record (`message`, `log`, ...), in documents of records (`{"records": [...]}`), in base64
(Pub/Sub). Wrappers nest. Sources: RFC 3164, RFC 5424, kubernetes.io (logging), docs.docker.com
(json-file), docs.aws.amazon.com (CloudWatch Logs subscriptions), cloud.google.com (Pub/Sub push),
cloudevents.io (JSON format).
"""

import base64
import binascii
import json
import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import msgspec

from api_anomaly.logs.envelopes import otlp
from api_anomaly.logs.envelopes.broken import EnvelopeBroken
from api_anomaly.logs.formats.format import Event, JsonFormat, Value
from api_anomaly.logs.formats.registry import JSON_FORMATS, recognize

_DECODER = json.JSONDecoder()
_MAX_DEPTH = 8
_ISO = r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d{1,9})?(?:Z|[+-]\d\d:?\d\d)?"
_CRI = re.compile(rf"({_ISO}) (stdout|stderr) ([FP])(?::\S*)?(?: (.*))?$", re.DOTALL)
_STRUCTURED_DATA = r'(?:-|(?:\[(?:[^\]"]|"(?:[^"\\]|\\.)*")*\])+)'
_PRIORITY = r"(?:\d{1,6} )?(?:<\d{1,3}>)?"
#: Each ends in two groups: the time, and the line inside.
_PREFIXES = (
    re.compile(rf"({_ISO}) (?:stdout|stderr) [FP](?::\S*)? (.*)$", re.DOTALL),
    re.compile(
        rf"{_PRIORITY}1 ({_ISO}|-) \S+ \S+ \S+ \S+ {_STRUCTURED_DATA} \ufeff?(.*)$", re.DOTALL
    ),
    re.compile(
        rf"{_PRIORITY}(?:[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d|({_ISO}))"
        r" (?:[^\s:\[\]]+ )?[^\s:\[\]]+(?:\[[^\]\s]*\])?: (.*)$",
        re.DOTALL,
    ),
    re.compile(rf"{_PRIORITY}({_ISO}) \S+ +(\{{.*)$", re.DOTALL),  # Fastly
    re.compile(r"(?:\x1b\[[\d;]*m)?[\w.-]+ *()\|(?:\x1b\[[\d;]*m)? (.*)$", re.DOTALL),  # Compose
)
_JSON_START = re.compile(r'\s*(?:\{\s*(?:["}]|$)|\[\s*(?:[\[{"\]]|$))')
#: Where a record may begin again after a broken one.
_NEXT_RECORD = re.compile(r"[\[}\],\n]\s*(?=\{)")
_BETWEEN = re.compile(r"[\s,\]}\x1e]*")
#: What stands before the first record of a document that is broken further on.
_OPENING = re.compile(r'\{\s*"\w+"\s*:\s*\[\s*')
#: Characters that may be read in vain, a multiple of the text: broken JSON is tried again.
_WASTE = 20
_DOCUMENTS = ("records", "Records", "items", "logs", "logEvents")
_TEXT_KEYS = ("message", "log", "MESSAGE", "event", "body", "data", "textPayload", "msg")
_OBJECT_KEYS = ("event", "body", "data", "message", "log", "jsonPayload")
_PUBSUB = frozenset({"messageId", "message_id", "publishTime"})
_TIME_KEYS = (
    *("@timestamp", "time", "timestamp", "date", "publishTime"),
    *("timeUnixNano", "observedTimeUnixNano"),
)
_NO_TIME: tuple[Value, ...] = (None, "", 0, "0")
#: Docker's json-file driver cuts lines after so many bytes.
_DOCKER_CUT = 16_384
_MAX_JOINED = 1 << 20


class Leaf(NamedTuple):
    """An unwrapped event; `format` recognized the object."""

    value: str | dict[str, Value]
    time: Value  # by the shipper's clock, as it writes it
    format: JsonFormat | None = None


# --- A body


def events_of(body: bytes, formats: tuple[JsonFormat, ...] = JSON_FORMATS) -> Iterator[Event]:
    """The events of a decompressed body: lines of text, JSON objects one a line or one after the
    other, arrays, documents of records. Broken JSON stays text. Positions are line numbers, or
    event numbers where the body is a document of several lines or holds everything in one line."""
    yield from events_of_text(decode(body), formats)


def events_of_text(text: str, formats: tuple[JsonFormat, ...]) -> Iterator[Event]:
    """As `events_of`, of decoded text."""
    if is_document(text):
        values = enumerate(_values(text, formats), start=1)
        yield from (Event(number, value) for number, value in values)
        return
    for number, line in enumerate(text.split("\n"), start=1):
        if line and not line.isspace():
            yield Event(number, line)


def decode(body: bytes) -> str:
    """The text of a body without byte order mark; other bytes than UTF-8 become U+FFFD."""
    text = body.decode("utf-8-sig", "replace")
    return text.replace("\r\n", "\n") if "\r" in text else text


def is_document(text: str) -> bool:
    """Whether the body is to be read as JSON across lines: its first line is all of it, or begins
    a JSON value that a later line ends."""
    if not _JSON_START.match(text):
        return False
    line, _, rest = text.strip().partition("\n")
    if not rest:
        return True
    if _is_json(line) or line.startswith("["):
        return not _is_json(line)
    try:
        _, end = _DECODER.raw_decode(text.strip())
    except (ValueError, RecursionError):
        second = rest.strip().partition("\n")[0].rstrip(", ")
        return not _is_json(second)
    return end > len(line)


def _is_json(line: str) -> bool:
    try:
        msgspec.json.decode(line)
    except (ValueError, RecursionError):
        return False
    return True


def _values(text: str, formats: tuple[JsonFormat, ...]) -> Iterator[str | dict[str, Value]]:
    """The objects of a text of JSON values with or without separators. What cannot be decoded is
    given as lines of text, up to where the next object may begin."""
    try:
        yield from _items(msgspec.json.decode(text), formats)
        return
    except (ValueError, RecursionError):
        pass
    position, waste = 0, _WASTE * (len(text) + 1_000)
    if text.strip() in ("[", "{"):
        yield text
        return
    while (position := _end_of_separators(text, position)) < len(text):
        try:
            value, end = _DECODER.raw_decode(text, position)
        except (ValueError, RecursionError) as error:
            waste -= getattr(error, "pos", len(text)) - position
            if text[position] == "[" and waste > 0:
                position += 1
                continue
            following = _NEXT_RECORD.search(text, position + 1) if waste > 0 else None
            end = following.end() if following else len(text)
            if not (following and _OPENING.fullmatch(text, position, end)):
                yield from filter(str.strip, text[position:end].split("\n"))
        else:
            yield from _items(value, formats)
        position = end


def _end_of_separators(text: str, position: int) -> int:
    match = _BETWEEN.match(text, position)
    return match.end() if match else position


def _items(value: Value, formats: tuple[JsonFormat, ...]) -> Iterator[str | dict[str, Value]]:
    """The records of a decoded document."""
    stack = [value]
    while stack:
        top = stack.pop()
        inner = top if isinstance(top, list) else _document(top, formats)
        if inner is not None:
            stack.extend(reversed(inner))
        elif isinstance(top, (dict, str)):
            yield top
        else:
            yield json.dumps(top)


def _document(value: Value, formats: tuple[JsonFormat, ...]) -> list[Value] | None:
    """The records of `{"records": [...]}` and the like; None for another value."""
    if not isinstance(value, dict):
        return None
    if isinstance(value.get("resourceLogs"), list):
        return _otlp_records(value)
    for name in _DOCUMENTS:
        inner = value.get(name)
        if isinstance(inner, list) and not recognize(value, formats):
            control = value.get("messageType") == "CONTROL_MESSAGE"
            return [] if control else inner
    return None


def _otlp_records(document: dict[str, Value]) -> list[Value] | None:
    try:
        return [event.value for event in otlp.events_of_document(document)]
    except EnvelopeBroken:
        return None


# --- Lines in several parts


def joined_parts(events: Iterable[Event]) -> Iterator[Event]:
    """The events, with the parts of lines that containerd or Docker cut put together again. The
    position is that of the first part."""
    open_parts: dict[str, tuple[Event, str]] = {}
    for event in events:
        part = _part(event.value)
        if part is None:
            yield event
            continue
        stream, text, is_last = part
        first, before = open_parts.pop(stream, (event, ""))
        if is_last or len(before) + len(text) > _MAX_JOINED:
            yield event if not before else Event(first.position, before + text, event.time)
        else:
            open_parts[stream] = first, before + text
    yield from (Event(first.position, text, first.time) for first, text in open_parts.values())


def _part(value: str | dict[str, Value]) -> tuple[str, str, bool] | None:
    """(stream, text, whether it is the last part) of a line that may be one part of several."""
    if isinstance(value, str):
        cri = _CRI.match(value) if " std" in value[:64] else None
        return (cri[2], cri[4] or "", cri[3] == "F") if cri else None
    text = value.get("log")
    if not isinstance(text, str) or "stream" not in value or "time" not in value:
        return None
    is_cut = not text.endswith("\n") and len(text.encode("utf-8", "replace")) >= _DOCKER_CUT
    return str(value["stream"]), text, not is_cut


# --- An event

#: What shippers put beside the line in `message`. A record of these keys alone is no request.
_BESIDE_MESSAGE = frozenset(
    "message @timestamp @version timestamp host hostname agent log ecs input source source_type"
    " file path offset stream tag tags fields container kubernetes cloud observer".split()
)


def carried_text(event: Event) -> Event:
    """The event with the text of its `message` instead of a record that only carries a line."""
    value = event.value
    if not isinstance(value, dict) or not _BESIDE_MESSAGE.issuperset(value):
        return event
    text = value.get("message")
    return event._replace(value=text) if isinstance(text, str) and text[:1] != "{" else event


def record_of(value: str | dict[str, Value]) -> dict[str, Value] | None:
    """A record, also from a line that is one JSON object; None for other lines."""
    if isinstance(value, dict):
        return value
    if value[:1] != "{":
        return None
    try:
        record = msgspec.json.decode(value)
    except (msgspec.DecodeError, RecursionError):
        return None
    return record if isinstance(record, dict) else None


def unwrap(event: Event, formats: tuple[JsonFormat, ...] = JSON_FORMATS) -> Iterator[Leaf]:
    """What `event` holds: lines, and objects that one of `formats` recognizes. An object that holds
    neither is given as it is."""
    return _unwrap(event.value, event.time, formats, 0)


def _unwrap(
    value: Value, time: Value, formats: tuple[JsonFormat, ...], depth: int
) -> Iterator[Leaf]:
    if depth > _MAX_DEPTH or not isinstance(value, (str, dict)):
        yield Leaf(json.dumps(value, default=str) if not isinstance(value, str) else value, time)
        return
    if isinstance(value, dict):
        row = recognize(value, formats)
        inner = None if row else _inner(value, formats)
        if row or inner is None:
            yield Leaf(value, time, row)
            return
        time = _time_of(value, time)
    else:
        prefix = _strip_prefix(value)
        inner, time = (prefix[0], prefix[1] or time) if prefix else (_decoded(value, formats), time)
        if inner is None:
            yield Leaf(value, time)
            return
    for item in inner if isinstance(inner, list) else [inner]:
        yield from _unwrap(item, time, formats, depth + 1)


def _strip_prefix(line: str) -> tuple[str, Value] | None:
    """The line behind one prefix, and the prefix's time; None without a prefix."""
    line = line.lstrip("\ufeff \t")
    if line[:1] in "{[":
        return None
    if len(line) > 2 and line[0] == line[-1] == '"':
        return _unquoted(line), None
    for pattern in _PREFIXES:
        match = pattern.match(line)
        if match:
            return match.group(2), match.group(1)
    return None


def _unquoted(line: str) -> str:
    r"""A line without the quotes around it, and without `\"` inside where it is a JSON text."""
    try:
        return msgspec.json.decode(line, type=str)
    except ValueError:
        return line[1:-1]


def _decoded(text: str, formats: tuple[JsonFormat, ...]) -> list[Value] | None:
    """The values of a text of JSON; None for another text, also for broken JSON."""
    if not _JSON_START.match(text):
        return None
    try:
        return list(_items(msgspec.json.decode(text), formats))
    except (ValueError, RecursionError):
        values: list[Value] = list(_values(text, formats))
        return None if len(values) == 1 and isinstance(values[0], str) else values


def _inner(record: dict[str, Value], formats: tuple[JsonFormat, ...]) -> Value:
    """What a record that is no request wraps; None if it wraps nothing."""
    inner = _document(record, formats)
    if inner is not None:
        return inner
    for name in ("data_base64", "data"):
        encoded = record.get(name)
        if isinstance(encoded, str) and (name == "data_base64" or _PUBSUB & record.keys()):
            return _from_base64(encoded)
    event = record.get("event")
    original = event.get("original") if isinstance(event, dict) else record.get("event.original")
    texts = [original, *map(record.get, _TEXT_KEYS)]
    for text in texts:
        if isinstance(text, str) and text and not text.isspace():
            return text.rstrip("\n")
    return next((record[key] for key in _OBJECT_KEYS if isinstance(record.get(key), dict)), None)


def _from_base64(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode("utf-8", "replace")
    except (binascii.Error, ValueError):
        return text


def _time_of(record: dict[str, Value], time: Value) -> Value:
    return next((record[name] for name in _TIME_KEYS if record.get(name) not in _NO_TIME), time)
