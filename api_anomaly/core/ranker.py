"""The second stage: how much a log looks like abuse rather than like this team's own traffic.

Shallow boosted trees (scikit-learn's HistGradientBoostingClassifier; Friedman, 2001), trained to
tell the rehearsed attacks (see `rehearsal`) from the team's own logs. It sees hostility where the
forest sees rarity; the detector adds the evidence of both. What it cannot know: abuses that are in
the training data in bulk count as own traffic.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from api_anomaly.core.trees import Tree, Trees, flatten

# Few, shallow trees that each see a tenth of the behaviours: larger models learnt the rehearsal by
# heart and did worse on real attacks.
_ITERATIONS, _DEPTH, _LEAF_ROWS, _SEEN_FEATURES = 40, 3, 30, 0.1
_MOST_ROWS = 20_000  # of own traffic; more did not help and costs time
#: Share of own traffic that is drawn log by log; the rest is drawn actor by actor, so that neither
#: a few busy machines nor many quiet users are out of sight.
_BY_LOG = 0.7


class Ranker(NamedTuple):
    """Trees whose leaves add up to log-odds of abuse."""

    trees: Trees
    baseline: float

    @classmethod
    def train(
        cls,
        own: NDArray[np.float32],
        actors: NDArray[np.uint64],
        rehearsals: Sequence[NDArray[np.float32]],
        seed: int,
    ) -> Self:
        """Tell rehearsed attacks from `own` (n, d), whose actors are `actors` (n,).

        One model for each rehearsal (m, d); the ranker is their mean. Deterministic by `seed`.
        """
        rng = np.random.default_rng(seed)
        models = [
            _fitted(_drawn(own, actors, rng), rows, seed + i) for i, rows in enumerate(rehearsals)
        ]
        share = 1.0 / len(models)
        trees = [_tree(step[0].nodes, share) for model in models for step in model._predictors]
        baselines = [float(np.ravel(model._baseline_prediction)[0]) for model in models]
        return cls(flatten(trees), share * sum(baselines))

    def log_odds(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Log-odds of abuse of each row (n, d): the mean of the models' ``decision_function``."""
        return self.baseline + self.trees.sums(rows)


def _drawn(
    own: NDArray[np.float32], actors: NDArray[np.uint64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """At most `_MOST_ROWS` of `own`, with replacement."""
    _, place, counts = np.unique(actors, return_inverse=True, return_counts=True)
    by_actor = 1.0 / (counts[place] * len(counts))
    chance = _BY_LOG / len(own) + (1.0 - _BY_LOG) * by_actor
    return own[rng.choice(len(own), min(_MOST_ROWS, len(own)), p=chance / chance.sum())]


def _fitted(own: NDArray[np.float32], rehearsed: NDArray[np.float32], seed: int) -> Any:
    """A HistGradientBoostingClassifier for which both sides weigh the same in sum."""
    # Slow to import, and a server that only scores never needs them.
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    rows = np.concatenate([own, rehearsed])
    hostile = np.arange(len(rows)) >= len(own)
    weights = np.where(hostile, len(own) / len(rehearsed), 1.0)
    model = HistGradientBoostingClassifier(
        max_iter=_ITERATIONS,
        max_depth=_DEPTH,
        min_samples_leaf=_LEAF_ROWS,
        max_features=_SEEN_FEATURES,
        l2_regularization=1.0,
        max_bins=63,
        early_stopping=False,
        random_state=seed,
    )
    # One thread: a training leaves the other core to the requests, and threads that wait for one
    # another on a busy machine made it many times slower.
    with threadpool_limits(limits=1, user_api="openmp"):
        return model.fit(rows, hostile, sample_weight=weights)


def _tree(nodes: NDArray[Any], share: float) -> Tree:
    left = np.where(nodes["is_leaf"], -1, nodes["left"].astype(np.int64))
    threshold, value = nodes["num_threshold"], share * nodes["value"]
    return Tree(left, nodes["right"], nodes["feature_idx"], threshold, value)
