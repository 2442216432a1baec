"""Detections -> anomalies by user (or address, where a log has no user), and the worst single logs.

Memory: a record with its worst logs for each flagged user or address.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from api_anomaly.client.label import Label

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

    def add(self, anomaly: Mapping[str, Any], label: Label | None) -> None:
        """Count one anomaly, as the service answers it."""
        risk = float(anomaly["risk"])
        self.flagged += 1
        if risk >= self.risk:
            self.risk, self.severity = risk, str(anomaly["severity"])
        timestamp = str(anomaly["timestamp"])
        self.first = min(self.first or timestamp, timestamp)
        self.last = max(self.last, timestamp)
        for reason in anomaly["reasons"][:1]:
            feature = str(reason["feature"])
            self.reasons[feature] += 1
            if risk >= self.text_risks.get(feature, 0.0):
                self.text_risks[feature], self.texts[feature] = risk, str(reason["text"])
        if label is not None:
            self.labels[label.description] += 1
        if (
            len(self.worst) < _MAX_LOGS_EACH
            or anomaly["anomaly_score"] < self.worst[-1]["anomaly_score"]
        ):
            self.worst.append(dict(anomaly))
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
        self._top = top

    def add(
        self, logs: int, anomalies: Sequence[Mapping[str, Any]], labels: Mapping[int, Label]
    ) -> None:
        """Count `logs` that the service examined and the anomalies that it found in them. `line` of
        an anomaly is its number in the file; `labels`: line -> label."""
        self.logs += logs
        self.anomalies += len(anomalies)
        for anomaly in anomalies:
            name = str(anomaly["user_id"] or anomaly["ip_address"])
            self.severities[str(anomaly["severity"])] += 1
            group = self.groups.setdefault(name, Group(name))
            group.add(anomaly, labels.get(anomaly["line"]))

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
