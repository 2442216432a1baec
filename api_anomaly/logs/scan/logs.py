"""One log: its fields by name, each with the type that `service.schemas` gives it."""

import math

import numpy as np

from api_anomaly.kernels import bare_kernel
from api_anomaly.logs.columns import METHODS
from api_anomaly.logs.scan.addresses import address
from api_anomaly.logs.scan.marks import (
    CLOSE_OBJECT,
    COMMA,
    MINUS,
    ODD,
    QUOTE,
    SPACE,
    ZERO,
    after_space,
    is_digit,
    literal,
)
from api_anomaly.logs.scan.moments import iso_seconds, unix_seconds
from api_anomaly.logs.scan.names import member, table
from api_anomaly.logs.scan.numbers import number
from api_anomaly.logs.scan.texts import bare_end, copy_text, cut

#: The fields of a log; a text's place is its row among `texts`.
FIELDS = (
    *("user_id", "endpoint", "user_agent"),
    *("timestamp", "method", "status_code", "ip_address"),
    *("response_time", "request_size", "response_size", "label"),
)
_USER, _ENDPOINT, _AGENT, _TIME, _METHOD, _STATUS, _ADDRESS = range(7)
_DURATION, _REQUEST, _RESPONSE, _LABEL = range(7, 11)
_NAMES = table(FIELDS)
_METHOD_NAMES = np.array([list(name.ljust(8).encode()) for name in METHODS], np.uint8)
_METHOD_LENGTHS = np.array([len(name) for name in METHODS])
_OTHER = len(METHODS) - 1
_NEEDED = 1 << _TIME | 1 << _ENDPOINT | 1 << _METHOD | 1 << _STATUS
_SOMEBODY = 1 << _USER | 1 << _ADDRESS
_MOST_USER, _MOST_ENDPOINT, _AGENT_CUT, _MOST_METHOD, _MOST_ADDRESS = 256, 8192, 1024, 64, 64

#: What is read of the log at hand, besides its texts.
LOG = np.dtype(
    [
        ("time", "f8"),
        ("response_time", "f8"),
        ("request_size", "f8"),
        ("response_size", "f8"),
        ("label", "f8"),
        ("high", "u8"),
        ("low", "u8"),
        ("given", "i8"),
        ("method", "i4"),
        ("status", "i4"),
    ],
    align=True,
)


@bare_kernel
def scan_log(data, position, stop, texts, ends, row, log):  # type: ignore[no-untyped-def]
    """Read the object at `position` into `log`, and its texts into `texts`, where ends[k, row] is
    where the text of kind k begins and ends[k, row + 1] where it ends: where the object ends, or
    ODD. Each kind of text has as much room in `texts` as there is data, one kind after the other.
    """
    log.response_time, log.request_size, log.response_size = math.nan, math.nan, math.nan
    log.label, log.high, log.low, log.given = math.nan, 0, 0, 0
    for kind in range(3):
        ends[kind, row + 1] = ends[kind, row]
    seen = 0
    position = after_space(data, position + 1, stop)
    while position < stop and data[position] == QUOTE:
        field, position = member(data, position + 1, stop, _NAMES)
        if position < 0 or (field >= 0 and seen >> field & 1):
            return ODD
        seen |= 1 << field if field >= 0 else 0
        position = _value(data, position, stop, field, texts, ends, row, log)
        if position < 0:
            return ODD
        position = after_space(data, position, stop)
        if position >= stop:
            return ODD
        if data[position] == CLOSE_OBJECT:
            somebody = log.given & _SOMEBODY != 0
            return position + 1 if somebody and log.given & _NEEDED == _NEEDED else ODD
        if data[position] != COMMA:
            return ODD
        position = after_space(data, position + 1, stop)
    return ODD


@bare_kernel
def _value(data, position, stop, field, texts, ends, row, log):  # type: ignore[no-untyped-def]
    """Read the value at `position` of a field, which is below 0 when unknown; where it ends."""
    byte = data[position]
    if byte == QUOTE:
        log.given |= 1 << field if field >= 0 else 0
        return _text(data, position + 1, stop, field, texts, ends, row, log)
    if byte == MINUS or is_digit(byte):
        log.given |= 1 << field if field >= 0 else 0
        value, end, whole = number(data, position, stop)
        return end if end < 0 or _is_taken(value, whole, field, log) else ODD
    word, end = literal(data, position, stop)
    return end if field < 0 or word == 0 else ODD


@bare_kernel
def _is_taken(value, whole, field, log):  # type: ignore[no-untyped-def]
    """Whether a number is one that its field may have; it is put in its place."""
    if field == _DURATION:
        log.response_time = value if value >= 0.0 else math.nan
    elif field == _TIME:
        log.time = unix_seconds(value, whole)
        return not math.isnan(log.time)
    elif field == _STATUS:
        if value != math.floor(value) or not 100.0 <= value <= 599.0:
            return False
        log.status = int(value)
    elif field == _REQUEST or field == _RESPONSE:
        if value != math.floor(value):
            return False
        size = value if value >= 0.0 else math.nan
        if field == _REQUEST:
            log.request_size = size
        else:
            log.response_size = size
    elif field == _LABEL:
        log.label = value
        return value == 0.0 or value == 1.0
    else:
        return field < 0
    return True


@bare_kernel
def _text(data, position, stop, field, texts, ends, row, log):  # type: ignore[no-untyped-def]
    """Read the text at `position`, after its quote: where the next value may begin."""
    if field <= _AGENT:
        return _free_text(data, position, stop, field, texts, ends, row, log)
    if field >= _DURATION:
        return ODD
    end = bare_end(data, position, stop)
    if end < 0:
        return ODD
    taken = False
    if field == _TIME:
        log.time = iso_seconds(data, position, end)
        taken = not math.isnan(log.time)
    elif field == _METHOD:
        log.method = _method(data, position, end)
        taken = log.method >= 0
    elif field == _STATUS:
        log.status = _three_digits(data, position, end)
        taken = 100 <= log.status <= 599
    elif end - position <= _MOST_ADDRESS:
        log.high, log.low, taken = address(data, position, end)
    return end + 1 if taken else ODD


@bare_kernel
def _free_text(data, position, stop, field, texts, ends, row, log):  # type: ignore[no-untyped-def]
    """A text of any characters; that of an unknown field is judged and not kept."""
    kind = field if field >= 0 else _AGENT
    begin = kind * len(data) + ends[kind, row + (field < 0)]
    position, end, characters = copy_text(data, position, stop, texts, begin)
    if field < 0:
        return position
    if field == _AGENT:
        if characters > _AGENT_CUT:
            end = cut(texts, begin, end, _AGENT_CUT)
    elif characters < 1 or characters > (_MOST_USER if field == _USER else _MOST_ENDPOINT):
        return ODD
    ends[kind, row + 1] = end - kind * len(data)
    return position


@bare_kernel
def _method(data, start, stop):  # type: ignore[no-untyped-def]
    """A method's place in METHODS, whatever its case and the spaces around it; ODD when it is empty
    or too long."""
    while start < stop and data[start] == SPACE:
        start += 1
    while stop > start and data[stop - 1] == SPACE:
        stop -= 1
    if not 1 <= stop - start <= _MOST_METHOD:
        return ODD
    for place in range(_OTHER):
        if _METHOD_LENGTHS[place] == stop - start:
            same = True
            for i in range(stop - start):
                byte = data[start + i]
                upper = byte - 32 if 97 <= byte <= 122 else byte
                same = same and upper == _METHOD_NAMES[place, i]
            if same:
                return place
    return _OTHER


@bare_kernel
def _three_digits(data, start, stop):  # type: ignore[no-untyped-def]
    """The number of exactly three digits, or 0."""
    if stop - start != 3:
        return 0
    value = 0
    for i in range(start, stop):
        if not is_digit(data[i]):
            return 0
        value = value * 10 + (int(data[i]) - ZERO)
    return value
