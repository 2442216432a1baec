"""Intervals: the same figures on entities drawn again, with replacement (Efron, 1979).

Entities and not logs, because the logs of one attacker or one noisy client come together; attackers
and benign entities apart, so that no drawing is without either. Every contender is judged on the
same drawings.
"""

from __future__ import annotations

import numpy as np

from benchmarks.quality.datasets import Flags, Floats
from benchmarks.quality.measures import Points, Ranked

COVERED = (2.5, 97.5)  # percent: the ends of the interval


def drawings(hostile: Flags, replicates: int, seed: int = 0) -> Floats:
    """float64 (replicates, entities): how often each entity was drawn; each row sums to theirs."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((replicates, len(hostile)))
    for kind in (hostile, ~hostile):
        count = int(kind.sum())
        if count:
            weights[:, kind] = rng.multinomial(count, np.full(count, 1.0 / count), replicates)
    return weights


def points_of_drawings(ranked: Ranked, weights: Floats) -> list[Points]:
    """The points of each drawing."""
    return [ranked.points(weight) for weight in weights]


def interval(values: Floats) -> tuple[float, float] | None:
    """The 95 % percentile interval of the finite values; None when there are none."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    low, high = np.percentile(finite, COVERED)
    return float(low), float(high)
