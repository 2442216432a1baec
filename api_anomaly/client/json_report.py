"""The report of a replay for programs."""

from typing import Any

from api_anomaly.client.detection import Outcome
from api_anomaly.client.reader import Reader
from api_anomaly.client.summary import Group, Summary


def build_json_report(logfile: str, reader: Reader, outcome: Outcome) -> dict[str, Any]:
    """Everything that the printed report shows, as JSON values."""
    summary, training = outcome.summary, outcome.training
    return {
        "source": logfile,
        "format": reader.format,
        "lines": reader.read,
        "bad_lines": reader.bad,
        "refused_logs": outcome.refused,
        "model_version": outcome.model_version,
        "threshold": outcome.threshold,
        "training": training
        and {
            "offered": training.offered,
            "used": training.used,
            "seconds": training.seconds,
            **training.answer,
        },
        "logs": summary.logs,
        "anomalies": summary.anomalies,
        "severities": dict(summary.severities),
        "seconds": outcome.detect_seconds,
        "users_or_addresses": len(summary.seen),
        "groups": [_group(group, summary) for group in summary.top_groups()],
        "worst_logs": summary.top_logs(),
        "labels": outcome.label_report.figures() if outcome.label_report.labelled else None,
        "attacks": [family._asdict() for family in outcome.label_report.families()],
    }


def _group(group: Group, summary: Summary) -> dict[str, Any]:
    return {
        "name": group.name,
        "flagged": group.flagged,
        "logs": summary.seen[group.name],
        "severity": group.severity,
        "risk": group.risk,
        "first": group.first,
        "last": group.last,
        "reasons": dict(group.reasons.most_common()),
    }
