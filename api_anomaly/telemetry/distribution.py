"""Histograms for Prometheus that take whole arrays, a batch of 100 000 scores at once, and for a
single value no more than finding its place."""

from bisect import bisect_left
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector

#: Up to so many values are counted one by one: an array of a few costs numpy as much as of 100.
_FEW = 16


class Histogram:
    """Counts values between `edges`, the upper ones (inclusive, ascending)."""

    def __init__(self, edges: tuple[float, ...]) -> None:
        self._edges = edges
        self._counts = [0] * (len(edges) + 1)
        self.sum = 0.0

    def observe(self, value: float) -> None:
        """Add one value. It may be neither NaN nor, as a sum must grow, negative."""
        self._counts[bisect_left(self._edges, value)] += 1
        self.sum += value

    def observe_all(self, values: NDArray[np.float64]) -> None:
        """Add an array of such values."""
        if len(values) <= _FEW:
            for value in values.tolist():
                self.observe(value)
            return
        places = np.searchsorted(self._edges, values)
        found = np.bincount(places, minlength=len(self._counts)).tolist()
        self._counts = [count + more for count, more in zip(self._counts, found, strict=True)]
        self.sum += float(values.sum())

    def buckets(self) -> list[tuple[str, float]]:
        """How many values were at most each edge, and how many there were."""
        names = [*(str(edge) for edge in self._edges), "+Inf"]
        return list(zip(names, np.cumsum(self._counts).tolist(), strict=True))


class HistogramFamily(Collector):
    """A Distribution for all values of `labels`; without labels there is one from the start.

    Not thread-safe: the event loop observes and collects.
    """

    def __init__(
        self, name: str, meaning: str, labels: tuple[str, ...], buckets: tuple[float, ...]
    ) -> None:
        self._name = name
        self._meaning = meaning
        self._labels = labels
        self._edges = tuple(float(edge) for edge in buckets)
        self._found: dict[tuple[str, ...], Histogram] = {}
        if not labels:
            self.under(())

    def under(self, values: tuple[str, ...]) -> Histogram:
        """The one under these values, one for each label."""
        found = self._found.get(values)
        if found is None:
            found = self._found[values] = Histogram(self._edges)
        return found

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """What the registry asks for at each scrape."""
        family = HistogramMetricFamily(self._name, self._meaning, labels=self._labels)
        for values, found in self._found.items():
            family.add_metric(values, found.buckets(), found.sum)
        yield family
