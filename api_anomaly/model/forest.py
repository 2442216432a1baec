"""Isolation Forest (Liu, Ting, Zhou, ICDM 2008): grown by scikit-learn, scored as flat arrays by a
compiled kernel.

It gives what ``IsolationForest.score_samples`` gives (with the sign turned), to 1e-9, for one row
or a million: about a microsecond a row for 100 trees (see `walk`), where a scikit-learn call costs
milliseconds before its first row.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from api_anomaly.model.executor import Executor, serial
from api_anomaly.model.trees import Tree, Trees, depths, flatten

_TRIMMING_ROUNDS = 3
_INT_MAX = np.iinfo(np.int32).max
_KEPT = 0.93  # of the training rows in each round; see Forest.grow_trimmed


class Forest(NamedTuple):
    """Trees whose leaves give expected path lengths; suspicion = 2^(-mean path / `usual_path`)."""

    trees: Trees
    usual_path: float

    @classmethod
    def grow(cls, rows: NDArray[np.float32], trees: int, sample: int, seed: int) -> Self:
        """Grow `trees` trees on `sample` of `rows` (n, d) each. Deterministic by `seed`."""
        return cls._grow(rows, np.arange(len(rows)), trees, sample, seed)

    @classmethod
    def _grow(
        cls,
        rows: NDArray[np.float32],
        kept: NDArray[np.int64],
        trees: int,
        sample: int,
        seed: int,
    ) -> Self:
        """What `of` makes of scikit-learn's IsolationForest for ``rows[kept]``, to the last bit.

        That forest passes over all rows for each tree, and wants them side by side: 300 MB copied
        for a million logs. Its trees see their sample alone.
        """
        # Slow to import; a server that only scores never needs it.
        from sklearn.tree import ExtraTreeRegressor
        from sklearn.utils.random import sample_without_replacement

        sample = min(sample, len(kept))
        target = np.random.RandomState(seed).uniform(size=len(kept))
        deepest = int(np.ceil(np.log2(max(sample, 2))))
        grown = []
        for own_seed in np.random.RandomState(seed).randint(_INT_MAX, size=trees):
            chance = np.random.RandomState(own_seed)
            sample_without_replacement(rows.shape[1], rows.shape[1], random_state=chance)
            some = np.sort(sample_without_replacement(len(kept), sample, random_state=chance))
            tree = ExtraTreeRegressor(
                max_depth=deepest,
                max_features=1,
                random_state=np.random.RandomState(own_seed).randint(_INT_MAX),
            )
            grown.append(tree.fit(rows[kept[some]], target[some], check_input=False))
        return cls._flat(grown, sample)

    @classmethod
    def grow_trimmed(
        cls,
        rows: NDArray[np.float32],
        trees: int,
        sample: int,
        seed: int,
        executor: Executor = serial,
    ) -> Self:
        """Grow on the calmer rows only: attacks in the training data must not pass for usual.

        Three times the 7 % most suspicious of all rows are left out and the forest is grown anew.
        """
        kept = np.arange(len(rows))
        for _ in range(_TRIMMING_ROUNDS):
            suspicion = cls._grow(rows, kept, trees, sample, seed).suspicion(rows, executor)
            kept = np.flatnonzero(suspicion <= np.quantile(suspicion, _KEPT))
        return cls._grow(rows, kept, trees, sample, seed)

    @classmethod
    def of(cls, grown: Any) -> Self:
        """The flat form of a fitted scikit-learn IsolationForest whose trees see all features."""
        return cls._flat(grown.estimators_, grown.max_samples_)

    @classmethod
    def _flat(cls, grown: Sequence[Any], sample: int) -> Self:
        """The flat form of scikit-learn's trees, each grown on `sample` rows."""
        usual = float(average_path(np.array([sample]))[0])
        return cls(flatten([_tree(tree.tree_) for tree in grown]), usual)

    def suspicion(
        self, rows: NDArray[np.float32], executor: Executor = serial
    ) -> NDArray[np.float64]:
        """Suspicion in (0, 1] of each row (n, d): higher is more anomalous, 0.5 is neutral."""
        return self.suspicion_from(self.trees.sums(rows, executor))

    def suspicion_from(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """`suspicion` of rows whose sums (n,) over the trees are known."""
        whole = len(self.trees.roots) * self.usual_path
        if whole == 0.0:  # grown on one row: all are neutral, as scikit-learn has it
            return np.full(len(sums), 0.5)
        return np.exp2(-sums / whole)


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
