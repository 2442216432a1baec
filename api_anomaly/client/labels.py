"""Verdicts against the labels of a file: recall, precision, false alarms, by log and by actor.

Logs whose label is unknown (null) are left out of every figure. An actor is who the file says
(`actor`), else the user, else the address. An actor with at least one attack log is an attacker;
the ordinary logs of an attacker count as ordinary, and their false alarms are told apart from
those of actors who never attack.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import NamedTuple

from api_anomaly.client.reading import Entry
from api_anomaly.client.summary import who


@dataclass
class ActorStats:
    """What one actor did in one attack family, or outside any."""

    logs: int = 0
    flagged: int = 0
    until_found: int = 0  # attack logs up to and with the first flagged one; 0 = never found

    def add(self, flagged: bool) -> None:
        self.logs += 1
        self.flagged += flagged
        if flagged and not self.until_found:
            self.until_found = self.logs


class Family(NamedTuple):
    """How one attack family was found."""

    name: str
    actors: int
    actors_found: int
    logs: int
    logs_flagged: int
    until_found: float | None  # median attack logs of a found actor up to its first anomaly
    missed: tuple[str, ...]  # actors never flagged


@dataclass
class LabelReport:
    """The count so far."""

    unknown: int = 0
    _cases: Counter[str] = field(default_factory=Counter)  # hard case -> false alarms
    _attacks: dict[tuple[str, str], ActorStats] = field(default_factory=dict)  # (family, actor)
    _ordinary: dict[str, ActorStats] = field(default_factory=dict)  # actor

    def add(self, entries: Sequence[Entry], flagged: frozenset[int]) -> None:
        """One batch and the places in it that were flagged."""
        for place, entry in enumerate(entries):
            truth = entry.truth
            if truth is None:
                continue
            if truth.label is None:
                self.unknown += 1
                continue
            actor = truth.actor or who(entry)
            if truth.label == 1:
                deeds = self._attacks.setdefault((truth.attack or "attack", actor), ActorStats())
            else:
                deeds = self._ordinary.setdefault(actor, ActorStats())
                if truth.case and place in flagged:
                    self._cases[truth.case] += 1
            deeds.add(place in flagged)

    @property
    def labelled(self) -> bool:
        """Whether any log carried a known label."""
        return bool(self._attacks or self._ordinary)

    def families(self) -> list[Family]:
        """One row for each attack family, the largest first."""
        rows = []
        for name in {family for family, _ in self._attacks}:
            deeds = {
                actor: deed for (family, actor), deed in self._attacks.items() if family == name
            }
            found = [deed.until_found for deed in deeds.values() if deed.until_found]
            rows.append(
                Family(
                    name=name,
                    actors=len(deeds),
                    actors_found=len(found),
                    logs=sum(deed.logs for deed in deeds.values()),
                    logs_flagged=sum(deed.flagged for deed in deeds.values()),
                    until_found=median(found) if found else None,
                    missed=tuple(
                        sorted(actor for actor, deed in deeds.items() if not deed.until_found)
                    ),
                )
            )
        return sorted(rows, key=lambda row: (-row.logs, row.name))

    def figures(self) -> dict[str, float | int | dict[str, int] | None]:
        """The totals. Shares are None where nothing stands below the line."""
        attackers = {actor for _, actor in self._attacks}
        found = {actor for (_, actor), deed in self._attacks.items() if deed.flagged}
        innocent = {actor: deed for actor, deed in self._ordinary.items() if actor not in attackers}
        alarmed = sum(1 for deed in innocent.values() if deed.flagged)
        attack_logs = sum(deed.logs for deed in self._attacks.values())
        hits = sum(deed.flagged for deed in self._attacks.values())
        ordinary_logs = sum(deed.logs for deed in self._ordinary.values())
        alarms = sum(deed.flagged for deed in self._ordinary.values())
        return {
            "attack_logs": attack_logs,
            "attack_logs_flagged": hits,
            "recall": share(hits, attack_logs),
            "precision": share(hits, hits + alarms),
            "ordinary_logs": ordinary_logs,
            "false_alarms": alarms,
            "false_alarm_rate": share(alarms, ordinary_logs),
            "false_alarms_of_attackers": alarms - sum(deed.flagged for deed in innocent.values()),
            "false_alarm_cases": dict(self._cases.most_common()),
            "attackers": len(attackers),
            "attackers_found": len(found),
            "attacker_recall": share(len(found), len(attackers)),
            "ordinary_actors": len(innocent),
            "ordinary_actors_alarmed": alarmed,
            "unknown_logs": self.unknown,
        }


def share(part: int, whole: int) -> float | None:
    """part / whole, or None."""
    return part / whole if whole else None
