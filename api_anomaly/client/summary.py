"""Detections -> anomalies by user (or address, where a log has no user), and the worst single logs.

Memory: one number for each user or address; a record with its worst logs for each flagged one.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api_anomaly.client.reader import Entry

SEVERITIES = ("low", "medium", "high", "critical")
# So that one user or address with many anomalies does not fill the table of single logs.
_MAX_LOGS_EACH = 3


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
    texts: dict[str, str] = field(default_factory=dict)  # feature -> its text at the highest risk
    text_risks: dict[str, float] = field(default_factory=dict)
    labels: Counter[str] = field(default_factory=Counter)  # labels of its anomalies
    worst: list[dict[str, Any]] = field(
        default_factory=list
    )  # at most `_MAX_LOGS_EACH`, the worst first

    def add(self, entry: Entry, anomaly: Mapping[str, Any]) -> None:
        """Count one anomaly; `anomaly` is the answer of the service for this log."""
        risk = float(anomaly["risk"])
        self.flagged += 1
        if risk >= self.risk:
            self.risk, self.severity = risk, str(anomaly["severity"])
        timestamp = str(entry.log["timestamp"])
        self.first = min(self.first or timestamp, timestamp)
        self.last = max(self.last, timestamp)
        for reason in anomaly["reasons"][:1]:
            feature = str(reason["feature"])
            self.reasons[feature] += 1
            if risk >= self.text_risks.get(feature, 0.0):
                self.text_risks[feature], self.texts[feature] = risk, str(reason["text"])
        if entry.label is not None:
            self.labels[entry.label.description] += 1
        if (
            len(self.worst) < _MAX_LOGS_EACH
            or anomaly["anomaly_score"] < self.worst[-1]["anomaly_score"]
        ):
            self.worst.append({**anomaly, "line": entry.number, **entry.log})
            self.worst.sort(key=_score)
            del self.worst[_MAX_LOGS_EACH:]

    @property
    def reason(self) -> str:
        """The text of the most frequent first reason."""
        return self.texts[self.reasons.most_common(1)[0][0]] if self.reasons else ""


class Summary:
    """Sums up batches for the report."""

    def __init__(self, top: int) -> None:
        self.logs = 0
        self.anomalies = 0
        self.severities: Counter[str] = Counter()
        self.groups: dict[str, Group] = {}
        self.seen: Counter[str] = Counter()  # user or address -> logs
        self._top = top

    def add(self, entries: Sequence[Entry], anomalies: Sequence[Mapping[str, Any]]) -> None:
        """Count one batch and the anomalies that the service found in it."""
        self.logs += len(entries)
        self.anomalies += len(anomalies)
        self.seen.update(actor_name(entry) for entry in entries)
        for anomaly in anomalies:
            entry = entries[anomaly["log_index"]]
            name = actor_name(entry)
            self.severities[str(anomaly["severity"])] += 1
            self.groups.setdefault(name, Group(name)).add(entry, anomaly)

    def top_groups(self) -> list[Group]:
        """The users and addresses of the highest severity; among equals by number of anomalies."""
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
        """The most anomalous single logs, at most `_MAX_LOGS_EACH` of one user or address."""
        candidates = (log for group in self.groups.values() for log in group.worst)
        return sorted(candidates, key=_score)[: self._top]


def _score(anomaly: Mapping[str, Any]) -> float:
    return float(anomaly["anomaly_score"])


def actor_name(entry: Entry) -> str:
    """The user, or the address where there is no user."""
    return str(entry.log["user_id"] or entry.log["ip_address"])
