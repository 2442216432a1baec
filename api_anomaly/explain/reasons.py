"""Why a log is anomalous: its most important features, in words for a person on call.

A feature is a reason if model and traffic agree. The model: how much of the evidence it adds
(`Scorer.contributions`). The traffic: how rarely others have so much of it, as -ln of the tail
probability among logs of actors of about the same age. The product of both is its weight. The model
alone names features that help to recognize attackers but do not describe the attack (they are new);
rarity alone names what is unusual and harmless. On a simulated week the product named what the
attack had changed in 96 % of the alerts, the model alone in 67 %, rarity alone in 86 %, and setting
families of features to their median in 62 % (counted by `benchmarks/quality/first_reasons.py`).
Features of one family measure similar things, so their weights add up: the family with the largest
sum comes first, through its feature with the largest weight.

Abuse is too much of something, so only excess counts, except for features that are unusual in both
directions. The age of an actor, its pauses, its regularity and what others do at the endpoint are
context: they follow if there is nothing better. A value that is usual for the actor is no reason.
"""

import math
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from api_anomaly.explain.actor_baseline import actor_baseline, counts_a_day, rate_window
from api_anomaly.explain.wording import Fact, displayed_value, sentence, to_display
from api_anomaly.features.table import ADDRESS, FEATURES, LOG1P, NAMES, SINGLE
from api_anomaly.kernels import kernel
from api_anomaly.model.peer_baseline import (
    AGE_COLUMN,
    MIDDLE,
    SHARES,
    STARTS_WITH_ONE,
    PeerBaseline,
    age_group,
    without_first,
)

_MAX_REASONS = 3
_ROWS_AT_ONCE = 4_096  # a few MB of working memory
_ABOVE, _BELOW = -np.log1p(-SHARES), -np.log(SHARES)  # -ln(tail) at the levels, from both sides
#: Least distance between the middle and the last level, by unit, so that the first event of a rare
#: kind is not rarer than a hundred events of a common kind: one more, or a visible step.
_MIN_STEP = {"share": 0.2, "bits": 2.0, "log s": 0.5}
_STEPS = np.array(
    [math.log(2.0) if row.scale == LOG1P else _MIN_STEP.get(row.unit, 1.0) for row in FEATURES]
)
_MAX_RARENESS = 20.0  # -ln(tail)
_IS_DEVIATION = np.array([row.unit == "sd" for row in FEATURES])
_MIN_DEVIATIONS = 2.0  # standard deviations, below which a deviation is no reason
_FULL_EXCESS = math.log(4.0)  # an excess over the actor's baseline by this factor counts in full
_OLD_COUNT_WEIGHT = 0.1  # of a count of a day to which the last hours added nothing
_MIN_FAMILY_SHARE = 0.03  # of the first family's weight, for further families
_CONTEXT_WEIGHT = 1e-3  # of a feature that is no reason by itself

_FAMILIES = list(dict.fromkeys(row.family for row in FEATURES))
_FAMILY = np.array([_FAMILIES.index(row.family) for row in FEATURES])
_FAMILY_COUNT = len(_FAMILIES)
_BOTH_DIRECTIONS = np.array([row.unit in ("sd", "log s") for row in FEATURES])
_IS_CONTEXT = np.array([row.family in ("age", "timing", "endpoint_traffic") for row in FEATURES])
_IS_CONTEXT[NAMES.index("user_hour_surprise")] = False
#: New addresses and agents say less than what was done: most users who change them are harmless.
_FAMILY_WEIGHT = np.where([row.family == "counterparts" for row in FEATURES], 0.7, 1.0)


class Reason(NamedTuple):
    """A feature, its value, the usual value of others and of its own actor (None if not known).

    Rarities are N of "1 of N", spreads are factors, other values are in the feature's unit.
    """

    feature: str
    value: float
    usual: float
    text: str
    usual_here: float | None = None


class Explainable(Protocol):
    """A model that tells each feature's part of the evidence, as `model.scorer.Scorer` does."""

    def contributions(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Evidence (n, d) that each feature adds, negative where it lowers the evidence."""


def explain(
    rows: NDArray[np.float32], baseline: PeerBaseline, model: Explainable
) -> list[tuple[Reason, ...]]:
    """One to three reasons of different families for each row (m, d), the most important first.

    About 20 microseconds a row, half of it for the text.
    """
    starts = range(0, len(rows), _ROWS_AT_ONCE)
    chunks = (rows[start : start + _ROWS_AT_ONCE] for start in starts)
    return [reasons for chunk in chunks for reasons in _explain_chunk(chunk, baseline, model)]


def _explain_chunk(
    rows: NDArray[np.float32], baseline: PeerBaseline, model: Explainable
) -> list[tuple[Reason, ...]]:
    chosen = np.empty((len(rows), _MAX_REASONS), np.int64)
    facts = np.empty((len(rows), _MAX_REASONS, len(Fact._fields)))
    choose_features(rows, model.contributions(rows), baseline.levels, chosen)
    _collect_facts(rows, chosen, baseline.usual, facts)
    return [
        tuple(
            _reason(column, fact)
            for column, fact in zip(columns, values, strict=True)
            if column >= 0
        )
        for columns, values in zip(chosen.tolist(), facts.tolist(), strict=True)
    ]


def _reason(column: int, values: list[float]) -> Reason:
    value, of_others, of_actor, window, same_for_both, new = values
    fact = Fact(value, of_others, of_actor, window, bool(same_for_both), bool(new))
    usual_here = None if math.isnan(of_actor) else of_actor
    return Reason(NAMES[column], value, of_others, sentence(column, fact), usual_here)


@kernel
def _rareness(
    level: NDArray[np.float32], value: float, both_directions: bool, step: float
) -> float:
    """-ln of the share of training rows with at least `value`, by the levels (shares,).

    0 in the middle, linear between levels, beyond the last level with its mean slope.
    """
    middle, last = level[MIDDLE], len(level) - 1
    if value > middle:
        if value >= level[last]:
            slope = (_ABOVE[last] - _ABOVE[MIDDLE]) / max(level[last] - middle, step)
            return float(_ABOVE[last] + (value - level[last]) * slope)
        k = MIDDLE + 1
        while value > level[k]:
            k += 1
        part = (value - level[k - 1]) / (level[k] - level[k - 1])
        return float(_ABOVE[k - 1] + part * (_ABOVE[k] - _ABOVE[k - 1]))
    if not both_directions or value == middle:
        return 0.0
    if value <= level[0]:
        slope = (_BELOW[0] - _BELOW[MIDDLE]) / max(middle - level[0], step)
        return float(_BELOW[0] + (level[0] - value) * slope)
    k = MIDDLE - 1
    while value < level[k]:
        k -= 1
    part = (level[k + 1] - value) / (level[k + 1] - level[k])
    return float(_BELOW[k + 1] + part * (_BELOW[k] - _BELOW[k + 1]))


@kernel
def _weight(
    x: NDArray[np.float32], j: int, contribution: float, levels: NDArray[np.float32]
) -> float:
    """The weight of feature `j` of the row x (d,) as a reason; see the module's docstring."""
    value = without_first(x, j) if STARTS_WITH_ONE[j] else float(x[j])
    level = levels[age_group(x, j), :, j]
    rareness = min(_MAX_RARENESS, _rareness(level, value, _BOTH_DIRECTIONS[j], _STEPS[j]))
    if rareness == 0.0:
        return 0.0
    if _IS_DEVIATION[j] and abs(value) < _MIN_DEVIATIONS:
        return 0.0
    if rate_window(j) > 0.0:
        baseline = actor_baseline(x, j)
        if baseline > 0.0:  # not NaN
            least = _OLD_COUNT_WEIGHT if counts_a_day(j) else 0.0
            excess = (value - math.log1p(baseline)) / _FULL_EXCESS
            rareness *= min(1.0, max(least, excess))
    return float(
        rareness * contribution * (_CONTEXT_WEIGHT if _IS_CONTEXT[j] else _FAMILY_WEIGHT[j])
    )


@kernel
def choose_features(
    rows: NDArray[np.float32],
    contributions: NDArray[np.float64],
    levels: NDArray[np.float32],
    chosen: NDArray[np.int64],
) -> None:
    """The heaviest feature of each of the heaviest families into chosen (m, 3); -1 for none."""
    weights = np.empty(rows.shape[1])
    families = np.empty(_FAMILY_COUNT)
    for i in range(len(rows)):
        for j in range(rows.shape[1]):
            added = contributions[i, j]
            weights[j] = _weight(rows[i], j, added, levels) if added > 0.0 else 0.0
        if weights.max() == 0.0:  # no contribution is rare in the traffic: rarity alone decides
            for j in range(rows.shape[1]):
                weights[j] = _weight(rows[i], j, 1.0, levels)
        families[:] = 0.0
        for j in range(rows.shape[1]):
            families[_FAMILY[j]] += weights[j]
        least = _MIN_FAMILY_SHARE * families.max()
        for k in range(_MAX_REASONS):
            family = int(np.argmax(families))
            counts = k == 0 or families[family] > least
            chosen[i, k] = _heaviest(weights, family) if counts else -1
            families[family] = 0.0


@kernel
def _heaviest(weights: NDArray[np.float64], family: int) -> int:
    """The feature of a family with the largest of the weights (d,); the first of equals."""
    best = -1
    for j in range(len(weights)):
        if _FAMILY[j] == family and (best < 0 or weights[j] > weights[best]):
            best = j
    return best


@kernel
def _collect_facts(
    rows: NDArray[np.float32],
    chosen: NDArray[np.int64],
    usual: NDArray[np.float32],
    facts: NDArray[np.float64],
) -> None:
    """The values of `wording.Fact` of each chosen feature into facts (m, 3, 6)."""
    for i in range(len(rows)):
        x = rows[i]
        for k in range(_MAX_REASONS):
            j = chosen[i, k]
            if j < 0:
                continue
            baseline = math.nan if counts_a_day(j) else actor_baseline(x, j)
            facts[i, k, 0] = displayed_value(x, j)
            facts[i, k, 1] = displayed_value(usual[age_group(x, j)], j)
            facts[i, k, 2] = to_display(baseline, j)
            facts[i, k, 3] = rate_window(j)
            counterpart = j + ADDRESS if j < ADDRESS else j - ADDRESS
            facts[i, k, 4] = j < SINGLE and x[j] == x[counterpart]
            facts[i, k, 5] = math.expm1(x[AGE_COLUMN[j]]) < 24.0
