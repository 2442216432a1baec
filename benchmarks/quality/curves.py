"""False positives at equal recall, recall at a false-positive rate, and average precision.

All three come from one curve: the threshold is lowered from score to score, and at each score the
attacks and the benign logs at or above it are counted. Logs of equal score cannot be ranked, so
between two points the curve is linear: a share s of the attacks of a tie comes with a share s of
its benign logs. That is the expectation if the tie is broken at random. The alerts of a rule set
are one tie.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from benchmarks.quality.datasets import Flags, Floats, Ints

_ROUNDING = 1e-9


class OperatingCurve(NamedTuple):
    """Attacks and benign logs at or above each distinct score, highest score first.

    Both float64 (points + 1,), from 0 without alerts to all at the lowest score; not whole numbers
    where logs are weighted.
    """

    attacks: Floats
    benign: Floats

    @classmethod
    def of(cls, scores: Floats, is_attack: Flags) -> Self:
        """From n finite scores (higher = more anomalous) and labels. O(n log n)."""
        ranked = RankedLogs.of(scores, is_attack, np.zeros(len(scores), np.int64))
        return cls(*ranked.curve(np.ones(1)))

    def false_positives_at(self, attacks: float) -> float:
        """The fewest benign logs alerted if `attacks` attacks are; inf if there are fewer."""
        if attacks <= _ROUNDING:
            return 0.0
        point = int(np.searchsorted(self.attacks, attacks - _ROUNDING))
        if point == len(self.attacks):
            return float("inf")
        before, found = self.attacks[point - 1], self.attacks[point]
        share = min(1.0, (attacks - before) / (found - before))
        return float(self.benign[point - 1] + share * (self.benign[point] - self.benign[point - 1]))

    def recall_at(self, benign_share: float) -> float:
        """The largest share of attacks alerted if at most `benign_share` of the benign logs are."""
        allowed = benign_share * self.benign[-1]
        point = int(np.searchsorted(self.benign, allowed + _ROUNDING, side="right"))
        found = self.attacks[point - 1]
        if point < len(self.benign):
            before, after = self.benign[point - 1], self.benign[point]
            share = max(0.0, (allowed - before) / (after - before))
            found += share * (self.attacks[point] - self.attacks[point - 1])
        return float(found / self.attacks[-1])

    def average_precision(self) -> float:
        """Precision at each distinct score, weighted by the share of attacks that it adds."""
        gained = np.diff(self.attacks) / self.attacks[-1]
        alerted = np.maximum((self.attacks + self.benign)[1:], _ROUNDING)
        return float((gained * self.attacks[1:] / alerted).sum())


class RankedLogs(NamedTuple):
    """Logs sorted once by falling score, so that curves under many weights are cheap.

    Logs of equal score, entity and label are one group.

    entity   int64 (groups,)   the entity of the group
    attacks  float64 (groups,) number of attacks; benign: of benign logs (one of them is 0)
    ends     int64 (ties,)     last group of each distinct score
    """

    entity: Ints
    attacks: Floats
    benign: Floats
    ends: Ints

    @classmethod
    def of(cls, scores: Floats, is_attack: Flags, entity: Ints) -> Self:
        """From n finite scores, labels, and the entity of each log (from 0)."""
        tie = np.unique(-scores, return_inverse=True)[1]
        entities = int(entity.max()) + 1
        keys = (tie * entities + entity) * 2 + is_attack
        groups, counts = np.unique(keys, return_counts=True)
        tie, attack = groups // 2 // entities, groups % 2
        ends = np.flatnonzero(np.append(np.diff(tie) != 0, True))
        sizes = counts.astype(np.float64)
        return cls(groups // 2 % entities, sizes * attack, sizes * (1 - attack), ends)

    def curve(self, weight: Floats) -> OperatingCurve:
        """The curve when every log of entity e counts `weight[e]` times."""
        weights = weight[self.entity]
        attacks = np.cumsum(weights * self.attacks)[self.ends]
        benign = np.cumsum(weights * self.benign)[self.ends]
        return OperatingCurve(np.append(0.0, attacks), np.append(0.0, benign))


class LabelledScores(NamedTuple):
    """Scores with labels, each counted once: scores float64 (n,), is_attack bool (n,), entity
    int64 (n,).
    """

    scores: Floats
    is_attack: Flags
    entity: Ints

    def per_entity(self) -> LabelledScores:
        """Each entity once: its highest score; an attacker if any of its logs is an attack."""
        entities, row = np.unique(self.entity, return_inverse=True)
        highest = np.full(len(entities), -np.inf)
        np.maximum.at(highest, row, self.scores)
        is_attack = np.zeros(len(entities), np.bool_)
        np.logical_or.at(is_attack, row, self.is_attack)
        return LabelledScores(highest, is_attack, entities)

    def threshold_at(self, benign_share: float) -> float:
        """The lowest score with at most that share of the benign at or above it; inf: none."""
        benign = np.sort(self.scores[~self.is_attack])[::-1]
        allowed = int(benign_share * len(benign) + _ROUNDING)
        above = (
            self.scores if allowed >= len(benign) else self.scores[self.scores > benign[allowed]]
        )
        return float(above.min()) if len(above) else float("inf")
