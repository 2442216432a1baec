"""The clockless arithmetic of "lately": decaying counts, driven by the logs' own time.

A count with half-life h is the sum of 2^(-(now - t) / h) over its events: each event weighs 1 when
it happens and half of that h seconds later. It is one number, needs no ring of buckets, and adding
a late event with its own decayed weight gives exactly the count that it would have given in time
(forward decay; Cormode et al., "Forward Decay", ICDE 2009). Roughly, a count with half-life h
holds the events of the last 1.44 h seconds.
"""

import math

import numpy as np

from api_anomaly.kernels import kernel

#: Half-lives in seconds, from a burst to a day. Requests are counted at all four, everything else
#: at the last three.
HALF_LIVES = (10.0, 180.0, 3_600.0, 86_400.0)
#: A log older than its actor's last one by more than this many seconds sets the actor's clock
#: back (see `advance`).
LATEST = 86_400.0

_RATES = tuple(math.log(2.0) / half_life for half_life in HALF_LIVES)
R0, R1, R2, R3 = _RATES
LOG2E = math.log2(math.e)


@kernel
def decay_factors(elapsed):  # type: ignore[no-untyped-def]
    """2^(-elapsed / h) for the four half-lives; `elapsed` in seconds, >= 0. As float32."""
    if elapsed == 0.0:  # so it is for the weight of every log that is not late
        one = np.float32(1.0)
        return one, one, one, one
    return (
        np.float32(math.exp(-elapsed * R0)),
        np.float32(math.exp(-elapsed * R1)),
        np.float32(math.exp(-elapsed * R2)),
        np.float32(math.exp(-elapsed * R3)),
    )


@kernel
def advance(last, now):  # type: ignore[no-untyped-def]
    """What a log of time `now` does to a past that stands at `last`: (elapsed, late, stands at).

    In time: the past decays by `elapsed`. Late: the past stays and the log weighs less, by its own
    age `late`. A log late by more than LATEST means that the clock had jumped (a skewed shipper):
    the past stays and its clock is set back, so that one log from the year 9999 cannot blind an
    entity for ever. The jump itself, in whichever direction, costs the entity its counts once.
    """
    if now >= last:
        return now - last, 0.0, now
    if last - now > LATEST:
        return 0.0, 0.0, now
    return 0.0, last - now, last


@kernel
def share(part, whole, prior):  # type: ignore[no-untyped-def]
    """part / (whole + prior): a share that stays near 0 until about `prior` events were seen."""
    return part / (whole + prior)


@kernel
def surprise(part, whole, expected, strength):  # type: ignore[no-untyped-def]
    """Bits >= 0: -log2 of the probability (part + strength * expected) / (whole + strength).

    `expected` is the probability before any evidence, `strength` how many events it is worth
    (Dirichlet prior).
    """
    probability = (part + strength * expected) / (whole + strength)
    return max(0.0, -math.log(max(probability, 1e-9)) * LOG2E)
