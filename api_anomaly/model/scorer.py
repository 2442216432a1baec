"""What a detection algorithm has to offer.

Inside the service, how anomalous a log is, is its *evidence*: -ln of a tail probability, the share
of the team's ordinary logs that look at least as anomalous. It is >= 0, higher is more anomalous,
and the median log has about ln 2. As a probability it can be compared between algorithms.

To add an algorithm, write a class with the methods of `Scorer` and add it to `bundle.SCORERS`.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from api_anomaly.logs.columns import Columns
from api_anomaly.model.classifier import SyntheticRows
from api_anomaly.model.executor import Executor
from api_anomaly.model.peer_baseline import PeerBaseline
from api_anomaly.model.training_labels import TrainingLabels


@dataclass(frozen=True)
class FitOptions:
    """How to train. `test_size` is the share of the latest logs held out, `alert_budget` the false
    alarms per ordinary log, `sample` how many rows a tree of the forest grows on, and
    `memory_entities` how many users, addresses and endpoints the memory holds.
    """

    test_size: float = 0.2
    alert_budget: float = 0.001
    trees: int = 100
    sample: int = 256
    seed: int = 0
    memory_entities: int = 1_000_000


class Split(NamedTuple):
    """How n logs in time order are used: those before `warm` only fill the memory, since they had
    too little past to be scored by; those from `held_out` on are not trained on."""

    warm: int
    held_out: int


@dataclass(frozen=True)
class TrainingData:
    """A history of n logs in time order, prepared for every scorer.

    `rows` (n, d) are features; `keys` (n, 3) are user, address and endpoint; `labels` are about the
    logs from `split.warm` on; `synthetic_sets` is None where the history is too short to generate
    attacks on it.
    """

    columns: Columns
    split: Split
    rows: NDArray[np.float32]
    keys: NDArray[np.uint64]
    peer_baseline: PeerBaseline
    synthetic_sets: list[SyntheticRows] | None
    labels: TrainingLabels | None

    @property
    def history(self) -> Columns:
        """The logs to train on."""
        return self.columns.between(*self.split)

    @property
    def training_rows(self) -> NDArray[np.float32]:
        """Features of `history`."""
        return self.rows[slice(*self.split)]


class Scorer(Protocol):
    """A detection algorithm that has been trained. Immutable; one instance serves all threads."""

    @classmethod
    def fit(cls, data: TrainingData, options: FitOptions, executor: Executor) -> "FittedScorer":
        """Train on `data`. Deterministic by `options.seed`, whatever the `executor`."""

    def evidence(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Evidence (n,) of feature rows (n, d). A row's does not depend on the other rows."""

    def contributions(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Evidence (n, d) that each feature adds, against what is ordinary; negative where it makes
        the row less anomalous. Relative sizes count: it decides which reasons are given."""

    def state(self) -> dict[str, Any]:
        """Everything that scoring needs, as dicts of arrays and numbers. It is stored on disk."""

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """The scorer back from `state`. Raises KeyError or TypeError where it is not one."""


class FittedScorer(NamedTuple):
    """A trained scorer and what the training knows of its n logs.

    `evidence` (n,) of all rows; `excluded` (n - split.warm,) marks logs that may be attacks and
    should not raise the threshold; `labels_until` is when the last label that was learned was given
    (Unix seconds).
    """

    scorer: Scorer
    evidence: NDArray[np.float64]
    excluded: NDArray[np.bool_] | None = None
    labels_until: float = -np.inf


def as_dict(value: Any) -> Any:
    """Named tuples as plain dicts, all the way down: stored models hold no classes."""
    if hasattr(value, "_asdict"):
        return {name: as_dict(part) for name, part in value._asdict().items()}
    return value
