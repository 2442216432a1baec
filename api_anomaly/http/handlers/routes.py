"""The endpoints. Each reads its bytes itself, so that a refused caller costs nothing and a body is
parsed once, and each answers with encoded bytes."""

import time
from collections import Counter
from datetime import UTC, datetime
from functools import partial

from starlette.requests import Request
from starlette.responses import Response

from api_anomaly import __version__
from api_anomaly.errors import ModelIncompatible, ModelNotTrusted
from api_anomaly.http.admission import AdmissionTicket
from api_anomaly.http.responses import (
    Health,
    LastTraining,
    LoadAnswer,
    MemoryStatus,
    StatusAnswer,
    TrainAnswer,
    detection_json,
)
from api_anomaly.http.body import BodyLimits, read_body
from api_anomaly.logs.decode import Detection
from api_anomaly.http.handlers.feedback import status_of
from api_anomaly.telemetry.metrics import CONTENT_TYPE
from api_anomaly.http.state import HttpState, authorized_state, http_state
from api_anomaly.http.problems import json_response
from api_anomaly.runtime.idempotency import owned_key, retry_key
from api_anomaly.runtime.detection import Served
from api_anomaly.runtime.threads import in_thread
from api_anomaly.storage.manifest import Manifest

#: Bytes of a log in JSON, about: what lets the size of a body stand for the time to decode it.
_LOG_BYTES = 400
#: Seconds that a turn on the event loop can take; what is longer was spent on waiting.
_LONGEST_TURN = 0.02
_JSON = "application/json"


async def health(request: Request) -> Response:
    """Whether the process serves. Never touches the model, and needs no token."""
    answer: Health = {
        "status": "healthy",
        "timestamp": datetime.now(UTC).isoformat(),
        "version": __version__,
        "model_loaded": http_state(request.scope).app.detection.served is not None,
    }
    return json_response(answer)


async def metrics(request: Request) -> Response:
    """Metrics in Prometheus' text format. Needs a token only where `METRICS_TOKEN` is set."""
    parts = http_state(request.scope)
    if parts.app.settings.metrics_token:
        parts.authenticator.admit(request.scope)
    parts.app.metrics.set("open_requests", parts.admission.open)
    age = parts.app.snapshots.age
    parts.app.metrics.set("snapshot_age_seconds", float("nan") if age is None else age)
    parts.app.detection.measure_memory()
    return Response(parts.app.metrics.text(), media_type=CONTENT_TYPE)


async def detect(request: Request) -> Response:
    """Score a batch of logs against what their users, addresses and endpoints did before, and
    remember it. With an `Idempotency-Key` a retry gets the first answer and is not remembered."""
    parts = authorized_state(request)
    headers = request.scope["headers"]
    given = retry_key(headers)
    key = given and owned_key(request.scope["state"]["caller"].owner, given)
    settings = parts.app.settings
    with parts.admission.visit() as visit:
        limits = BodyLimits(settings.max_body_bytes, settings.body_seconds, visit.hold)
        body = await read_body(headers, request.receive, limits)
        detected = partial(_detected, parts, visit, body)
        if key is None:
            return Response(await detected(), media_type=_JSON)
        answer, again = await parts.app.idempotency.answer(key, body, detected)
    replayed = {"idempotency-replayed": "true"} if again else None
    return Response(answer, headers=replayed, media_type=_JSON)


async def _detected(parts: HttpState, visit: AdmissionTicket, body: bytes) -> bytes:
    """A small batch takes one turn of the event loop; a large one goes to a thread."""
    visit.queue(len(body))
    if len(body) > parts.app.settings.inline_logs * _LOG_BYTES:
        return await _scored(parts, await in_thread(parts.app.decoder.detection, body))
    await parts.scheduler.turn()
    started = time.perf_counter()
    try:
        return await _scored(parts, parts.app.decoder.detection(body))
    finally:
        parts.scheduler.worked(min(time.perf_counter() - started, _LONGEST_TURN))


async def _scored(parts: HttpState, detection: Detection) -> bytes:
    await parts.app.feedback.refresh()
    served, verdicts = await parts.app.detection.observe(
        detection.columns, detection.threshold, detection.remember
    )
    parts.app.feedback.remember(verdicts)
    total, fired = len(detection.logs), None
    if detection.include_rules:
        fired = await parts.app.rule_comparison.on(
            detection.logs, detection.columns, detection.remember
        )
    parts.app.metrics.count("logs_scored_total", by=total)
    parts.app.metrics.count("logs_with_history_total", by=round(verdicts.confidence * total))
    parts.app.metrics.observe_all("log_anomaly_score", -verdicts.scores)
    parts.app.metrics.observe("detect_batch_logs", total)
    version = served.manifest.version
    if verdicts.anomalies:
        severities = Counter(anomaly.severity for anomaly in verdicts.anomalies)
        for severity, count in severities.items():
            parts.app.metrics.count("anomalies_detected_total", severity, by=count)
        parts.app.journal.info("anomalies found", logs=total, version=version, **severities)
    scores = detection.include_scores
    encode = partial(detection_json, detection.logs, verdicts, version, scores, fired)
    # A large batch mostly has a short answer, and the way to a thread and back would take longer.
    told = len(verdicts.anomalies) if fired is None and not scores else total
    return encode() if told <= parts.app.settings.inline_logs else await in_thread(encode)


async def train(request: Request) -> Response:
    """Train a model on a history of logs, keep it on disk and serve it. The latest `test_size` of
    the logs is held out from learning; with the history before it, it calibrates the threshold."""
    parts = authorized_state(request)
    settings = parts.app.settings
    started = time.perf_counter()
    with parts.app.training.claimed():
        limits = BodyLimits(settings.max_training_body_bytes, settings.body_seconds, _held_by_one)
        body = await read_body(request.scope["headers"], request.receive, limits)
        history = await in_thread(parts.app.decoder.history, body)
        del body  # up to half a gigabyte that the training does not need
        manifest = await parts.app.training.run(history)
    return json_response(_trained(manifest, time.perf_counter() - started))


def _held_by_one(_size: int) -> None:
    """There is one training at a time, so its body needs no other bound than its size."""


def _trained(manifest: Manifest, seconds: float) -> TrainAnswer:
    facts = manifest.facts
    return {
        "status": "success",
        "message": f"Trained on {facts.training_samples} logs.",
        "training_samples": facts.training_samples,
        "train_anomalies": facts.train_anomalies,
        "test_anomalies": facts.test_anomalies,
        "model_accuracy": facts.accuracy,
        "held_out_precision": facts.held_out_precision,
        "held_out_recall": facts.held_out_recall,
        "timestamp": manifest.created,
        "model_version": manifest.version,
        "threshold": facts.threshold,
        "feature_count": facts.feature_count,
        "duration_seconds": seconds,
    }


async def load_model(request: Request) -> Response:
    """Serve the model that is on disk. Its signature is verified before anything is opened."""
    parts = authorized_state(request)
    try:
        served = await parts.app.detection.reload(parts.app.snapshots.restored)
    except (ModelNotTrusted, ModelIncompatible):
        parts.app.metrics.count("storage_failures_total", "model")
        raise
    version = served.manifest.version
    parts.app.journal.info("model loaded", version=version)
    answer: LoadAnswer = {
        "status": "success",
        "message": f"Model {version} is served.",
        "model_version": version,
    }
    return json_response(answer)


async def status(request: Request) -> Response:
    """What is served, what was measured, what is remembered, how the last training went."""
    parts = authorized_state(request)
    versions = await in_thread(parts.app.model_store.versions)
    served = parts.app.detection.served
    facts = served.manifest.facts if served else None
    answer: StatusAnswer = {
        "is_trained": served is not None,
        "training_date": served.manifest.created if served else None,
        "model_accuracy": facts.accuracy if facts else None,
        "feature_count": facts.feature_count if facts else 0,
        "model_version": served.manifest.version if served else None,
        "threshold": facts.threshold if facts else None,
        "training_samples": facts.training_samples if facts else None,
        "held_out_precision": facts.held_out_precision if facts else None,
        "held_out_recall": facts.held_out_recall if facts else None,
        "alert_budget": facts.alert_budget if facts else None,
        "training_running": parts.app.training.running,
        "last_training": _last_training(parts),
        "memory": _memory(served, parts.app.snapshots.age),
        "feedback": status_of(parts.app.feedback),
        "versions": versions,
    }
    return json_response(answer)


def _last_training(parts: HttpState) -> LastTraining | None:
    ended = parts.app.training.ended
    if ended is None:
        return None
    return {"outcome": ended.outcome, "error": ended.error, "timestamp": ended.timestamp}


def _memory(served: Served | None, age: float | None) -> MemoryStatus | None:
    if served is None:
        return None
    memory = served.detector.memory
    return {
        "entities": memory.entities,
        "capacity": memory.capacity,
        "evictions": memory.evictions,
        "snapshot_age_seconds": age,
    }
