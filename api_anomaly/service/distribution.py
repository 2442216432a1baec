"""A histogram for Prometheus that takes whole arrays: a batch of 100 000 scores at once."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import ArrayLike
from prometheus_client.core import HistogramMetricFamily
from prometheus_client.registry import Collector


class Distribution(Collector):
    """Counts values between `buckets`, the upper edges (inclusive, ascending). No labels.

    Not thread-safe: the event loop observes and collects.
    """

    def __init__(self, name: str, meaning: str, buckets: tuple[float, ...]) -> None:
        self._name = name
        self._meaning = meaning
        self._edges = np.array(buckets, np.float64)
        self._names = [*(str(float(edge)) for edge in buckets), "+Inf"]
        self._counts = np.zeros(len(self._names), np.int64)
        self._sum = 0.0

    def observe(self, values: ArrayLike) -> None:
        """Add one value or an array of them; none may be NaN or, as a sum must grow, negative."""
        found = np.atleast_1d(np.asarray(values, np.float64))
        places = np.searchsorted(self._edges, found)
        self._counts += np.bincount(places, minlength=len(self._counts))
        self._sum += float(found.sum())

    def collect(self) -> Iterator[HistogramMetricFamily]:
        """What the registry asks for at each scrape."""
        totals = np.cumsum(self._counts).tolist()
        buckets = list(zip(self._names, totals, strict=True))
        yield HistogramMetricFamily(self._name, self._meaning, buckets, self._sum)
