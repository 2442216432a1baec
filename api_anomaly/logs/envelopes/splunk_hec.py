"""Splunk's HTTP Event Collector: objects one after the other, or raw lines -> events.

Source: the Splunk documentation (HEC examples, error codes); vectordotdev/vector, sources of
splunk_hec.
"""

from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

import msgspec

from api_anomaly.logs.envelopes.broken import EnvelopeBroken, bounded, check_text
from api_anomaly.logs.envelopes.json_text import values
from api_anomaly.logs.formats.format import Event, ParseError, Value
from api_anomaly.logs.formats.normalize import timestamp
from api_anomaly.logs.formats.unwrap import events_of


class Code(IntEnum):
    """What is wrong, in Splunk's numbers."""

    NO_DATA = 5
    INVALID_DATA_FORMAT = 6
    EVENT_REQUIRED = 12
    EVENT_BLANK = 13


class HecError(NamedTuple):
    """An object that is no event; `number` counts from 0, as `invalid-event-number` does."""

    number: int
    code: Code


class Hec(NamedTuple):
    """The events, and the objects that are none. Position: the number of the object, from 1."""

    events: list[Event]
    errors: list[HecError]


class HecBroken(EnvelopeBroken):
    """Nothing in the body is an event."""

    def __init__(self, code: Code) -> None:
        super().__init__(code.name.lower().replace("_", " "))
        self.code = code


def read_events(body: bytes) -> Hec:
    """The events of `/services/collector/event`. What cannot be decoded ends the body: the objects
    before it count. Raises HecBroken where there is no event at all."""
    events: list[Event] = []
    errors: list[HecError] = []
    time: Value = None
    number = 0
    try:
        for value in bounded(_objects(body)):
            time = value.get("time", time)  # holds for the objects behind it too
            event = _event(value)
            if isinstance(event, Code):
                errors.append(HecError(number, event))
            else:
                events.append(Event(number + 1, event, _seconds(time)))
            number += 1
    except EnvelopeBroken:
        errors.append(HecError(number, Code.INVALID_DATA_FORMAT))
    if not events:
        raise HecBroken(errors[0].code if errors else Code.NO_DATA)
    return Hec(events, errors)


def _objects(body: bytes) -> Iterator[dict[str, Value]]:
    for value in values(body):
        for item in value if isinstance(value, list) else [value]:
            if not isinstance(item, dict):
                raise EnvelopeBroken("not an object")
            yield item


def _event(value: dict[str, Value]) -> str | dict[str, Value] | Code:
    event = value.get("event")
    if event is None:
        return Code.EVENT_REQUIRED
    if isinstance(event, str):
        return event if event.strip() else Code.EVENT_BLANK
    return event if isinstance(event, dict) else msgspec.json.encode(event).decode()


def _seconds(time: Value) -> float | None:
    try:
        return timestamp(time)
    except ParseError:
        return None


def read_raw(body: bytes) -> list[Event]:
    """The lines of `/services/collector/raw`. Raises HecBroken where there is none."""
    check_text(body)
    events = list(bounded(events_of(body)))
    if not events:
        raise HecBroken(Code.NO_DATA)
    return events
