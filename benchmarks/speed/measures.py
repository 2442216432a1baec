"""Quantiles, medians with their spread, and ratios turn by turn."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """Median, lowest and highest of a few turns."""

    median: float
    low: float
    high: float

    def text(self, form: str = ",.0f", scale: float = 1.0) -> str:
        """`median (low to high)`, each times `scale`."""
        median, low, high = (format(scale * value, form) for value in self)
        return f"{median} ({low} to {high})"


def spread(values: Sequence[float]) -> Spread:
    """At least one turn."""
    return Spread(statistics.median(values), min(values), max(values))


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest of at least one value that `share` of all do not exceed (nearest rank), so never
    an interpolated value.
    """
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Ours over theirs, turn by turn, because a slow machine slows both measurements of a turn."""
    return spread([a / b for a, b in zip(ours, theirs, strict=True)])
