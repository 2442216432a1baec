"""POST /detect."""

import time
from collections.abc import Sequence
from functools import partial
from typing import Any

import msgspec
import numpy as np
from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.detector import Anomaly
from api_anomaly.http.handlers.batch import respond
from api_anomaly.http.state import HttpState
from api_anomaly.logs.decode import DetectRequest
from api_anomaly.logs.schema import Log, known_amount
from api_anomaly.rules import Fired
from api_anomaly.runtime.detection import DetectionResult
from api_anomaly.runtime.state import AppState
from api_anomaly.runtime.threads import in_thread

#: Typical bytes of a log in JSON: the size of a body is an estimate of the time to decode it.
_LOG_BYTES = 400
#: Seconds that a small batch can take on the event loop. A longer measured time includes waiting.
_MAX_INLINE_SECONDS = 0.02


async def detect(request: Request, state: HttpState) -> Response:
    """Score a batch of logs against what their users, addresses and endpoints did before, and
    remember it. A retry with the same `Idempotency-Key` gets the first response; its logs are not
    remembered again."""
    return await respond(request, state, _decode_and_score)


async def _decode_and_score(state: HttpState, body: bytes) -> bytes:
    """A small batch is processed on the event loop, a large one in a thread."""
    app = state.app
    if len(body) > app.settings.inline_logs * _LOG_BYTES:
        return await _score(app, await in_thread(app.decoder.decode_detect, body))
    await state.scheduler.wait_turn()
    started = time.perf_counter()
    try:
        return await _score(app, app.decoder.decode_detect(body))
    finally:
        state.scheduler.finished(min(time.perf_counter() - started, _MAX_INLINE_SECONDS))


async def _score(app: AppState, request: DetectRequest) -> bytes:
    result = await app.detection.detect(request)
    encode = partial(encode_response, request.logs, result, request.include_scores)
    # Most responses are short even for a large batch; a thread would take longer than encoding.
    everything = request.include_scores or result.fired is not None
    entries = len(request.logs) if everything else len(result.detections.anomalies)
    return encode() if entries <= app.settings.inline_logs else await in_thread(encode)


def encode_response(logs: Sequence[Log], result: DetectionResult, include_scores: bool) -> bytes:
    """A `DetectResponse` as JSON."""
    detections = result.detections
    total, count = len(logs), len(detections.anomalies)
    response: dict[str, Any] = {
        "anomalies": [_anomaly(logs[found.index], found) for found in detections.anomalies],
        "total_logs": total,
        "anomaly_count": count,
        "anomaly_rate": count / total if total else 0.0,
        "model_confidence": detections.confidence,
        "model_version": result.version,
        "threshold": detections.threshold,
    }
    if include_scores:
        response["scores"] = detections.scores.tolist()
    if result.fired is not None:
        response |= _rules(result.fired, [found.index for found in detections.anomalies])
    return msgspec.json.encode(response)


def _rules(fired: Fired, flagged: list[int]) -> dict[str, Any]:
    """The static rules that fired, and their agreement with the logs that the model `flagged`."""
    alerted = fired.any()
    both = int(alerted[flagged].sum())
    ids = np.array(fired.rule_ids, dtype=object)
    return {
        "rules": [
            {"log_index": row, "rules": ids[fired.matrix[row]].tolist()}
            for row in np.flatnonzero(alerted).tolist()
        ],
        "rule_counts": fired.by_rule(),
        "rule_agreement": {
            "both": both,
            "rules_only": int(alerted.sum()) - both,
            "model_only": len(flagged) - both,
        },
    }


def _anomaly(log: Log, anomaly: Anomaly) -> dict[str, Any]:
    return {
        "log_index": anomaly.index,
        "timestamp": log.timestamp.isoformat(),
        "user_id": log.user_id,
        "endpoint": log.endpoint,
        "method": log.method,
        "status_code": log.status_code,
        "response_time": known_amount(log.response_time),
        "ip_address": log.ip_address,
        "anomaly_score": anomaly.score,
        "severity": anomaly.severity,
        "risk": anomaly.risk,
        "reasons": [reason._asdict() for reason in anomaly.reasons],
        "anomaly_id": anomaly.id,
    }
