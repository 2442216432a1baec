"""The anomalies that were returned lately, by id, so that a verdict can name one."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from api_anomaly.feedback.labels import LABEL


class RecentAnomalies:
    """At most `most` anomalies as lessons without a verdict; the ones returned longest ago make
    room. Half a kilobyte each, taken as they come."""

    def __init__(self, most: int) -> None:
        self._labels = np.zeros(most, LABEL)
        self._places: dict[bytes, int] = {}
        self._next = 0

    def __len__(self) -> int:
        """How many are known."""
        return len(self._places)

    def add(self, labels: NDArray[Any]) -> None:
        """Remember more (m,). One that is known already counts as returned now."""
        most = len(self._labels)
        for label in labels[max(0, len(labels) - most) :]:
            place = self._next
            gone = bytes(self._labels[place]["anomaly"])
            if self._places.get(gone) == place:
                del self._places[gone]
            self._labels[place] = label
            self._places[bytes(label["anomaly"])] = place
            self._next = (place + 1) % most

    def kept(self) -> NDArray[Any]:
        """Copies of all that are known, the ones returned longest ago first."""
        ordered = np.roll(self._labels, -self._next)
        known: NDArray[Any] = ordered[ordered["anomaly"] != b""]
        return known

    def find(self, ids: Sequence[str]) -> tuple[NDArray[Any], list[int]]:
        """The lessons of `ids` (m,), and the places of those that nobody knows (left blank)."""
        found, unknown = np.zeros(len(ids), LABEL), []
        for i, name in enumerate(ids):
            place = self._places.get(name.encode("utf-8", "surrogatepass"))
            if place is None:
                unknown.append(i)
            else:
                found[i] = self._labels[place]
        return found, unknown
