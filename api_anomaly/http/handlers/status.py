"""GET /status."""

from collections.abc import Sequence
from typing import cast

from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.http.handlers.feedback import active_verdicts, iso_time
from api_anomaly.http.problems import json_response
from api_anomaly.http.responses import (
    FeedbackStatus,
    FirstTrainingStatus,
    HistoryStatus,
    LastTraining,
    MemoryStatus,
    SetupWarningFields,
    StatusResponse,
)
from api_anomaly.http.state import HttpState
from api_anomaly.logs.setup_checks import SetupWarning
from api_anomaly.runtime.registry import ServedModel
from api_anomaly.runtime.first_training import FirstTraining
from api_anomaly.runtime.history import HistoryService
from api_anomaly.runtime.feedback import FeedbackService
from api_anomaly.runtime.setup_watch import warning_response
from api_anomaly.runtime.threads import in_thread
from api_anomaly.runtime.training import TrainingService


async def status(_request: Request, state: HttpState) -> Response:
    """The served model and what was measured of it, memory, feedback and the last training."""
    app = state.app
    versions = await in_thread(app.registry.versions)
    served = app.registry.served
    facts = served.manifest.facts if served else None
    response: StatusResponse = {
        "is_trained": served is not None,
        "training_date": served.manifest.created if served else None,
        "model_accuracy": facts.accuracy if facts else None,
        "feature_count": facts.feature_count if facts else 0,
        "model_version": served.version if served else None,
        "threshold": facts.threshold if facts else None,
        "training_samples": facts.training_samples if facts else None,
        "held_out_precision": facts.held_out_precision if facts else None,
        "held_out_recall": facts.held_out_recall if facts else None,
        "alert_budget": facts.alert_budget if facts else None,
        "training_running": app.training.running,
        "last_training": _last_training(app.training),
        "memory": _memory(served, app.snapshots.age_seconds),
        "feedback": _feedback(app.feedback),
        "versions": versions,
        "warnings": setup_warnings(app.setup_watch.warnings),
        "history": _history(app.history),
        "first_training": _first_training(app.first_training),
    }
    return json_response(response)


def setup_warnings(warnings: Sequence[SetupWarning]) -> list[SetupWarningFields]:
    """The warnings as responses show them."""
    return [cast(SetupWarningFields, warning_response(warning)) for warning in warnings]


def _last_training(training: TrainingService) -> LastTraining | None:
    last = training.last
    if last is None:
        return None
    return {"outcome": last.outcome, "error": last.error, "timestamp": last.timestamp}


def _history(history: HistoryService) -> HistoryStatus | None:
    if not history.enabled:
        return None
    span = history.span
    return {
        "logs": span.logs,
        "first": iso_time(span.first) if span.logs else None,
        "last": iso_time(span.last) if span.logs else None,
    }


def _first_training(first: FirstTraining) -> FirstTrainingStatus | None:
    missing = first.missing
    return None if missing is None else cast(FirstTrainingStatus, missing.response())


def _memory(served: ServedModel | None, snapshot_age: float | None) -> MemoryStatus | None:
    if served is None:
        return None
    memory = served.detector.memory
    return {
        "entities": memory.entities,
        "capacity": memory.capacity,
        "evictions": memory.evictions,
        "snapshot_age_seconds": snapshot_age,
    }


def _feedback(feedback: FeedbackService) -> FeedbackStatus:
    counts = feedback.labels.counts()
    return {
        "active": active_verdicts(counts),
        "expired": counts.expired,
        "replaced": counts.replaced,
        "incompatible": counts.incompatible,
        "users": counts.users,
        "trained_on": feedback.trained_on,
        "last_change": None if counts.last is None else iso_time(counts.last),
        "raised": feedback.raised,
        "quieted": feedback.quieted,
        "anomalies_remembered": len(feedback.anomalies),
    }
