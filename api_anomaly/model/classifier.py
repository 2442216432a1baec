"""The second stage: how much a log looks like abuse rather than like this team's own traffic.

Shallow boosted trees (scikit-learn's HistGradientBoostingClassifier; Friedman, 2001), trained to
tell the rehearsed attacks (see `synthetic`) from the team's own logs. It sees hostility where the
forest sees rarity, which counts where this stage can tell next to nothing (see
`model.odds_of_abuse`). What it cannot know: abuses that are in the training data in bulk count as
own traffic.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from api_anomaly.model.executor import Executor, Task, serial
from api_anomaly.model.training_labels import TrainingLabels
from api_anomaly.model.trees import Tree, Trees, flatten

# Shallow trees whose splits each see three tenths of the behaviours. Larger models do worse where
# attacks hide among the own logs, since they learn those by heart: hence `train_classifier`.
_ITERATIONS, _DEPTH, _LEAF_ROWS, _SEEN_FEATURES = 60, 5, 30, 0.3
_MOST_ROWS = 12_000  # of either side; more did not help and costs time
#: Share of own traffic that is drawn log by log; the rest is drawn actor by actor, so that neither
#: a few busy machines nor many quiet users are out of sight.
_BY_LOG = 0.7
_BY_ATTACKER = 0.25  # of a rehearsed family's share, attacker by attacker; the rest log by log


class SyntheticRows(NamedTuple):
    """Behaviours of rehearsed attacks (m, d), each one's family (m,) and attacker (m,)."""

    rows: NDArray[np.float32]
    family: NDArray[np.int64]
    attacker: NDArray[np.int64]


class AbuseClassifier(NamedTuple):
    """Trees whose leaves add up to log-odds of abuse."""

    trees: Trees
    baseline: float

    @classmethod
    def train(
        cls,
        own: NDArray[np.float32],
        actors: NDArray[np.uint64],
        weight: NDArray[np.float64],
        synthetic_sets: Sequence[SyntheticRows],
        seed: int,
        training_labels: TrainingLabels | None = None,
        executor: Executor = serial,
    ) -> Self:
        """Tell rehearsed attacks from `own` (n, d), whose actors are `actors` (n,) and which
        are drawn in proportion to `weight` (n,). What was `training_labels` from verdicts gets
        its share
        of both sides.

        One model for each rehearsal; the ranker is their mean. Deterministic by `seed`.
        """
        rng = np.random.default_rng(seed)
        fits: list[Task] = []
        for i, synthetic in enumerate(synthetic_sets):
            drawn = _drawn(own, actors, weight, rng)
            attacks = _drawn_attacks(synthetic, len(drawn), rng)
            if training_labels is not None:
                drawn = _with(training_labels.harmless.drawn(len(drawn), rng), drawn)
                attacks = _with(training_labels.hostile.drawn(len(attacks), rng), attacks)
            fits.append(partial(_fitted, drawn, attacks, seed + i))
        models = executor(fits)
        share = 1.0 / len(models)
        trees = [_tree(step[0].nodes, share) for model in models for step in model._predictors]
        baselines = [float(np.ravel(model._baseline_prediction)[0]) for model in models]
        return cls(flatten(trees), share * sum(baselines))

    def log_odds(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Log-odds of abuse of each row (n, d): the mean of the models' ``decision_function``."""
        return self.log_odds_from(self.trees.sums(rows))

    def log_odds_from(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """`log_odds` of rows whose sums (n,) over the trees are known."""
        return self.baseline + sums


def _with(some: NDArray[np.float32], drawn: NDArray[np.float32]) -> NDArray[np.float32]:
    """`some` rows in the place of as many of the `drawn` ones."""
    return np.concatenate([some, drawn[len(some) :]])


def _drawn(
    own: NDArray[np.float32],
    actors: NDArray[np.uint64],
    weight: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """At most `_MOST_ROWS` of `own`, with replacement."""
    _, place, counts = np.unique(actors, return_inverse=True, return_counts=True)
    by_actor = 1.0 / (counts[place] * len(counts))
    chance = weight * (_BY_LOG / len(own) + (1.0 - _BY_LOG) * by_actor)
    return own[rng.choice(len(own), min(_MOST_ROWS, len(own)), p=chance / chance.sum())]


def _drawn_attacks(
    synthetic: SyntheticRows, size: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """`size` rows with replacement, of each family as many."""
    family, logs = _shares(synthetic.family)
    each, by_attacker = _shares(synthetic.attacker)
    first = np.unique(each, return_index=True)[1]
    attackers = np.bincount(family[first])[family]
    chance = (1.0 - _BY_ATTACKER) / logs + _BY_ATTACKER / (attackers * by_attacker)
    return synthetic.rows[rng.choice(len(synthetic.rows), size, p=chance / chance.sum())]


def _shares(groups: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each row's group, numbered from 0, and how many rows that has; both (m,)."""
    _, place, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return place, counts[place]


def _fitted(own: NDArray[np.float32], synthetic_rows: NDArray[np.float32], seed: int) -> Any:
    """A HistGradientBoostingClassifier on as many rows of either side.

    Not with weights: with them scikit-learn takes ten times as long to find its bins.
    """
    # Slow to import, and a server that only scores never needs them.
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    rows = np.concatenate([own, synthetic_rows])
    hostile = np.arange(len(rows)) >= len(own)
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
    # One thread: threads that wait for one another on a busy machine made it many times slower.
    # Whole fits are done at once instead (see `executor`), if at all.
    with threadpool_limits(limits=1, user_api="openmp"):
        return model.fit(rows, hostile)


def _tree(nodes: NDArray[Any], share: float) -> Tree:
    left = np.where(nodes["is_leaf"], -1, nodes["left"].astype(np.int64))
    threshold, value = nodes["num_threshold"], share * nodes["value"]
    return Tree(left, nodes["right"], nodes["feature_idx"], threshold, value)
