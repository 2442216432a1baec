"""Whether the times of a source's logs agree with the clock of this machine.

What tells a wrong clock from old logs: the newest log of every batch lags by the same time. A
replayed file, a backlog and a training do not keep their distance to now.
"""

from collections import deque
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Seconds that clocks and roundings may differ: synchronized machines differ by less than one.
_TOLERANCE = 120.0
#: Logs, and their share of the latest, that show a clock that is ahead; one wrong log does not.
_MIN_AHEAD, _AHEAD_SHARE, _AHEAD_ENDS = 50, 0.05, 0.01
#: Logs after which those before count half.
_HALF_LOGS = 2_000
#: Batches whose lag is known, at most one a second; at least so many in so many seconds show that
#: a lag is constant: in a minute a replay moves on by a minute, and a backlog by more.
_BATCHES, _MIN_BATCHES, _MIN_SECONDS = 32, 6, 60.0
#: Seconds by which the lags of a live source differ: shippers send at least once a minute. The
#: quickest tenth to the slowest quarter, so that quiet minutes do not count.
_SPREAD = 60.0
#: Zones differ by a multiple of a quarter of an hour, and by up to 14 hours. A log arrives up to 45
#: seconds late; a constant lag is so near to a multiple by chance in one case of twenty.
_QUARTER, _EARLY, _LATE, _MAX_ZONE = 900.0, -5.0, 45.0, 14 * 3_600.0
#: Sources whose lags differ by this much have different clocks.
_DIFFERENT = 300.0
#: Seconds after which a silent source is not compared.
_SILENT = 3_600.0


class _Lag(NamedTuple):
    arrival: float
    seconds: float


class Clock:
    """The clock of one source."""

    __slots__ = ("_logs", "_ahead", "_ahead_by", "_is_ahead", "_lags", "offset")

    def __init__(self) -> None:
        self._logs, self._ahead, self._ahead_by, self._is_ahead = 0.0, 0.0, 0.0, False
        self._lags: deque[_Lag] = deque(maxlen=_BATCHES)
        #: Seconds by which the logs constantly lag, or None: not known, or not constant.
        self.offset: float | None = None

    def seen(self, time: NDArray[np.float64], now: float) -> bool:
        """A batch of logs (at least one) arrived. Whether `offset` was computed: once a second."""
        if len(time) == 1:
            newest = float(time[0])
            ahead = int(newest > now + _TOLERANCE)
        else:
            newest = float(time.max())
            ahead = int(np.count_nonzero(time > now + _TOLERANCE)) if newest > now else 0
        self._count_ahead(time, ahead, now)
        lag = now - newest
        if self._lags and now < self._lags[-1].arrival + 1.0:
            last = self._lags[-1]
            if lag < last.seconds:
                self._lags[-1] = _Lag(last.arrival, lag)
            return False
        self.offset = self._constant_lag()  # of the batches before: the last second is over
        self._lags.append(_Lag(now, lag))
        return True

    def _count_ahead(self, time: NDArray[np.float64], ahead: int, now: float) -> None:
        if self._logs >= _HALF_LOGS:
            self._logs, self._ahead = self._logs / 2.0, self._ahead / 2.0
        self._logs += len(time)
        self._ahead += ahead
        if ahead:
            self._ahead_by = float(np.median(time[time > now + _TOLERANCE])) - now
        share = self._ahead / self._logs
        needed = _AHEAD_ENDS if self._is_ahead else _AHEAD_SHARE
        self._is_ahead = share >= needed and (self._is_ahead or self._ahead >= _MIN_AHEAD)

    def _constant_lag(self) -> float | None:
        n = len(self._lags)
        if n < _MIN_BATCHES or self._lags[-1].arrival - self._lags[0].arrival < _MIN_SECONDS:
            return None
        lags = sorted(lag.seconds for lag in self._lags)
        low, high = lags[n // 10], lags[n * 3 // 4]
        return low if high - low <= _SPREAD else None

    @property
    def ahead(self) -> str | None:
        """What is wrong if logs come from the future."""
        if not self._is_ahead:
            return None
        part = "The logs" if self._ahead > 0.9 * self._logs else "Some of the logs"
        return (
            f"{part} have times in the future, by about {duration(self._ahead_by)}. If that is"
            " a whole number of hours or half hours, a local time is read as UTC: log with the"
            " offset or in UTC, or set the zone of the format. Else set the clock of the machine"
            " that logs, or of this one (NTP)."
        )

    @property
    def behind(self) -> str | None:
        """What is wrong if the logs lag constantly by what a time zone makes."""
        if self.offset is None or not _QUARTER + _EARLY <= self.offset <= _MAX_ZONE + _LATE:
            return None
        rest = (self.offset - _EARLY) % _QUARTER + _EARLY
        if rest > _LATE:
            return None
        return (
            f"The newest log is always {duration(self.offset - rest)} old when it arrives. That is"
            " the difference of a time zone: a local time is read as UTC. Log with the offset or in"
            " UTC, or set the zone of the format."
        )

    def differs(self, other: "Clock", now: float) -> str | None:
        """What is wrong if this source lags more than the other one, by a constant time that no
        time zone makes."""
        if not (self._is_live(now) and other._is_live(now)):
            return None
        assert self.offset is not None and other.offset is not None
        if self.offset - other.offset < _DIFFERENT:
            return None
        return (
            f"The times of this source are always {duration(self.offset - other.offset)} behind"
            " those of another one. Who did what first cannot be told across the two: set the"
            " clocks of the machines that log (NTP)."
        )

    def _is_live(self, now: float) -> bool:
        explained = self.ahead or self.behind
        return self.offset is not None and not explained and now - self._lags[-1].arrival < _SILENT


def duration(seconds: float) -> str:
    """A time span in words, to the precision that a reader needs."""
    minutes = round(abs(seconds) / 60.0)
    if minutes < 60:
        return f"{minutes} minute{'s' if minutes != 1 else ''}"
    hours, rest = divmod(minutes, 60)
    if hours >= 48:
        return f"{round(hours / 24)} days"
    text = f"{hours} hour{'s' if hours != 1 else ''}"
    return text if rest == 0 else f"{text} and {rest} minute{'s' if rest != 1 else ''}"
