"""Times: ISO 8601 texts and Unix seconds, as the float that Python's `datetime` makes of them.

Times are whole microseconds. Within the years of `_FIRST_YEAR` to `_LAST_YEAR` they are below 2^53,
so that they are floats and their division by a million rounds once, as Python's does.
"""

import math

from api_anomaly.kernels import bare_kernel
from api_anomaly.logs.scan.marks import COLON, MINUS, PLUS, POINT, SPACE, ZERO, is_digit

_FIRST_YEAR, _LAST_YEAR = 1700, 2249
_SECONDS = 8.8e9  # Unix seconds that lie within these years, either way
_LATER, _UTC = ord("T"), ord("Z")
_DAY = 86_400


@bare_kernel
def unix_seconds(value, whole):  # type: ignore[no-untyped-def]
    """The time that a number means, cut to microseconds; NaN when it is not ordinary."""
    if whole or value == math.floor(value):
        return value if abs(value) < _SECONDS else math.nan
    if not 0.0 < value < _SECONDS:
        return math.nan
    seconds = math.floor(value)
    scaled = (value - seconds) * 1e6
    micros = math.floor(scaled)
    micros += scaled - micros >= 0.5
    return (seconds * 1e6 + micros) / 1e6 if micros < 1e6 else math.nan


@bare_kernel
def iso_seconds(data, start, stop):  # type: ignore[no-untyped-def]
    """The time of YYYY-MM-DDTHH:MM:SS, with or without a fraction and an offset, in the bytes
    data[start:stop]; NaN when it is not surely one.
    """
    if stop - start < 19 or data[start + 4] != MINUS or data[start + 7] != MINUS:
        return math.nan
    if data[start + 10] != _LATER and data[start + 10] != SPACE:
        return math.nan
    if data[start + 13] != COLON or data[start + 16] != COLON:
        return math.nan
    year = _pair(data, start) * 100 + _pair(data, start + 2)
    month, day = _pair(data, start + 5), _pair(data, start + 8)
    hour, minute, second = (
        _pair(data, start + 11),
        _pair(data, start + 14),
        _pair(data, start + 17),
    )
    if not _FIRST_YEAR <= year <= _LAST_YEAR or not 1 <= month <= 12:
        return math.nan
    if not 1 <= day <= _month_days(year, month):
        return math.nan
    if not (0 <= hour <= 23 and 0 <= minute <= 59 and 0 <= second <= 59):
        return math.nan
    micros, position = _fraction(data, start + 19, stop)
    offset = _offset(data, position, stop)
    if micros < 0 or offset <= -_DAY:
        return math.nan
    seconds = _days(year, month, day) * _DAY + hour * 3600 + minute * 60 + second - offset
    return float(seconds * 1_000_000 + micros) / 1e6


@bare_kernel
def _pair(data, position):  # type: ignore[no-untyped-def]
    """The number of two digits; far below 0 when they are none."""
    if not (is_digit(data[position]) and is_digit(data[position + 1])):
        return -10_000
    return (int(data[position]) - ZERO) * 10 + (int(data[position + 1]) - ZERO)


@bare_kernel
def _fraction(data, position, stop):  # type: ignore[no-untyped-def]
    """The microseconds of the fraction that may stand at `position`, cut after six digits, and
    where it ends; below 0 when a point has none."""
    if position >= stop or data[position] != POINT:
        return 0, position
    position += 1
    micros, unit, first = 0, 100_000, position
    while position < stop and is_digit(data[position]):
        micros += unit * (int(data[position]) - ZERO)
        unit //= 10
        position += 1
    return micros if position > first else -1, position


@bare_kernel
def _offset(data, position, stop):  # type: ignore[no-untyped-def]
    """Seconds of the offset from UTC that fills data[position:stop]: none, Z or +HH:MM. A day or
    more below 0 when it is no such thing."""
    if position == stop or (position + 1 == stop and data[position] == _UTC):
        return 0
    if position + 6 != stop or data[position + 3] != COLON:
        return -_DAY
    sign = data[position]
    hours, minutes = _pair(data, position + 1), _pair(data, position + 4)
    if (sign != PLUS and sign != MINUS) or not (0 <= hours <= 23 and 0 <= minutes <= 59):
        return -_DAY
    offset = hours * 3600 + minutes * 60
    return offset if sign == PLUS else -offset


@bare_kernel
def _month_days(year, month):  # type: ignore[no-untyped-def]
    """Days of a month in the Gregorian calendar."""
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


@bare_kernel
def _days(year, month, day):  # type: ignore[no-untyped-def]
    """Days since 1970-01-01. Years begin in March here, so that the leap day is the last
    (Hinnant, "chrono-compatible low-level date algorithms")."""
    year -= month <= 2
    month = month - 3 if month > 2 else month + 9
    return (
        year * 365 + year // 4 - year // 100 + year // 400 + (153 * month + 2) // 5 + day - 719_469
    )
