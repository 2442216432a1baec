"""Detections against the labels of a file: recall, precision, false positives, by log and actor.

Logs with an unknown label (null) are in no figure. An actor with at least one attack log is an
attacker; the benign logs of an attacker count as benign, and their false positives are also counted
on their own.
"""

from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from api_anomaly.client.label import Label


@dataclass
class ActorStats:
    """Logs of one actor in one attack family, or of its benign part."""

    logs: int = 0
    flagged: int = 0
    logs_until_found: int = 0  # up to and with the first flagged log; 0 = never flagged

    def add(self, flagged: bool) -> None:
        self.logs += 1
        self.flagged += flagged
        if flagged and not self.logs_until_found:
            self.logs_until_found = self.logs


class Family(NamedTuple):
    """Detections in one attack family."""

    name: str
    actors: int
    actors_found: int
    logs: int
    logs_flagged: int
    logs_until_found: float | None  # median attack logs of a found actor up to its first anomaly
    missed: tuple[str, ...]  # actors never flagged


@dataclass
class LabelReport:
    """Sums up batches."""

    unknown: int = 0
    _cases: Counter[str] = field(default_factory=Counter)  # hard case -> false positives
    _attacks: dict[tuple[str, str], ActorStats] = field(default_factory=dict)  # (family, actor)
    _benign: dict[str, ActorStats] = field(default_factory=dict)  # actor

    def add(self, labels: Mapping[int, Label], flagged: Set[int]) -> None:
        """Count one batch: line number -> label, and the lines with anomalies."""
        for line, label in labels.items():
            if label.is_attack is None:
                self.unknown += 1
                continue
            if label.is_attack:
                family = label.attack or "attack"
                stats = self._attacks.setdefault((family, label.actor), ActorStats())
            else:
                stats = self._benign.setdefault(label.actor, ActorStats())
                if label.case and line in flagged:
                    self._cases[label.case] += 1
            stats.add(line in flagged)

    @property
    def labelled(self) -> bool:
        """Whether any log carried a known label."""
        return bool(self._attacks or self._benign)

    def families(self) -> list[Family]:
        """One row for each attack family, the largest first."""
        by_family: dict[str, dict[str, ActorStats]] = {}
        for (family, actor), stats in self._attacks.items():
            by_family.setdefault(family, {})[actor] = stats
        rows = [_family(name, actors) for name, actors in by_family.items()]
        return sorted(rows, key=lambda row: (-row.logs, row.name))

    def figures(self) -> dict[str, float | int | dict[str, int] | None]:
        """The totals. A share of nothing is None."""
        attackers = {actor for _, actor in self._attacks}
        found = {actor for (_, actor), stats in self._attacks.items() if stats.flagged}
        others = {actor: stats for actor, stats in self._benign.items() if actor not in attackers}
        attack_logs = sum(stats.logs for stats in self._attacks.values())
        true_positives = sum(stats.flagged for stats in self._attacks.values())
        benign_logs = sum(stats.logs for stats in self._benign.values())
        false_positives = sum(stats.flagged for stats in self._benign.values())
        of_others = sum(stats.flagged for stats in others.values())
        return {
            "attack_logs": attack_logs,
            "attack_logs_flagged": true_positives,
            "recall": _share(true_positives, attack_logs),
            "precision": _share(true_positives, true_positives + false_positives),
            "benign_logs": benign_logs,
            "false_positives": false_positives,
            "false_positive_rate": _share(false_positives, benign_logs),
            "false_positives_of_attackers": false_positives - of_others,
            "false_positive_cases": dict(self._cases.most_common()),
            "attackers": len(attackers),
            "attackers_found": len(found),
            "attacker_recall": _share(len(found), len(attackers)),
            "benign_actors": len(others),
            "benign_actors_flagged": sum(1 for stats in others.values() if stats.flagged),
            "unknown_logs": self.unknown,
        }


def _family(name: str, actors: dict[str, ActorStats]) -> Family:
    found = [stats.logs_until_found for stats in actors.values() if stats.flagged]
    return Family(
        name=name,
        actors=len(actors),
        actors_found=len(found),
        logs=sum(stats.logs for stats in actors.values()),
        logs_flagged=sum(stats.flagged for stats in actors.values()),
        logs_until_found=median(found) if found else None,
        missed=tuple(sorted(actor for actor, stats in actors.items() if not stats.flagged)),
    )


def _share(part: int, whole: int) -> float | None:
    return part / whole if whole else None
