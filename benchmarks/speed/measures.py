"""Plain arithmetic of measurements: quantiles, medians with their spread, shares turn by turn."""

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple


class Spread(NamedTuple):
    """The median of a few turns, the lowest and the highest."""

    middle: float
    low: float
    high: float

    def text(self, form: str = ",.0f", scale: float = 1.0) -> str:
        """`middle (low to high)`, each times `scale`."""
        middle, low, high = (format(scale * value, form) for value in self)
        return f"{middle} ({low} to {high})"


def spread(values: Sequence[float]) -> Spread:
    """Of at least one turn."""
    return Spread(statistics.median(values), min(values), max(values))


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest of at least one value that `share` of all do not exceed (nearest rank): one
    that was measured, never one in between."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def shares(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """Ours over theirs, turn by turn: what slows the machine slows both of a turn."""
    return spread([a / b for a, b in zip(ours, theirs, strict=True)])
