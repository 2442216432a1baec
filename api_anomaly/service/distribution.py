"""A histogram for Prometheus that takes whole arrays: a batch of 100 000 scores at once."""

from bisect import bisect_left
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

#: Up to so many values are counted one by one: an array of a few costs numpy as much as of 100.
_FEW = 16


class Distribution(Collector):
    """Counts values between `buckets`, the upper edges (inclusive, ascending). No labels.

    Not thread-safe: the event loop observes and collects.
    """

    def __init__(self, name: str, meaning: str, buckets: tuple[float, ...]) -> None:
        self._name = name
        self._meaning = meaning
        self._edges = tuple(float(edge) for edge in buckets)
        self._names = [*(str(edge) for edge in self._edges), "+Inf"]
        self._counts = [0] * len(self._names)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        """Add one value. It may be neither NaN nor, as a sum must grow, negative."""
        self._counts[bisect_left(self._edges, value)] += 1
        self._sum += value

    def observe_all(self, values: NDArray[np.float64]) -> None:
        """Add an array of such values."""
        if len(values) <= _FEW:
            for value in values.tolist():
                self.observe(value)
            return
        places = np.searchsorted(self._edges, values)
        found = np.bincount(places, minlength=len(self._counts)).tolist()
        self._counts = [count + more for count, more in zip(self._counts, found, strict=True)]
        self._sum += float(values.sum())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """What the registry asks for at each scrape."""
        totals = np.cumsum(self._counts).tolist()
        buckets = list(zip(self._names, totals, strict=True))
        yield HistogramMetricFamily(self._name, self._meaning, buckets, self._sum)
