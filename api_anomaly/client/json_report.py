"""The report of a replay for programs."""

from typing import Any

from api_anomaly.client.ingestion import Outcome
from api_anomaly.client.summary import Group


def build_json_report(logfile: str, outcome: Outcome) -> dict[str, Any]:
    """Everything that the printed report shows, as JSON values."""
    summary, training, counts = outcome.summary, outcome.training, outcome.counts
    return {
        "source": logfile,
        "format": outcome.format,
        "lines": outcome.lines.read,
        "bad_lines": outcome.lines.bad,
        "model_version": outcome.model_version,
        "threshold": outcome.threshold,
        "training": training
        and {
            "offered": training.offered,
            "used": training.used,
            "refused": training.refused,
            "seconds": training.seconds,
            **training.answer,
        },
        **{name: counts[name] for name in ("accepted", "skipped", "late", "no_status")},
        "logs": summary.logs,
        "anomalies": summary.anomalies,
        "severities": dict(summary.severities),
        "seconds": outcome.seconds,
        "groups": [_group(group) for group in summary.top_groups()],
        "worst_logs": summary.top_logs(),
        "labels": outcome.label_report.figures() if outcome.label_report.labelled else None,
        "attacks": [family._asdict() for family in outcome.label_report.families()],
        "warnings": list(outcome.warnings),
    }


def _group(group: Group) -> dict[str, Any]:
    return {
        "name": group.name,
        "flagged": group.flagged,
        "severity": group.severity,
        "risk": group.risk,
        "first": group.first,
        "last": group.last,
        "reasons": dict(group.reasons.most_common()),
    }
