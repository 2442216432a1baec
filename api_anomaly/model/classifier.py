"""The abuse classifier: how much a log looks like abuse rather than like this team's own traffic.

Shallow boosted trees (scikit-learn's HistGradientBoostingClassifier; Friedman, "Greedy function
approximation", 2001) trained to tell synthetic attacks (see `synthetic`) from the team's own logs.
Limit: abuse that fills the training data counts as own traffic.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from api_anomaly.model.executor import Executor, Task, serial
from api_anomaly.model.training_labels import TrainingLabels
from api_anomaly.model.flatten import Tree, flatten
from api_anomaly.model.trees import FlatTrees

# Shallow trees, each split of which sees 30 % of the features. Larger models do worse where attacks
# hide among the own logs, because they learn those too; see `train_classifier`.
_ITERATIONS, _DEPTH, _LEAF_ROWS, _FEATURE_SHARE = 60, 5, 30, 0.3
_MAX_ROWS = 12_000  # of each side; more did not help and costs time
#: Share of own traffic that is drawn log by log; the rest is drawn actor by actor, so that both
#: busy machines and quiet users are represented.
_BY_LOG = 0.7
_BY_ATTACKER = 0.25  # share of a family drawn attacker by attacker; the rest log by log


class SyntheticRows(NamedTuple):
    """Feature rows of synthetic attacks (m, d), and of each its family (m,) and attacker (m,)."""

    rows: NDArray[np.float32]
    family: NDArray[np.int64]
    attacker: NDArray[np.int64]


class AbuseClassifier(NamedTuple):
    """Trees whose leaves, with the `intercept`, add up to log-odds of abuse."""

    trees: FlatTrees
    intercept: float

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
        """Trained to tell `synthetic_sets` from `own` (n, d), whose actors are `actors` (n,) and
        which are drawn in proportion to `weight` (n,). `training_labels` replace their share of the
        drawn rows of both classes.

        The mean of one model for each of the sets. Deterministic by `seed`.
        """
        rng = np.random.default_rng(seed)
        fits: list[Task] = []
        for i, synthetic in enumerate(synthetic_sets):
            drawn = _draw_own(own, actors, weight, rng)
            attacks = _draw_attacks(synthetic, len(drawn), rng)
            if training_labels is not None:
                drawn = _replace_first(training_labels.harmless.sample(len(drawn), rng), drawn)
                attacks = _replace_first(training_labels.hostile.sample(len(attacks), rng), attacks)
            fits.append(partial(_fit, drawn, attacks, seed + i))
        models = executor(fits)
        share = 1.0 / len(models)
        trees = [_tree(round_[0].nodes, share) for model in models for round_ in model._predictors]
        intercepts = [float(np.ravel(model._baseline_prediction)[0]) for model in models]
        return cls(flatten(trees), share * sum(intercepts))

    def log_odds(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Log-odds of abuse of each row (n, d): the mean of the models' ``decision_function``."""
        return self.log_odds_from(self.trees.sums(rows))

    def log_odds_from(self, sums: NDArray[np.float64]) -> NDArray[np.float64]:
        """`log_odds` of rows whose sums (n,) over the trees are known."""
        return self.intercept + sums


def _replace_first(rows: NDArray[np.float32], drawn: NDArray[np.float32]) -> NDArray[np.float32]:
    """`drawn` with `rows` in place of its first ones."""
    return np.concatenate([rows, drawn[len(rows) :]])


def _draw_own(
    own: NDArray[np.float32],
    actors: NDArray[np.uint64],
    weight: NDArray[np.float64],
    rng: np.random.Generator,
) -> NDArray[np.float32]:
    """At most `_MAX_ROWS` of `own`, with replacement."""
    _, actor, counts = np.unique(actors, return_inverse=True, return_counts=True)
    by_actor = 1.0 / (counts[actor] * len(counts))
    chance = weight * (_BY_LOG / len(own) + (1.0 - _BY_LOG) * by_actor)
    return own[rng.choice(len(own), min(_MAX_ROWS, len(own)), p=chance / chance.sum())]


def _draw_attacks(
    synthetic: SyntheticRows, size: int, rng: np.random.Generator
) -> NDArray[np.float32]:
    """`size` rows with replacement, as many of each family."""
    family, family_logs = _groups(synthetic.family)
    attacker, attacker_logs = _groups(synthetic.attacker)
    first = np.unique(attacker, return_index=True)[1]
    attackers = np.bincount(family[first])[family]
    chance = (1.0 - _BY_ATTACKER) / family_logs + _BY_ATTACKER / (attackers * attacker_logs)
    return synthetic.rows[rng.choice(len(synthetic.rows), size, p=chance / chance.sum())]


def _groups(groups: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each row's group, numbered from 0, and how many rows that has; both (m,)."""
    _, group, counts = np.unique(groups, return_inverse=True, return_counts=True)
    return group, counts[group]


def _fit(own: NDArray[np.float32], attacks: NDArray[np.float32], seed: int) -> Any:
    """A HistGradientBoostingClassifier on as many rows of each class.

    Rows are drawn instead of weighted: with weights scikit-learn takes ten times as long to bin.
    """
    # Slow to import, and a server that only scores never needs them.
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    rows = np.concatenate([own, attacks])
    is_attack = np.arange(len(rows)) >= len(own)
    model = HistGradientBoostingClassifier(
        max_iter=_ITERATIONS,
        max_depth=_DEPTH,
        min_samples_leaf=_LEAF_ROWS,
        max_features=_FEATURE_SHARE,
        l2_regularization=1.0,
        max_bins=63,
        early_stopping=False,
        random_state=seed,
    )
    # One thread: on a busy machine, threads that wait for each other made it many times slower.
    # Whole fits run in parallel instead (see `executor`).
    with threadpool_limits(limits=1, user_api="openmp"):
        return model.fit(rows, is_attack)


def _tree(nodes: NDArray[Any], share: float) -> Tree:
    left = np.where(nodes["is_leaf"], -1, nodes["left"].astype(np.int64))
    threshold, value = nodes["num_threshold"], share * nodes["value"]
    return Tree(left, nodes["right"], nodes["feature_idx"], threshold, value)
