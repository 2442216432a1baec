"""Which attack families are found, and whom the false alarms hit."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

import numpy as np

from benchmarks.quality.contenders import BUDGET, Contender, Scored
from benchmarks.quality.datasets import Dataset
from benchmarks.quality.measures import LabelCounts

OF_AN_ATTACKER = "benign log of an attacker's own address or account"
PLAIN = "benign"
BRIEF = 2


class Found(NamedTuple):
    """Of one family: how many entities and logs, and how many were found.

    own      entities with an alert at the contender's own threshold
    at_rate  entities with an alert when BUDGET of benign requests are alerted
    apart    entities that rank above all but BUDGET of the benign entities
    logs_at_rate  logs alerted when BUDGET of benign requests are
    For a rule set, which has no other threshold, all of it is at its own.
    """

    entities: int
    logs: int
    own: int
    at_rate: int
    executor: int
    logs_at_rate: int

    def plus(self, other: Found) -> Found:
        """Both together."""
        return Found(*(mine + theirs for mine, theirs in zip(self, other, strict=True)))


class Missed(NamedTuple):
    """Attackers without an alert, and how many of them sent at most BRIEF attack logs."""

    entities: int
    brief: int

    def plus(self, other: Missed) -> Missed:
        """Both together."""
        return Missed(self.entities + other.entities, self.brief + other.brief)


def missed(counted: LabelCounts, threshold: float) -> Missed:
    """Whoever stays below a threshold."""
    each = counted.per_entity()
    quiet = each.entity[each.hostile & (each.scores < threshold)]
    sent = Counter(counted.entity[counted.hostile].tolist())
    return Missed(len(quiet), sum(sent[entity] <= BRIEF for entity in quiet.tolist()))


def limits(
    counted: LabelCounts, contender: Contender, scored: Scored
) -> tuple[float, float, float]:
    """The thresholds that `Found` speaks of: own, at_rate, apart."""
    if contender.is_rules:
        return (scored.threshold,) * 3
    executor = counted.per_entity().limit(BUDGET)
    return scored.threshold, counted.limit(BUDGET), executor


def families_found(
    data: Dataset, counted: LabelCounts, thresholds: tuple[float, float, float]
) -> dict[str, Found]:
    """Each attack family of the test part, by name."""
    families = np.array([family or "" for family in data.family[data.cut :]])[data.known]
    highest = dict(zip(*_highest(counted), strict=True))
    found: dict[str, Found] = {}
    for family in sorted(set(families[counted.hostile].tolist())):
        rows = counted.hostile & (families == family)
        best = np.array([highest[entity] for entity in np.unique(counted.entity[rows]).tolist()])
        own, at_rate, executor = (int((best >= limit).sum()) for limit in thresholds)
        logs = int((counted.scores[rows] >= thresholds[1]).sum())
        found[family or "attack"] = Found(len(best), int(rows.sum()), own, at_rate, executor, logs)
    return found


def _highest(counted: LabelCounts) -> tuple[list[int], list[float]]:
    each = counted.per_entity()
    return each.entity.tolist(), each.scores.tolist()


def kinds_of_benign(data: Dataset, counted: LabelCounts) -> list[str]:
    """What each benign log of the test part is, in their order: a hard case, a role, or plain."""
    attackers = np.isin(counted.entity, np.unique(counted.entity[counted.hostile]))
    kinds = np.array([kind or PLAIN for kind in data.kind[data.cut :]], dtype=object)[data.known]
    kinds[attackers] = OF_AN_ATTACKER
    named: list[str] = kinds[~counted.hostile].tolist()
    return named


def alarms(kinds: list[str], counted: LabelCounts, threshold: float) -> Counter[str]:
    """False alarms at a threshold by kind of benign log."""
    alerted = counted.scores[~counted.hostile] >= threshold
    return Counter(kind for kind, alert in zip(kinds, alerted.tolist(), strict=True) if alert)
