"""Moments in nanoseconds, for durations that are the difference of two times of a record.

Floats of seconds since 1970 are too coarse for that: they keep a quarter of a microsecond.
"""

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from api_anomaly.logs.formats.format import Value

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND = 1_000_000_000
#: Numbers below each limit count in units of this many nanoseconds.
_UNITS = ((10**11, _SECOND), (10**14, 1_000_000), (10**17, 1_000), (10**20, 1))


class Moment(NamedTuple):
    """A time in nanoseconds since 1970."""

    nanoseconds: int

    @property
    def is_whole(self) -> bool:
        """Whether it falls on a whole second."""
        return self.nanoseconds % _SECOND == 0

    def seconds_since(self, start: "Moment") -> float:
        """The seconds from `start` to this."""
        return (self.nanoseconds - start.nanoseconds) / 1e9


def moment(value: Value) -> Moment | None:
    """A moment from RFC 3339 text or a number of time; None where there is none."""
    if type(value) is str:
        if value.isascii() and value.isdigit() and len(value) < 20:
            return moment(int(value))
        try:
            time = datetime.fromisoformat(value)
            time = time if time.tzinfo else time.replace(tzinfo=UTC)
            return Moment((time - _EPOCH) // _MICROSECOND * 1_000)
        except (ValueError, OverflowError):
            return None
    if type(value) is int or type(value) is float:
        for limit, unit in _UNITS:
            if 0 < value < limit:
                return Moment(int(value * unit))
    return None


def seconds_between(start: Value, end: Value) -> float | None:
    """The seconds between two times; None where one is missing or they are in the wrong order."""
    first, last = moment(start), moment(end)
    return None if first is None or last is None or last < first else last.seconds_since(first)
