"""Confidence intervals by the bootstrap (Efron, 1979): the same figures on resampled entities.

Entities are drawn and not logs, because the logs of one attacker or of one noisy client belong
together. Attackers and benign entities are drawn separately, so that each sample has both. All
contenders are measured on the same samples.
"""

from __future__ import annotations

import numpy as np

from benchmarks.quality.datasets import Flags, Floats

PERCENTILES = (2.5, 97.5)  # the ends of the 95 % interval


def draw_weights(is_attack: Flags, replicates: int, seed: int = 0) -> Floats:
    """float64 (replicates, entities): how often each entity was drawn, with replacement."""
    rng = np.random.default_rng(seed)
    weights = np.zeros((replicates, len(is_attack)))
    for kind in (is_attack, ~is_attack):
        count = int(kind.sum())
        if count:
            weights[:, kind] = rng.multinomial(count, np.full(count, 1.0 / count), replicates)
    return weights


def interval(values: Floats) -> tuple[float, float] | None:
    """The 95 % percentile interval of the finite values; None if there are none."""
    finite = values[np.isfinite(values)]
    if not len(finite):
        return None
    low, high = np.percentile(finite, PERCENTILES)
    return float(low), float(high)
