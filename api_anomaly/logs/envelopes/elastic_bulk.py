"""Elasticsearch bulk requests: pairs of lines, an action and a document -> events.

Source: the Elasticsearch bulk API; elastic/beats libbeat/outputs/elasticsearch.
"""

from typing import Final, NamedTuple

import msgspec

from api_anomaly.logs.envelopes.broken import EnvelopeBroken, check_text
from api_anomaly.logs.envelopes.json_text import decode_as
from api_anomaly.logs.formats.format import Event, Value

_WITH_DOCUMENT: Final = frozenset({"create", "index", "update"})
_ACTIONS: Final = _WITH_DOCUMENT | {"delete"}


class BulkItem(NamedTuple):
    """One action, for the answer: `{action: {"_index", "_id", "status"}}`."""

    action: str
    index_name: str | None
    document_id: str | None
    error: str | None = None  # why it is no event: answered with 400


class Bulk(NamedTuple):
    """The actions in order. The position of an event is the number of its action, from 1."""

    items: list[BulkItem]
    events: list[Event]


def read(body: bytes) -> Bulk:
    """The documents of a bulk body. A bad line becomes an item with an error and costs no other;
    raises EnvelopeBroken where nothing is an action. `delete` is answered and does nothing."""
    check_text(body)
    items: list[BulkItem] = []
    events: list[Event] = []
    lines = iter([line for line in body.split(b"\n") if line.strip()])
    is_bulk = False
    for line in lines:
        item = _action(line)
        is_bulk = is_bulk or item.error is None
        if item.error is None and item.action in _WITH_DOCUMENT:
            document = _document(next(lines, b""), item.action)
            if document is None:
                item = item._replace(error="the document is not a JSON object")
            else:
                events.append(Event(len(items) + 1, document))
        items.append(item)
    if not is_bulk:
        raise EnvelopeBroken("no action line" if items else "no actions")
    return Bulk(items, events)


def _action(line: bytes) -> BulkItem:
    record = _object(line)
    if record is not None and len(record) == 1:
        action, facts = next(iter(record.items()))
        if action in _ACTIONS:
            known = facts if isinstance(facts, dict) else {}
            return BulkItem(action, _name(known.get("_index")), _name(known.get("_id")))
    return BulkItem("index", None, None, "not an action line")


def _name(value: Value) -> str | None:
    return value if isinstance(value, str) else None


def _document(line: bytes, action: str) -> dict[str, Value] | None:
    document = _object(line)
    if document is None or action != "update":
        return document
    inner = document.get("doc", document.get("upsert"))
    return inner if isinstance(inner, dict) else None


def _object(line: bytes) -> dict[str, Value] | None:
    try:
        value = msgspec.json.decode(line)
    except (ValueError, RecursionError):
        try:
            value = decode_as(line, dict)
        except EnvelopeBroken:
            return None
    return value if isinstance(value, dict) else None
