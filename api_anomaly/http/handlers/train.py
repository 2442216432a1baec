"""POST /train."""

import time

from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.http.body import BodyLimits, read_body
from api_anomaly.http.problems import json_response
from api_anomaly.http.responses import TrainResponse
from api_anomaly.http.handlers.status import setup_warnings
from api_anomaly.http.state import HttpState
from api_anomaly.logs.decode import decode_history_training
from api_anomaly.logs.schema import DEFAULT_TEST_SIZE
from api_anomaly.runtime.training import HistoryTraining
from api_anomaly.runtime.threads import in_thread
from api_anomaly.storage.manifest import Manifest


async def train(request: Request, state: HttpState) -> Response:
    """Train a model on a history of logs, store it and serve it. With `{"source": "history"}`
    instead of logs it is the history that the service keeps. The latest `test_size` share of
    the logs is not learned from; together with the history before it, it calibrates the
    threshold."""
    app = state.app
    started = time.perf_counter()
    with app.training.reserved():
        limits = BodyLimits(
            app.settings.max_training_body_bytes, app.settings.body_seconds, _not_counted
        )
        body = await read_body(request.scope["headers"], request.receive, limits)
        on_history = decode_history_training(body)
        if on_history is not None:
            manifest = await app.training.run_on_history(
                HistoryTraining(on_history.days or 0.0, on_history.test_size or DEFAULT_TEST_SIZE)
            )
        else:
            history = await in_thread(app.decoder.decode_train, body)
            del body  # up to half a gigabyte that the training does not need
            manifest = await app.training.run(history)
        response = _response(manifest, time.perf_counter() - started)
        if app.training.warnings:
            response["warnings"] = setup_warnings(app.training.warnings)
    return json_response(response)


def _not_counted(_size: int) -> None:
    """One training runs at a time, so the limit on its own size bounds its memory."""


def _response(manifest: Manifest, seconds: float) -> TrainResponse:
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
