"""Counters for Prometheus that cost a request next to nothing.

Those of prometheus_client take a lock and four calls for each event, because any thread may count
there. Ours are counted and collected by the event loop alone.
"""

from collections.abc import Iterator

from prometheus_client.core import CounterMetricFamily
from prometheus_client.registry import Collector


class Tally(Collector):
    """Counts by the values of `labels`; without labels from 0 on. Not thread-safe."""

    def __init__(self, name: str, meaning: str, labels: tuple[str, ...]) -> None:
        self._name = name
        self._meaning = meaning
        self._labels = labels
        self._counts: dict[tuple[str, ...], float] = {}
        if not labels:
            self.count((), 0.0)

    def count(self, values: tuple[str, ...], by: float) -> None:
        """Add to the count under these values, one for each label."""
        self._counts[values] = self._counts.get(values, 0.0) + by

    def collect(self) -> Iterator[CounterMetricFamily]:
        """What the registry asks for at each scrape."""
        family = CounterMetricFamily(self._name, self._meaning, labels=self._labels)
        for values, count in self._counts.items():
            family.add_metric(values, count)
        yield family
