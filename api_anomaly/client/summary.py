"""Verdicts -> who stands out, how badly, when and why; and the worst single logs.

Grouped by user, or by address where a log has no user. Memory: one number for each user or address
seen; a record, with its worst logs, for each one flagged.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api_anomaly.client.reading import Entry

SEVERITIES = ("low", "medium", "high", "critical")
# Single logs shown for one user or address at most, so that one loud actor does not fill the table.
_EACH = 3


@dataclass
class Group:
    """The anomalies of one user or address."""

    name: str
    flagged: int = 0
    risk: float = 0.0
    severity: str = "low"
    first: str = ""
    last: str = ""
    reasons: Counter[str] = field(default_factory=Counter)  # feature -> times it came first
    words: dict[str, str] = field(default_factory=dict)  # feature -> its words at the highest risk
    word_risks: dict[str, float] = field(default_factory=dict)
    labels: Counter[str] = field(default_factory=Counter)  # what the file says of its anomalies
    worst: list[dict[str, Any]] = field(default_factory=list)  # at most `_EACH`, the worst first

    def add(self, entry: Entry, anomaly: Mapping[str, Any]) -> None:
        """Count one anomaly, as the service gave it for this log."""
        risk = float(anomaly["risk"])
        self.flagged += 1
        if risk >= self.risk:
            self.risk, self.severity = risk, str(anomaly["severity"])
        moment = str(entry.log["timestamp"])
        self.first = min(self.first or moment, moment)
        self.last = max(self.last, moment)
        for reason in anomaly["reasons"][:1]:
            feature = str(reason["feature"])
            self.reasons[feature] += 1
            if risk >= self.word_risks.get(feature, 0.0):
                self.word_risks[feature], self.words[feature] = risk, str(reason["text"])
        if entry.truth is not None:
            self.labels[entry.truth.words] += 1
        if len(self.worst) < _EACH or anomaly["anomaly_score"] < self.worst[-1]["anomaly_score"]:
            self.worst.append({**anomaly, "line": entry.number, **entry.log})
            self.worst.sort(key=_score)
            del self.worst[_EACH:]

    @property
    def reason(self) -> str:
        """The words of the most frequent first reason."""
        return self.words[self.reasons.most_common(1)[0][0]] if self.reasons else ""


class Summary:
    """Everything the report needs, counted as the answers come in."""

    def __init__(self, top: int) -> None:
        self.logs = 0
        self.anomalies = 0
        self.severities: Counter[str] = Counter()
        self.groups: dict[str, Group] = {}
        self.seen: Counter[str] = Counter()  # user or address -> logs
        self._top = top

    def add(self, entries: Sequence[Entry], anomalies: Sequence[Mapping[str, Any]]) -> None:
        """One batch and the anomalies that the service found in it."""
        self.logs += len(entries)
        self.anomalies += len(anomalies)
        self.seen.update(who(entry) for entry in entries)
        for anomaly in anomalies:
            entry = entries[anomaly["log_index"]]
            name = who(entry)
            self.severities[str(anomaly["severity"])] += 1
            self.groups.setdefault(name, Group(name)).add(entry, anomaly)

    def top_groups(self) -> list[Group]:
        """The users and addresses with the highest risk, most flagged first among equals."""
        ranked = sorted(
            self.groups.values(),
            key=lambda group: (
                -SEVERITIES.index(group.severity),
                -group.flagged,
                -group.risk,
                group.name,
            ),
        )
        return ranked[: self._top]

    def top_logs(self) -> list[dict[str, Any]]:
        """The most anomalous single logs, at most `_EACH` of one user or address."""
        candidates = (log for group in self.groups.values() for log in group.worst)
        return sorted(candidates, key=_score)[: self._top]


def _score(anomaly: Mapping[str, Any]) -> float:
    return float(anomaly["anomaly_score"])


def who(entry: Entry) -> str:
    """The user, or the address where there is no user."""
    return str(entry.log["user_id"] or entry.log["ip_address"])
