"""Isolation Forest (Liu, Ting, Zhou, ICDM 2008): grown by scikit-learn, scored by `trees`.

Scores are those of ``IsolationForest.score_samples`` with the sign turned, to 1e-9. A row costs
about a microsecond for 100 trees, alone or in a batch; a scikit-learn call costs milliseconds.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from api_anomaly.model.executor import Executor, serial
from api_anomaly.model.flatten import Tree, flatten, node_depths
from api_anomaly.model.trees import FlatTrees

_TRIMMING_ROUNDS = 3
_KEPT_SHARE = 0.93  # of the training rows in each round; see Forest.grow_trimmed
_INT_MAX = np.iinfo(np.int32).max


class Forest(NamedTuple):
    """Trees whose leaves give path lengths, and the `expected_path` c(sample) of the paper."""

    trees: FlatTrees
    expected_path: float

    @classmethod
    def grow(
        cls,
        rows: NDArray[np.float32],
        trees: int,
        sample: int,
        seed: int,
        kept: NDArray[np.int64] | None = None,
    ) -> Self:
        """`trees` trees, each grown on `sample` of ``rows[kept]`` (n, d). Deterministic by `seed`.

        The trees are those of scikit-learn's IsolationForest for ``rows[kept]`` to the last bit.
        IsolationForest itself passes over all rows for each tree and needs a contiguous copy of
        them: 300 MB for a million logs. Here a tree reads its sample alone.
        """
        # Slow to import; a server that only scores never needs it.
        from sklearn.tree import ExtraTreeRegressor
        from sklearn.utils.random import sample_without_replacement

        kept = np.arange(len(rows)) if kept is None else kept
        sample = min(sample, len(kept))
        target = np.random.RandomState(seed).uniform(size=len(kept))
        max_depth = int(np.ceil(np.log2(max(sample, 2))))
        grown = []
        for tree_seed in np.random.RandomState(seed).randint(_INT_MAX, size=trees):
            random = np.random.RandomState(tree_seed)
            sample_without_replacement(rows.shape[1], rows.shape[1], random_state=random)
            drawn = np.sort(sample_without_replacement(len(kept), sample, random_state=random))
            tree = ExtraTreeRegressor(
                max_depth=max_depth,
                max_features=1,
                random_state=np.random.RandomState(tree_seed).randint(_INT_MAX),
            )
            grown.append(tree.fit(rows[kept[drawn]], target[drawn], check_input=False))
        return cls._from_trees(grown, sample)

    @classmethod
    def grow_trimmed(
        cls,
        rows: NDArray[np.float32],
        trees: int,
        sample: int,
        seed: int,
        executor: Executor = serial,
    ) -> Self:
        """Grow without the most isolated rows, so that attacks in the training do not count as
        ordinary: three times the 7 % of all rows with the highest scores are left out and the
        forest is grown anew.
        """
        kept = np.arange(len(rows))
        for _ in range(_TRIMMING_ROUNDS):
            scores = cls.grow(rows, trees, sample, seed, kept).isolation_scores(rows, executor)
            kept = np.flatnonzero(scores <= np.quantile(scores, _KEPT_SHARE))
        return cls.grow(rows, trees, sample, seed, kept)

    @classmethod
    def from_sklearn(cls, grown: Any) -> Self:
        """From a fitted scikit-learn IsolationForest whose trees see all features."""
        return cls._from_trees(grown.estimators_, grown.max_samples_)

    @classmethod
    def _from_trees(cls, grown: Sequence[Any], sample: int) -> Self:
        """From scikit-learn's trees, each grown on `sample` rows."""
        expected_path = float(average_path(np.array([sample]))[0])
        return cls(flatten([_tree(tree.tree_) for tree in grown]), expected_path)

    @property
    def total_path(self) -> float:
        """The expected path summed over the trees."""
        return len(self.trees.roots) * self.expected_path

    def isolation_scores(
        self, rows: NDArray[np.float32], executor: Executor = serial
    ) -> NDArray[np.float64]:
        """2^(-mean path / expected path) in (0, 1] of each row (n, d): higher is more anomalous,
        0.5 is neutral."""
        return self.isolation_scores_from(self.trees.sums(rows, executor))

    def isolation_scores_from(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """`isolation_scores` of rows whose sums (n,) over the trees are known."""
        if self.total_path == 0.0:  # grown on one row: all are neutral, as in scikit-learn
            return np.full(len(sums), 0.5)
        return np.exp2(-sums / self.total_path)


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
    return tree._replace(value=node_depths(tree) + average_path(grown.n_node_samples))
