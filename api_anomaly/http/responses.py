"""The shapes of the answers, as OpenAPI shows them, and the encoding of the one that must be fast.

Optional fields come only when asked for. Times are ISO 8601 in UTC.
"""

from collections.abc import Sequence
from typing import Any, Literal, NotRequired

import msgspec
import numpy as np
from typing_extensions import TypedDict

from api_anomaly.detector import Anomaly, Detections
from api_anomaly.rules import Fired
from api_anomaly.logs.from_models import known
from api_anomaly.logs.schema import Log


class Health(TypedDict):
    """GET /health."""

    status: Literal["healthy"]
    timestamp: str
    version: str
    model_loaded: bool


class ReasonAnswer(TypedDict):
    """Why: a behaviour, its value, what is usual for others, all in a sentence, and what is usual
    for this user or address itself (null when not known: it is new, or a day is too short to tell).

    Counts are in their unit, shares within 0 and 1, ages in hours, rarities N of "1 of N".
    """

    feature: str
    value: float | None
    usual: float | None
    text: str
    usual_here: float | None


class AnomalyAnswer(TypedDict):
    """An anomalous log: its place in the batch, its own fields, and the verdict with reasons."""

    log_index: int
    timestamp: str
    user_id: str | None
    endpoint: str
    method: str
    status_code: int
    response_time: float | None
    ip_address: str | None
    anomaly_score: float
    severity: Literal["low", "medium", "high", "critical"]
    risk: float
    reasons: list[ReasonAnswer]
    anomaly_id: str


class RulesAnswer(TypedDict):
    """The static rules that fired on a log."""

    log_index: int
    rules: list[str]


class RuleAgreement(TypedDict):
    """How many logs a rule and the model flag, only a rule, only the model."""

    both: int
    rules_only: int
    model_only: int


class DetectAnswer(TypedDict):
    """POST /detect. Scores are in [-1, 0), lower is more anomalous. With `include_rules`: the logs
    on which static rules fired, on how many each did, and how far they agree with the model."""

    anomalies: list[AnomalyAnswer]
    total_logs: int
    anomaly_count: int
    anomaly_rate: float
    model_confidence: float
    model_version: str
    threshold: float
    scores: NotRequired[list[float]]
    rules: NotRequired[list[RulesAnswer]]
    rule_counts: NotRequired[dict[str, int]]
    rule_agreement: NotRequired[RuleAgreement]


class TrainAnswer(TypedDict):
    """POST /train. Accuracy, precision and recall are measured on the held-out logs."""

    status: Literal["success"]
    message: str
    training_samples: int
    train_anomalies: int
    test_anomalies: int
    model_accuracy: float
    held_out_precision: float | None
    held_out_recall: float | None
    timestamp: str
    model_version: str
    threshold: float
    feature_count: int
    duration_seconds: float


class LoadAnswer(TypedDict):
    """POST /load-model."""

    status: Literal["success"]
    message: str
    model_version: str


class MemoryStatus(TypedDict):
    """What is remembered. `snapshot_age_seconds` is null until the memory was kept once."""

    entities: dict[str, int]
    capacity: int
    evictions: int
    snapshot_age_seconds: float | None


class LastTraining(TypedDict):
    """How the last training of this process ended; `error` is a code."""

    outcome: Literal["success", "failed"]
    error: str | None
    timestamp: str


class FeedbackItemAnswer(TypedDict):
    """One verdict as it was taken. Scores are of the judged log, under all verdicts of before and
    of now; `was` is the verdict on the same anomaly that it replaces."""

    anomaly_id: str
    verdict: Literal["false_positive", "true_positive"]
    was: Literal["false_positive", "true_positive"] | None
    score_before: float
    anomaly_score: float
    anomaly_before: bool
    anomaly: bool


class FeedbackAnswer(TypedDict):
    """POST /feedback: what it changed, and from when. `counted` are the verdicts of this request by
    what they are to those before; `active` all that count now."""

    status: Literal["success"]
    message: str
    effective_from: str
    expires: str
    model_version: str
    judged_model_version: str | None
    counted: dict[Literal["new", "changed", "repeated"], int]
    active: dict[Literal["false_positive", "true_positive"], int]
    items: list[FeedbackItemAnswer]


class FeedbackStatus(TypedDict):
    """What verdicts do. `active` ones count; others are `expired` or crowded out, `replaced` by a
    later verdict on the same anomaly, or of another release's behaviours (`incompatible`). `users`
    are those whom active ones are about; `trained_on` those that the served model was trained with;
    `raised` and `quieted` the logs that are, or are not,
    anomalies because of verdicts since the service started."""

    active: dict[Literal["false_positive", "true_positive"], int]
    expired: int
    replaced: int
    incompatible: int
    users: int
    trained_on: int
    last_change: str | None
    raised: int
    quieted: int
    anomalies_remembered: int


class StatusAnswer(TypedDict):
    """GET /status. Without a model its facts are null and `feature_count` is 0."""

    is_trained: bool
    training_date: str | None
    model_accuracy: float | None
    feature_count: int
    model_version: str | None
    threshold: float | None
    training_samples: int | None
    held_out_precision: float | None
    held_out_recall: float | None
    alert_budget: float | None
    training_running: bool
    last_training: LastTraining | None
    memory: MemoryStatus | None
    feedback: FeedbackStatus
    versions: list[str]


class Fault(TypedDict):
    """One fault of a body; `loc` names the log: ["body", "logs", 7, "status_code"]."""

    type: str
    loc: list[str | int]
    msg: str
    input: NotRequired[Any]


class ProblemResponse(TypedDict):
    """Every error but 422."""

    detail: str
    code: str


class RefusedBody(TypedDict):
    """A 422: up to 100 faults, and how many `more` there are."""

    detail: list[Fault]
    code: str
    more: NotRequired[int]


def detection_json(
    logs: Sequence[Log],
    verdicts: Detections,
    version: str,
    scores: bool,
    fired: Fired | None = None,
) -> bytes:
    """The body of a DetectAnswer; `fired` is what the rules said, if they were asked."""
    total, count = len(logs), len(verdicts.anomalies)
    answer: dict[str, Any] = {
        "anomalies": [_anomaly(logs[anomaly.index], anomaly) for anomaly in verdicts.anomalies],
        "total_logs": total,
        "anomaly_count": count,
        "anomaly_rate": count / total if total else 0.0,
        "model_confidence": verdicts.confidence,
        "model_version": version,
        "threshold": verdicts.threshold,
    }
    if scores:
        answer["scores"] = verdicts.scores.tolist()
    if fired is not None:
        answer |= _told(fired, [anomaly.index for anomaly in verdicts.anomalies])
    return msgspec.json.encode(answer)


def _told(fired: Fired, flagged: list[int]) -> dict[str, Any]:
    """What the rules say of n logs, beside the m that the model has `flagged`."""
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
        "response_time": known(log.response_time),
        "ip_address": log.ip_address,
        "anomaly_score": anomaly.score,
        "severity": anomaly.severity,
        "risk": anomaly.risk,
        "reasons": [reason._asdict() for reason in anomaly.reasons],
        "anomaly_id": anomaly.id,
    }
