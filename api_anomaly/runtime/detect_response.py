"""The response to POST /detect, also for a retry whose first response a killed process lost."""

from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import numpy as np

from api_anomaly.detector import Anomaly, Detections
from api_anomaly.logs.column_logs import ColumnLogs
from api_anomaly.logs.schema import Log, known_amount
from api_anomaly.logs.setup_checks import SetupWarning
from api_anomaly.logs.skip import InvalidLog, Skipped
from api_anomaly.rules import Fired
from api_anomaly.runtime.setup_watch import warning_response
from api_anomaly.storage.history.entry import Entry


class SizedLogs(Protocol):
    """The logs of a request, by row."""

    def __len__(self) -> int: ...
    def __getitem__(self, row: int, /) -> Log: ...


class DetectionResult(NamedTuple):
    """Detections in n logs and the version of the model; `fired` are the static rules, if they were
    asked for, and `warnings` say what looks wrong in the logs of this caller."""

    version: str
    detections: Detections
    fired: Fired | None
    warnings: Sequence[SetupWarning] = ()


def encode_response(
    logs: SizedLogs, result: DetectionResult, include_scores: bool, skipped: Skipped | None = None
) -> bytes:
    """A `DetectResponse` as JSON; `logs` are those of the request without the `skipped` ones."""
    positions = skipped.positions if skipped else range(len(logs))
    detections = result.detections
    total, count = len(logs), len(detections.anomalies)
    response: dict[str, Any] = {
        "anomalies": [
            anomaly_response(logs[found.index], found) | {"log_index": positions[found.index]}
            for found in detections.anomalies
        ],
        "total_logs": total,
        "anomaly_count": count,
        "anomaly_rate": count / total if total else 0.0,
        "model_confidence": detections.confidence,
        "model_version": result.version,
        "threshold": detections.threshold,
    }
    if include_scores:
        response["scores"] = _in_order(detections.scores.tolist(), skipped)
    if result.fired is not None:
        flagged = [found.index for found in detections.anomalies]
        response |= _rules(result.fired, flagged, positions)
    if skipped is not None:
        response["invalid"] = [
            {"index": log.position, "reason": log.reason} for log in skipped.invalid
        ]
    if result.warnings:
        response["warnings"] = [warning_response(warning) for warning in result.warnings]
    return msgspec.json.encode(response)


def encode_kept(entry: Entry, version: str, detections: Detections | None) -> bytes | None:
    """The response to a request whose first response was lost; static rules are not in it."""
    if detections is None:
        return None
    logs = ColumnLogs(entry.columns, entry.methods)
    include = bool(entry.facts["include_scores"])
    result = DetectionResult(version, detections, None)
    return encode_response(logs, result, include, _skipped(entry.facts.get("invalid"), len(logs)))


def _skipped(invalid: Sequence[Sequence[Any]] | None, logs: int) -> Skipped | None:
    """The skipped logs of a request with so many other `logs`, from its entry in the journal."""
    if invalid is None:
        return None
    left_out = [InvalidLog(*log) for log in invalid]
    places = {log.position for log in left_out}
    return Skipped([i for i in range(logs + len(places)) if i not in places], left_out)


def _in_order(scores: list[float], skipped: Skipped | None) -> list[float | None]:
    """A score for each log of the request, None for one that was left out."""
    if skipped is None or not skipped.invalid:
        return list(scores)
    placed: list[float | None] = [None] * (len(scores) + len(skipped.invalid))
    for position, score in zip(skipped.positions, scores, strict=True):
        placed[position] = score
    return placed


def _rules(fired: Fired, flagged: list[int], positions: Sequence[int]) -> dict[str, Any]:
    """The static rules that fired, and their agreement with the logs that the model `flagged`."""
    alerted = fired.any()
    both = int(alerted[flagged].sum())
    ids = np.array(fired.rule_ids, dtype=object)
    return {
        "rules": [
            {"log_index": positions[row], "rules": ids[fired.matrix[row]].tolist()}
            for row in np.flatnonzero(alerted).tolist()
        ],
        "rule_counts": fired.by_rule(),
        "rule_agreement": {
            "both": both,
            "rules_only": int(alerted.sum()) - both,
            "model_only": len(flagged) - both,
        },
    }


def anomaly_response(log: Log, anomaly: Anomaly) -> dict[str, Any]:
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
