"""Decaying counts, driven by the logs' own time instead of a clock.

A count with half-life h is the sum of 2^(-(now - t) / h) over its events: each event weighs 1 when
it happens and half of that h seconds later. The count is one number and needs no ring of buckets.
A late event that is added with its own decayed weight gives exactly the count that it would have
given in time (forward decay; Cormode et al., "Forward Decay: A Practical Time Decay Model for
Streaming Systems", ICDE 2009).

At a steady rate a count with half-life h holds as many events as fall into h / ln 2 = 1.44 h
seconds. The texts of the feature table name that time: 15 seconds, 4 minutes, 90 minutes, a day and
a half.
"""

import math

import numpy as np

from api_anomaly.kernels import kernel

#: Half-lives in seconds.
HALF_LIVES = (10.0, 180.0, 3_600.0, 86_400.0)
#: Their indices. Requests are counted at all four, everything else at some of the last three.
SECONDS_10, MINUTES_3, HOUR_1, DAY_1 = range(4)
#: Seconds. A record whose clock is further ahead of the receiver's is set back by a log that is
#: later than this (see `advance`).
MAX_LATENESS = 86_400.0
#: The time of receiving where nobody knows it: every clock may have jumped ahead.
UNKNOWN = -math.inf
#: Seconds. A log that is later than this belongs to another session than the record's last one.
SESSION_SECONDS = 1_800.0

_RATES = tuple(math.log(2.0) / half_life for half_life in HALF_LIVES)
_RATE_10S, _RATE_3M, _RATE_1H, _RATE_1D = _RATES

#: A factor for each half-life.
Factors = tuple[np.float32, np.float32, np.float32, np.float32]


@kernel
def decay_factors(elapsed: float) -> Factors:
    """2^(-elapsed / h) for each half-life h; `elapsed` in seconds, >= 0."""
    if elapsed == 0.0:  # the usual case: the weight of a log that is not late
        one = np.float32(1.0)
        return one, one, one, one
    return (
        np.float32(math.exp(-elapsed * _RATE_10S)),
        np.float32(math.exp(-elapsed * _RATE_3M)),
        np.float32(math.exp(-elapsed * _RATE_1H)),
        np.float32(math.exp(-elapsed * _RATE_1D)),
    )


@kernel
def advance(clock: float, time: float, now: float) -> tuple[float, float, float]:
    """What a log at `time`, received at `now`, does to a record whose clock stands at `clock`:
    (seconds by which the record decays, seconds by which the log is late, new clock).

    A log in time lets the record decay. A late log leaves the record as it is and weighs less, by
    its own age, also if it comes days late from a shipper that was cut off. Only a clock that is
    ahead of the receiver's has jumped ahead (a shipper with a wrong clock): by more than
    MAX_LATENESS, and the next log as much behind it sets it back, and nothing decays. So one log
    from the year 9999 cannot make a record useless for ever; each jump costs it its counts once at
    most.
    """
    if time >= clock:
        return time - clock, 0.0, time
    if clock - time > MAX_LATENESS and clock - now > MAX_LATENESS:
        return 0.0, 0.0, time
    return 0.0, clock - time, clock
