"""Why a log is anomalous: its most telling behaviours, in words for a person on call.

A behaviour is a reason as far as two agree. The model: how much of the evidence came from it,
which is what the trees' splits on it moved against ordinary traffic (`model.contributions`). And
the traffic: how rarely others have so much of it, as -ln of the tail probability among logs of
actors that are known about as long. The product is its weight. The model alone names behaviours
that merely help to tell attackers (they are new); rarity alone names what is odd and harmless. On
a simulated week the product named what the attack had changed in 96 % of the alerts, the model
alone in 67 %, rarity alone in 86 %, and putting families of behaviours back to the median in 62 %
(counted as `benchmarks/quality/first_reasons.py` does). Behaviours of one family stand in for each
other, so their weights add up: the weightiest family speaks first, through its weightiest member.

Abuse is too much of something, so only excess counts, except where too little is odd as well. How
long somebody is known, how long it paused, how evenly it asks and what others do at the endpoint
are circumstances: they follow when nothing better is there. What is no more than usual for the
actor itself is no reason.
"""

import math
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from api_anomaly.kernels import kernel
from api_anomaly.features.table import ADDRESS, FEATURES, LOG1P, NAMES, SINGLE
from api_anomaly.model.peer_baseline import (
    AGE_COLUMN,
    MIDDLE,
    SHARES,
    STARTS_WITH_ONE,
    PeerBaseline,
    age_group,
    without_first,
)
from api_anomaly.explain.actor_baseline import of_a_day, actor_baseline, pace_window
from api_anomaly.explain.wording import in_words, sentence, spoken

_MOST = 3
_CHUNK = 4_096  # rows explained at once: a few MB each
_ABOVE, _BELOW = -np.log1p(-SHARES), -np.log(SHARES)  # -ln(tail) at the levels, from either side
#: Between middle and last level at least, so that the first of a thing that hardly anybody has is
#: not rarer than a hundred of what all have some of: one more of it, or a step that a person sees.
_STEP = {"share": 0.2, "bits": 2.0, "log s": 0.5}
_STEPS = np.array(
    [math.log(2.0) if row.scale == LOG1P else _STEP.get(row.unit, 1.0) for row in FEATURES]
)
_STEEPEST = 20.0  # -ln(tail) at most: nothing is told from rarer still
_DEVIATIONS = np.array([row.unit == "sd" for row in FEATURES])
_LARGE = 2.0  # standard deviations: fewer are no reason, however even the others are
_FULL = math.log(4.0)  # an excess over the own usual by this factor counts in full
_OLD_NEWS = 0.1  # weight of a count of a day that the last hours added nothing to
_FAINT = 0.03  # of the first family's weight, below which there is no second one
_CIRCUMSTANCE = 1e-3  # weight of what is no reason by itself

_FAMILIES = list(dict.fromkeys(row.family for row in FEATURES))
_FAMILY = np.array([_FAMILIES.index(row.family) for row in FEATURES])
_FAMILY_COUNT = len(_FAMILIES)
_COUNTED = np.array([row.scale == LOG1P for row in FEATURES])
_BOTH_SIDES = np.array([row.unit in ("sd", "log s") for row in FEATURES])
_CIRCUMSTANCES = np.array([row.family in ("age", "timing", "endpoint_traffic") for row in FEATURES])
_CIRCUMSTANCES[NAMES.index("user_hour_surprise")] = False
#: Where somebody comes from says less than what was done: most who move are harmless.
_SAYS_LESS = np.where([row.family == "counterparts" for row in FEATURES], 0.7, 1.0)


class Reason(NamedTuple):
    """A behaviour, its value, what is usual for others, all in words, and what is usual for its
    actor itself (None where that is not known).

    Rarities are given as N of "1 of N", spreads as a factor, the rest in the behaviour's unit.
    """

    feature: str
    value: float
    usual: float
    text: str
    usual_here: float | None = None


class Scorer(Protocol):
    """Anything that says how much each behaviour of rows (n, d) adds to their evidence."""

    def contributions(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Evidence (n, d) that each behaviour adds, negative where it speaks for the log."""


def explain(
    rows: NDArray[np.float32], peer_baseline: PeerBaseline, scorer: Scorer
) -> list[tuple[Reason, ...]]:
    """One to three reasons of different families for each row (m, d), the most telling first.

    About 20 microseconds a row, half of it for the words.
    """
    chunks = (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))
    return [reasons for chunk in chunks for reasons in _explained(chunk, peer_baseline, scorer)]


def _explained(
    rows: NDArray[np.float32], peer_baseline: PeerBaseline, scorer: Scorer
) -> list[tuple[Reason, ...]]:
    """`explain` for so few rows that all they need is small."""
    picks = np.empty((len(rows), _MOST), np.int64)
    facts = np.empty((len(rows), _MOST, 6))
    _choose(rows, scorer.contributions(rows), peer_baseline.levels, picks)
    _tell(rows, picks, peer_baseline.usual, facts)
    return [
        tuple(_reason(place, fact) for place, fact in zip(places, told, strict=True) if place >= 0)
        for places, told in zip(picks.tolist(), facts.tolist(), strict=True)
    ]


def _reason(place: int, fact: list[float]) -> Reason:
    value, others, own, pace, alike, new = fact
    text = sentence(place, value, others, own, pace, bool(alike), bool(new))
    return Reason(NAMES[place], value, others, text, own if own == own else None)


@kernel
def _rareness(level, value, both_sides, step):  # type: ignore[no-untyped-def]
    """-ln of the share of training rows with at least `value`, by the levels (shares,); 0 in the
    middle. Linear in between, on beyond the last level by its mean slope.
    """
    middle, last = level[MIDDLE], len(level) - 1
    if value > middle:
        if value >= level[last]:
            steep = (_ABOVE[last] - _ABOVE[MIDDLE]) / max(level[last] - middle, step)
            return _ABOVE[last] + (value - level[last]) * steep
        quantile = MIDDLE + 1
        while value > level[quantile]:
            quantile += 1
        part = (value - level[quantile - 1]) / (level[quantile] - level[quantile - 1])
        return _ABOVE[quantile - 1] + part * (_ABOVE[quantile] - _ABOVE[quantile - 1])
    if not both_sides or value == middle:
        return 0.0
    if value <= level[0]:
        steep = (_BELOW[0] - _BELOW[MIDDLE]) / max(middle - level[0], step)
        return _BELOW[0] + (level[0] - value) * steep
    quantile = MIDDLE - 1
    while value < level[quantile]:
        quantile -= 1
    part = (level[quantile + 1] - value) / (level[quantile + 1] - level[quantile])
    return _BELOW[quantile + 1] + part * (_BELOW[quantile] - _BELOW[quantile + 1])


@kernel
def _weight(x, j, added, levels):  # type: ignore[no-untyped-def]
    """How much behaviour `j` of the row x (d,) is a reason; see the module."""
    value = without_first(x, j) if STARTS_WITH_ONE[j] else float(x[j])
    level = levels[age_group(x, j), :, j]
    rare = min(_STEEPEST, _rareness(level, value, _BOTH_SIDES[j], _STEPS[j]))
    if rare == 0.0:
        return 0.0
    if _DEVIATIONS[j] and abs(value) < _LARGE:
        return 0.0
    if pace_window(j) > 0.0:
        own = actor_baseline(x, j)
        if own > 0.0:  # not NaN
            least = _OLD_NEWS if of_a_day(j) else 0.0
            rare *= min(1.0, max(least, (value - math.log1p(own)) / _FULL))
    return rare * added * (_CIRCUMSTANCE if _CIRCUMSTANCES[j] else _SAYS_LESS[j])


@kernel
def _choose(rows, added, levels, picks):  # type: ignore[no-untyped-def]
    """The weightiest behaviour of each of the weightiest families into picks (m, 3); -1 where there
    is none.
    """
    weights = np.empty(rows.shape[1])
    families = np.empty(_FAMILY_COUNT)
    for i in range(len(rows)):
        for j in range(rows.shape[1]):
            weights[j] = _weight(rows[i], j, added[i, j], levels) if added[i, j] > 0.0 else 0.0
        if weights.max() == 0.0:  # the model has its reasons, but none that anybody would follow
            for j in range(rows.shape[1]):
                weights[j] = _weight(rows[i], j, 1.0, levels)
        families[:] = 0.0
        for j in range(rows.shape[1]):
            families[_FAMILY[j]] += weights[j]
        least = _FAINT * families.max()
        for k in range(_MOST):
            family = np.argmax(families)
            told = k == 0 or families[family] > least
            picks[i, k] = _weightiest(weights, family) if told else -1
            families[family] = 0.0


@kernel
def _weightiest(weights, family):  # type: ignore[no-untyped-def]
    """The behaviour of a family with the largest of the weights (d,); the first of equals."""
    best = -1
    for j in range(len(weights)):
        if _FAMILY[j] == family and (best < 0 or weights[j] > weights[best]):
            best = j
    return best


@kernel
def _tell(rows, picks, usual, facts):  # type: ignore[no-untyped-def]
    """What is said of the picks into facts (m, 3, 6): value, others' usual, own usual (NaN: not
    known), pace in seconds, whether user and address say the same, whether the actor is new.
    """
    for i in range(len(rows)):
        x = rows[i]
        for k in range(_MOST):
            j = picks[i, k]
            if j < 0:
                continue
            own = math.nan if of_a_day(j) else actor_baseline(x, j)
            facts[i, k, 0], facts[i, k, 1] = spoken(x, j), spoken(usual[age_group(x, j)], j)
            facts[i, k, 2] = in_words(own, j)
            facts[i, k, 3] = pace_window(j)
            counterpart = j + ADDRESS if j < ADDRESS else j - ADDRESS
            facts[i, k, 4] = j < SINGLE and x[j] == x[counterpart]
            facts[i, k, 5] = math.expm1(x[AGE_COLUMN[j]]) < 24.0
