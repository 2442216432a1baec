"""What a training takes from analysts' labels: rows for both sides of the classifier, and masks.

`feedback.training_labels` makes them from label records; the model knows only this shape.
"""

import math
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from api_anomaly.model.peer_baseline import PeerBaseline


class LabelledRows(NamedTuple):
    """Features (m, d) that labels put on one side, their `probability` (m,), which adds up to 1,
    and their `share` of all rows of that side."""

    rows: NDArray[np.float32]
    probability: NDArray[np.float64]
    share: float

    def sample(self, size: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """Rows for a side of `size` rows: their share of it, rounded up, with replacement."""
        if len(self.rows) == 0:
            return self.rows
        count = math.ceil(self.share * size)
        return self.rows[rng.choice(len(self.rows), count, p=self.probability)]


class TrainingLabels(NamedTuple):
    """What labels say of n logs: rows for both sides, and masks (n,) of the logs that are attacks
    (`hostile_logs`) or not (`harmless_logs`); `until` is when the last label was given, Unix
    seconds.
    """

    hostile: LabelledRows
    harmless: LabelledRows
    hostile_logs: NDArray[np.bool_]
    harmless_logs: NDArray[np.bool_]
    until: float


class LabelSource(Protocol):
    """Where a training gets its labels from."""

    def training_labels(
        self,
        rows: NDArray[np.float32],
        actors: NDArray[np.uint64],
        time: NDArray[np.float64],
        baseline: PeerBaseline,
    ) -> TrainingLabels | None:
        """Labels on n logs with features `rows` (n, d), `actors` (n,) as keys and `time` (n,) in
        Unix seconds; None without any."""
