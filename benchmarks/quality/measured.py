"""One data set: what every contender's scores amount to, per request and per entity."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from benchmarks.quality.bootstrap import drawings, points_of_drawings
from benchmarks.quality.contenders import Contender, Scored
from benchmarks.quality.datasets import Dataset, Flags, Floats, Ints, UnreadableData
from benchmarks.quality.explained import Explained, explained
from benchmarks.quality.finds import (
    Found,
    Missed,
    alarms,
    families_found,
    kinds_of_benign,
    limits,
    missed,
)
from benchmarks.quality.measures import LabelCounts, Points, Ranked

COUNTINGS = ("request", "entity")
RATES = (0.0001, 0.001, 0.0024, 0.01, 0.03)  # shares of the benign at which recall is read
RECALLS = np.linspace(0.0, 1.0, 201)  # of the curves


class Sizes(NamedTuple):
    """How much there is: all logs, training logs, and in the test part what is counted."""

    logs: int
    training: int
    attacks: int
    benign: int
    attackers: int
    benign_entities: int
    days: float


class Against(NamedTuple):
    """At the recall of one rule set: false positives of the rules and of the contender.

    attacks  attacks that the rules alert on; theirs, mine: false positives then
    theirs_drawn, mine_drawn  float64 (replicates,): the same on drawn entities
    """

    attacks: float
    theirs: float
    mine: float
    theirs_drawn: Floats
    mine_drawn: Floats


class Row(NamedTuple):
    """One contender under one counting.

    found, false       attacks and benign at or above its own threshold
    recall_at          recall at each of RATES
    average_precision  see measures
    curve              float64: false positives at each of RECALLS
    against            by rule set
    """

    found: int
    false: int
    recall_at: tuple[float, ...]
    average_precision: float
    curve: Floats
    against: dict[str, Against]


@dataclass(frozen=True)
class Measured:
    """All figures of one data set.

    rows       by counting and contender
    families   by contender and attack family
    missed     by contender: attackers not found, at the alerts or budget of `alarms`
    alarms     by contender and kind of benign log: rule sets at their own alerts, others when
               BUDGET of benign requests are alerted
    own_alarms  the same at everybody's own threshold
    kinds      how many benign logs of each kind there are
    explained  by attack family: first reasons of our model
    """

    name: str
    sizes: Sizes
    rows: dict[tuple[str, str], Row]
    families: dict[str, dict[str, Found]]
    missed: dict[str, Missed]
    alarms: dict[str, Counter[str]]
    own_alarms: dict[str, Counter[str]]
    kinds: Counter[str]
    explained: dict[str, Explained]


def measure(
    data: Dataset,
    contenders: Sequence[Contender],
    replicates: int,
    progress: Callable[[str], None] | None = None,
) -> Measured:
    """Let everybody score the data set and count.

    Raises UnreadableData when the test part has no labelled attack or no labelled benign log.
    """
    tell = progress or (lambda _: None)
    hostile, entity = _truth(data)
    scores: dict[str, Scored] = {}
    for contender in contenders:
        tell(f"{data.name}: {contender.name}")
        scores[contender.name] = contender.score(data)
    counted = {
        name: LabelCounts(scored.scores[data.known], hostile, entity)
        for name, scored in scores.items()
    }
    tell(f"{data.name}: counting")
    first = next(iter(counted.values()))
    kinds = kinds_of_benign(data, first)
    bounds = {each.name: limits(counted[each.name], each, scores[each.name]) for each in contenders}
    return Measured(
        data.name,
        _sizes(data, first),
        _rows(counted, contenders, scores, replicates),
        {name: families_found(data, counted[name], bound) for name, bound in bounds.items()},
        {name: missed(counted[name], bound[1]) for name, bound in bounds.items()},
        {name: alarms(kinds, counted[name], bound[1]) for name, bound in bounds.items()},
        {name: alarms(kinds, counted[name], bound[0]) for name, bound in bounds.items()},
        Counter(kinds),
        _explained(data, scores),
    )


def _truth(data: Dataset) -> tuple[Flags, Ints]:
    """Of the labelled logs of the test part: hostile or not, and whose."""
    hostile = data.label[data.cut :][data.known] == 1
    if not hostile.any() or hostile.all():
        raise UnreadableData(f"{data.name}: the test part needs attacks and benign logs, labelled")
    return hostile, data.entity[data.cut :][data.known]


def _sizes(data: Dataset, counted: LabelCounts) -> Sizes:
    attacks, each = int(counted.hostile.sum()), counted.per_entity().hostile
    benign = len(counted.hostile) - attacks
    attackers = int(each.sum())
    return Sizes(len(data), data.cut, attacks, benign, attackers, len(each) - attackers, data.days)


def _rows(
    counted: dict[str, LabelCounts],
    contenders: Sequence[Contender],
    scores: dict[str, Scored],
    replicates: int,
) -> dict[tuple[str, str], Row]:
    """Everybody's row under both countings."""
    rules = [each.name for each in contenders if each.is_rules]
    weights = _drawn(next(iter(counted.values())), replicates)
    rows: dict[tuple[str, str], Row] = {}
    for counting in COUNTINGS:
        each = {n: one if counting == "request" else one.per_entity() for n, one in counted.items()}
        ranked = {name: Ranked.of(*one) for name, one in each.items()}
        whole = {name: Points.of(one.scores, one.hostile) for name, one in each.items()}
        fired = {name: int(each[name].scores.max() >= scores[name].threshold) for name in rules}
        drawn = {name: points_of_drawings(ranked[name], weights) for name in rules}
        for name, one in each.items():
            mine = drawn.get(name) or points_of_drawings(ranked[name], weights)
            against = {
                rule: _against(whole[rule], whole[name], drawn[rule], mine, fired[rule])
                for rule in rules
            }
            rows[counting, name] = _row(one, scores[name].threshold, whole[name], against)
    return rows


def _drawn(counted: LabelCounts, replicates: int) -> Floats:
    """float64 (replicates, largest entity + 1): drawings; entities outside the test part are 0."""
    each = counted.per_entity()
    weights = np.zeros((replicates, int(each.entity.max()) + 1))
    weights[:, each.entity] = drawings(each.hostile, replicates)
    return weights


def _against(
    theirs: Points, mine: Points, theirs_drawn: list[Points], mine_drawn: list[Points], fired: int
) -> Against:
    """`fired` is the place of a rule set's alerts in its points: 1, or 0 when it has none."""
    attacks = float(theirs.attacks[fired])
    drawn = zip(theirs_drawn, mine_drawn, strict=True)
    return Against(
        attacks,
        float(theirs.benign[fired]),
        mine.false_positives_at(attacks),
        np.array([points.benign[fired] for points in theirs_drawn]),
        np.array([m.false_positives_at(float(t.attacks[fired])) for t, m in drawn]),
    )


def _row(
    counted: LabelCounts, threshold: float, points: Points, against: dict[str, Against]
) -> Row:
    alerted = counted.scores >= threshold
    attacks = RECALLS * points.attacks[-1]
    return Row(
        int((alerted & counted.hostile).sum()),
        int((alerted & ~counted.hostile).sum()),
        tuple(points.recall_at(rate) for rate in RATES),
        points.average_precision(),
        np.array([points.false_positives_at(wanted) for wanted in attacks.tolist()]),
        against,
    )


def _explained(data: Dataset, scores: dict[str, Scored]) -> dict[str, Explained]:
    """The first reasons of the contender that gives any."""
    verdicts = [scored.verdicts for scored in scores.values() if scored.verdicts is not None]
    return explained(verdicts[0], data.family[data.cut :]) if verdicts else {}
