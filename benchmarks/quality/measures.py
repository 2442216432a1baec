"""What is counted: false positives at equal recall, recall at a false-positive rate, average
precision.

All of it comes from one list of points: with the threshold lowered from score to score, how many
attacks and how many benign logs lie at or above it. Logs of one score cannot be told apart, so
between two points everything is linear: a share s of a tie's attacks comes with a share s of its
benign logs, as if the tie were broken by lot. That favours nobody; a rule set's alerts are one
single tie.
"""

from __future__ import annotations

from typing import NamedTuple, Self

import numpy as np

from benchmarks.quality.datasets import Flags, Floats, Ints

_ROUNDING = 1e-9


class Points(NamedTuple):
    """Attacks and benign logs at or above each distinct score, highest score first.

    Both float64 (points + 1,), from 0 at no alert to everything at the lowest score; not whole
    numbers where logs are weighted.
    """

    attacks: Floats
    benign: Floats

    @classmethod
    def of(cls, scores: Floats, hostile: Flags) -> Self:
        """From n finite scores (higher = more anomalous) and the truth. O(n log n)."""
        ranked = Ranked.of(scores, hostile, np.zeros(len(scores), np.int64))
        return cls(*ranked.points(np.ones(1)))

    def false_positives_at(self, attacks: float) -> float:
        """The fewest benign logs alerted when `attacks` attacks are; inf when there are fewer."""
        if attacks <= _ROUNDING:
            return 0.0
        place = int(np.searchsorted(self.attacks, attacks - _ROUNDING))
        if place == len(self.attacks):
            return float("inf")
        before, found = self.attacks[place - 1], self.attacks[place]
        share = min(1.0, (attacks - before) / (found - before))
        return float(self.benign[place - 1] + share * (self.benign[place] - self.benign[place - 1]))

    def recall_at(self, benign_share: float) -> float:
        """The largest share of attacks alerted when at most `benign_share` of the benign are."""
        allowed = benign_share * self.benign[-1]
        place = int(np.searchsorted(self.benign, allowed + _ROUNDING, side="right"))
        found = self.attacks[place - 1]
        if place < len(self.benign):
            before, after = self.benign[place - 1], self.benign[place]
            share = max(0.0, (allowed - before) / (after - before))
            found += share * (self.attacks[place] - self.attacks[place - 1])
        return float(found / self.attacks[-1])

    def average_precision(self) -> float:
        """Precision at each distinct score, weighted by the share of attacks that it adds."""
        gained = np.diff(self.attacks) / self.attacks[-1]
        alerted = np.maximum((self.attacks + self.benign)[1:], _ROUNDING)
        return float((gained * self.attacks[1:] / alerted).sum())


class Ranked(NamedTuple):
    """Logs by falling score, once, so that they can be counted under many weights.

    Logs of one score, entity and truth are one group, with how many they are.

    entity   int64 (groups,)   the group's entity
    attacks  float64 (groups,) how many attacks; benign: how many benign logs (one of them is 0)
    ends     int64 (ties,)     last group of each score
    """

    entity: Ints
    attacks: Floats
    benign: Floats
    ends: Ints

    @classmethod
    def of(cls, scores: Floats, hostile: Flags, entity: Ints) -> Self:
        """From n finite scores, the truth, and whose log each is (0 <= entity)."""
        tie = np.unique(-scores, return_inverse=True)[1]
        entities = int(entity.max()) + 1
        keys = (tie * entities + entity) * 2 + hostile
        groups, counts = np.unique(keys, return_counts=True)
        tie, is_attack = groups // 2 // entities, groups % 2
        ends = np.flatnonzero(np.append(np.diff(tie) != 0, True))
        sizes = counts.astype(np.float64)
        return cls(groups // 2 % entities, sizes * is_attack, sizes * (1 - is_attack), ends)

    def points(self, weight: Floats) -> Points:
        """The points when every log of entity e counts `weight[e]` times."""
        weights = weight[self.entity]
        attacks = np.cumsum(weights * self.attacks)[self.ends]
        benign = np.cumsum(weights * self.benign)[self.ends]
        return Points(np.append(0.0, attacks), np.append(0.0, benign))


class LabelCounts(NamedTuple):
    """What is counted once each: scores float64 (n,), hostile bool (n,), entity int64 (n,)."""

    scores: Floats
    hostile: Flags
    entity: Ints

    def per_entity(self) -> LabelCounts:
        """Each entity once: its highest score; hostile when any of its logs is."""
        entities, place = np.unique(self.entity, return_inverse=True)
        highest = np.full(len(entities), -np.inf)
        np.maximum.at(highest, place, self.scores)
        hostile = np.zeros(len(entities), np.bool_)
        np.logical_or.at(hostile, place, self.hostile)
        return LabelCounts(highest, hostile, entities)

    def limit(self, benign_share: float) -> float:
        """The lowest score with at most that share of the benign at or above it; inf: none."""
        benign = np.sort(self.scores[~self.hostile])[::-1]
        allowed = int(benign_share * len(benign) + _ROUNDING)
        above = (
            self.scores if allowed >= len(benign) else self.scores[self.scores > benign[allowed]]
        )
        return float(above.min()) if len(above) else float("inf")
