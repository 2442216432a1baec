"""Several seeds as one: counts are added, rates are averaged, each seed keeps its own threshold."""

from __future__ import annotations

from collections import Counter
from functools import reduce
from typing import NamedTuple

import numpy as np

from benchmarks.quality.bootstrap import interval
from benchmarks.quality.contenders import TUNED
from benchmarks.quality.datasets import Floats
from benchmarks.quality.explained import Explained
from benchmarks.quality.finds import Found, Missed
from benchmarks.quality.measured import Measured, Row, Sizes

ENOUGH_RECALL = 0.1  # a rule set that finds less than this is no opponent


class Versus(NamedTuple):
    """A contender at the recall of a rule set.

    recall           the rule set's, over all seeds
    theirs, mine     false positives of the rules and of the contender
    reduction        1 - mine / theirs; None where the rules have no false positive
    interval         95 % of it over drawn entities
    worst, best      the reductions of the worst and the best seed
    """

    rules: str
    recall: float
    theirs: float
    mine: float
    reduction: float | None
    interval: tuple[float, float] | None
    worst: float | None
    best: float | None


class Summary(NamedTuple):
    """A contender under one counting: its own alerts, then rates averaged over seeds."""

    recall: float
    false: int
    false_a_day: float
    recall_at: tuple[float, ...]
    average_precision: float


class Pooled:
    """One or more measured data sets of one kind."""

    def __init__(self, name: str, parts: list[Measured]) -> None:
        self.name = name
        self.parts = parts
        self.names = list(parts[0].families)

    @property
    def sizes(self) -> Sizes:
        """All seeds together."""
        return Sizes(*(sum(column) for column in zip(*(p.sizes for p in self.parts), strict=True)))

    def total(self, counting: str) -> tuple[int, int]:
        """What is counted: attacks and benign."""
        sizes = self.sizes
        if counting == "request":
            return sizes.attacks, sizes.benign
        return sizes.attackers, sizes.benign_entities

    def rows(self, counting: str, name: str) -> list[Row]:
        """A contender's row in each seed."""
        return [part.rows[counting, name] for part in self.parts]

    def summary(self, counting: str, name: str) -> Summary:
        """A contender's figures."""
        rows = self.rows(counting, name)
        false = sum(row.false for row in rows)
        return Summary(
            sum(row.found for row in rows) / self.total(counting)[0],
            false,
            false / self.sizes.days,
            tuple(np.mean([row.recall_at for row in rows], axis=0).tolist()),
            float(np.mean([row.average_precision for row in rows])),
        )

    @property
    def rule_sets(self) -> list[str]:
        """The names of the rule sets."""
        return list(self.parts[0].rows["request", self.names[0]].against)

    def versus(self, counting: str, name: str, rules: str) -> Versus:
        """A contender at the recall of a rule set."""
        each = [row.against[rules] for row in self.rows(counting, name)]
        theirs, mine = sum(one.theirs for one in each), sum(one.mine for one in each)
        drawn = _reductions(
            np.sum([one.theirs_drawn for one in each], axis=0),
            np.sum([one.mine_drawn for one in each], axis=0),
        )
        by_seed = _reductions(
            np.array([one.theirs for one in each]), np.array([one.mine for one in each])
        )
        known = by_seed[np.isfinite(by_seed)]
        return Versus(
            rules,
            sum(one.attacks for one in each) / self.total(counting)[0],
            theirs,
            mine,
            1.0 - mine / theirs if theirs else None,
            interval(drawn),
            float(known.min()) if len(known) else None,
            float(known.max()) if len(known) else None,
        )

    def strongest(self, counting: str, name: str) -> Versus | None:
        """The tuned rule set that the contender beats by least, of those that find something.

        None when none of them is an opponent.
        """
        tuned = [rules for rules in self.rule_sets if rules.startswith(TUNED)]
        rivals = [self.versus(counting, name, rules) for rules in tuned]
        rivals = [each for each in rivals if each.recall >= ENOUGH_RECALL]
        known = [(each.reduction, each) for each in rivals if each.reduction is not None]
        return min(known, key=lambda pair: pair[0])[1] if known else None

    def curve(self, counting: str, name: str) -> Floats:
        """float64: false positives at each of RECALLS, all seeds together."""
        total: Floats = np.sum([row.curve for row in self.rows(counting, name)], axis=0)
        return total

    def families(self, name: str) -> dict[str, Found]:
        """What a contender found, by attack family."""
        found: dict[str, Found] = {}
        for part in self.parts:
            for family, one in part.families[name].items():
                found[family] = found[family].plus(one) if family in found else one
        return found

    def missed(self, name: str) -> Missed:
        """Attackers that a contender does not find."""
        return reduce(Missed.plus, (part.missed[name] for part in self.parts))

    def explained(self) -> dict[str, Explained]:
        """First reasons, by attack family."""
        found: dict[str, Explained] = {}
        for part in self.parts:
            for family, one in part.explained.items():
                found[family] = found[family].plus(one) if family in found else one
        return dict(sorted(found.items()))

    def alarms(self, name: str) -> Counter[str]:
        """False alarms by kind: rule sets at their own alerts, others at an equal budget."""
        return sum((part.alarms[name] for part in self.parts), Counter())

    def own_alarms(self, name: str) -> Counter[str]:
        """False alarms by kind, everybody at the own threshold."""
        return sum((part.own_alarms[name] for part in self.parts), Counter())

    def kinds(self) -> Counter[str]:
        """How many benign logs there are of each kind."""
        return sum((part.kinds for part in self.parts), Counter())


def _reductions(theirs: Floats, mine: Floats) -> Floats:
    """1 - mine / theirs, NaN where the rules have no false positive."""
    known = theirs > 0
    return np.where(known, 1.0 - mine / np.where(known, theirs, 1.0), np.nan)
