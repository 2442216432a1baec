"""Isolation Forest (Liu, Ting, Zhou, ICDM 2008): grown by scikit-learn, scored as flat arrays by a
compiled kernel.

It gives what ``IsolationForest.score_samples`` gives (with the sign turned), to 1e-9, for one row
or a million: about a microsecond a row for 100 trees (see `walk`), where a scikit-learn call costs
milliseconds before its first row.
"""

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from api_anomaly.core.trees import Tree, Trees, depths, flatten

_TRIMMING_ROUNDS = 3
_KEPT = 0.93  # of the training rows in each round; see Forest.grow_trimmed


class Forest(NamedTuple):
    """Trees whose leaves give expected path lengths; suspicion = 2^(-mean path / `usual_path`)."""

    trees: Trees
    usual_path: float

    @classmethod
    def grow(cls, rows: NDArray[np.float32], trees: int, sample: int, seed: int) -> Self:
        """Grow `trees` trees on `sample` of `rows` (n, d) each. Deterministic by `seed`."""
        # Slow to import; a server that only scores never needs it.
        from sklearn.ensemble import IsolationForest

        sample = min(sample, len(rows))
        grown = IsolationForest(n_estimators=trees, max_samples=sample, random_state=seed)
        return cls.of(grown.fit(rows))

    @classmethod
    def grow_trimmed(cls, rows: NDArray[np.float32], trees: int, sample: int, seed: int) -> Self:
        """Grow on the calmer rows only: attacks in the training data must not pass for usual.

        Three times the 7 % most suspicious of all rows are left out and the forest is grown anew.
        """
        kept = rows
        for _ in range(_TRIMMING_ROUNDS):
            suspicion = cls.grow(kept, trees, sample, seed).suspicion(rows)
            kept = rows[suspicion <= np.quantile(suspicion, _KEPT)]
        return cls.grow(kept, trees, sample, seed)

    @classmethod
    def of(cls, grown: Any) -> Self:
        """The flat form of a fitted scikit-learn IsolationForest whose trees see all features."""
        usual = float(average_path(np.array([grown.max_samples_]))[0])
        return cls(flatten([_tree(estimator.tree_) for estimator in grown.estimators_]), usual)

    def suspicion(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Suspicion in (0, 1] of each row (n, d): higher is more anomalous, 0.5 is neutral."""
        whole = len(self.trees.roots) * self.usual_path
        if whole == 0.0:  # grown on one row: all are neutral, as scikit-learn has it
            return np.full(len(rows), 0.5)
        return np.exp2(-self.trees.sums(rows) / whole)


def average_path(sizes: NDArray[Any]) -> NDArray[np.float64]:
    """Mean path length of an unsuccessful search among `sizes` points (equation 1 of the paper)."""
    n = np.asarray(sizes, np.float64)
    harmonic = np.log(np.maximum(n - 1.0, 1.0)) + np.euler_gamma
    many = 2.0 * harmonic - 2.0 * (n - 1.0) / np.maximum(n, 1.0)
    return np.where(n <= 1, 0.0, np.where(n == 2, 1.0, many))


def _tree(grown: Any) -> Tree:
    """A tree whose leaves give the expected path length of the rows that end there."""
    tree = Tree(
        grown.children_left, grown.children_right, grown.feature, grown.threshold, np.empty(0)
    )
    return tree._replace(value=depths(tree) + average_path(grown.n_node_samples))
