"""The shapes of the response bodies, as the OpenAPI document shows them.

Fields marked NotRequired come only on request. Times are ISO 8601 in UTC.
"""

from typing import Any, Literal, NotRequired

from typing_extensions import TypedDict

from api_anomaly.logs.setup_checks import Code as SetupCode

VerdictName = Literal["false_positive", "true_positive"]


class HealthResponse(TypedDict):
    """GET /health."""

    status: Literal["healthy"]
    timestamp: str
    version: str
    model_loaded: bool


class ReadyResponse(TypedDict):
    """GET /ready."""

    status: Literal["ready"]


class ReasonFields(TypedDict):
    """One feature of an anomalous log. `usual` is the value for other clients, `usual_here` for
    this user or address; null if it is new or the time of observation is too short. `text` says
    all of it in a sentence. Units: counts, shares in [0, 1], hours, or N of "1 of N".
    """

    feature: str
    value: float | None
    usual: float | None
    text: str
    usual_here: float | None


class AnomalyFields(TypedDict):
    """An anomalous log: its position in the request, some of its fields, score and reasons."""

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
    reasons: list[ReasonFields]
    anomaly_id: str


class FiredRules(TypedDict):
    """The static rules that fired on a log."""

    log_index: int
    rules: list[str]


class RuleAgreement(TypedDict):
    """Numbers of logs that a rule and the model flag, only a rule, only the model."""

    both: int
    rules_only: int
    model_only: int


class SetupWarningFields(TypedDict):
    """What looks wrong in the logs of a source (a caller and a format, or a training): `text` says
    what was seen, in how many `logs` since when, and what to do."""

    code: SetupCode
    source: str
    text: str
    since: str
    logs: int


class InvalidLogFields(TypedDict):
    """A log that was left out: its position in the request, and why."""

    index: int
    reason: str


class DetectResponse(TypedDict):
    """POST /detect. Scores are in [-1, 0); lower is more anomalous. With `include_rules`: the logs
    on which static rules fired, the number of logs for each rule, and the agreement with the
    model. With `on_invalid: "skip"`: `invalid`, the logs that were left out; `scores` has null for
    them. With `warnings` the logs of this caller look wrong."""

    anomalies: list[AnomalyFields]
    total_logs: int
    anomaly_count: int
    anomaly_rate: float
    model_confidence: float
    model_version: str
    threshold: float
    scores: NotRequired[list[float | None]]
    rules: NotRequired[list[FiredRules]]
    rule_counts: NotRequired[dict[str, int]]
    rule_agreement: NotRequired[RuleAgreement]
    invalid: NotRequired[list[InvalidLogFields]]
    warnings: NotRequired[list[SetupWarningFields]]


class TrainResponse(TypedDict):
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
    warnings: NotRequired[list[SetupWarningFields]]


class FirstTrainingStatus(TypedDict):
    """What is missing until the service trains its first model by itself."""

    missing_logs: int
    missing_hours: float


class IngestError(TypedDict):
    """A line or event that could not be read as a log, by its number from 1."""

    line: int
    reason: str


class IngestResponse(TypedDict):
    """POST /ingest. `accepted` logs are on disk, `scored` ones were scored (0 without a model);
    `skipped` lines are no logs by design, like headers. `late` logs were over an hour old.
    `no_status` logs were cut off before a status was sent. `errors` are the first 20. `anomalies`
    comes with `?anomalies=true`; each has its `line`."""

    accepted: int
    rejected: int
    skipped: int
    scored: int
    late: int
    no_status: int
    errors: list[IngestError]
    anomaly_count: int
    incident_ids: list[str]
    format: str
    model_version: str | None
    warnings: list[str]
    first_training: NotRequired[FirstTrainingStatus | None]
    anomalies: NotRequired[list[dict[str, Any]]]


class FormatRow(TypedDict):
    """A log format: its name, what it reads, an example."""

    name: str
    title: str
    example: str


class FormatsResponse(TypedDict):
    """GET /formats."""

    formats: list[FormatRow]


class LoadResponse(TypedDict):
    """POST /load-model."""

    status: Literal["success"]
    message: str
    model_version: str


class RemovedResponse(TypedDict):
    """DELETE /subjects/{subject}: how much of each kind was removed. `note` says what stays."""

    memory_records: int
    verdicts: int
    anomalies: int
    responses: int
    history_logs: int
    note: str


class FeedbackItemResponse(TypedDict):
    """One verdict. The scores are of the log it is about, before and after this request; `was` is
    the earlier verdict on the same anomaly that it replaces."""

    anomaly_id: str
    verdict: VerdictName
    was: VerdictName | None
    score_before: float
    anomaly_score: float
    anomaly_before: bool
    anomaly: bool


class FeedbackResponse(TypedDict):
    """POST /feedback: what changed, and from when. `counted`: the verdicts of this request by
    their relation to earlier ones. `active`: all verdicts in effect."""

    status: Literal["success"]
    message: str
    effective_from: str
    expires: str
    model_version: str
    judged_model_version: str | None
    counted: dict[Literal["new", "changed", "repeated"], int]
    active: dict[VerdictName, int]
    items: list[FeedbackItemResponse]


class MemoryStatus(TypedDict):
    """The detector's memory. `snapshot_age_seconds` is null before the first snapshot."""

    entities: dict[str, int]
    capacity: int
    evictions: int
    snapshot_age_seconds: float | None


class LastTraining(TypedDict):
    """The result of the last training of this process; `error` is an error code."""

    outcome: Literal["success", "failed"]
    error: str | None
    timestamp: str


class FeedbackStatus(TypedDict):
    """The verdicts. `active` ones are in effect; others are `expired` or beyond the limit,
    `replaced` by a later verdict on the same anomaly, or `incompatible`: of a release with other
    features. `users`: users with an active verdict. `trained_on`: verdicts the served model was
    trained with. `raised` and `quieted`: logs that became anomalies, or none, because of feedback
    since the start."""

    active: dict[VerdictName, int]
    expired: int
    replaced: int
    incompatible: int
    users: int
    trained_on: int
    last_change: str | None
    raised: int
    quieted: int
    anomalies_remembered: int


class HistoryStatus(TypedDict):
    """The kept history: logs, and the times of the earliest and the latest."""

    logs: int
    first: str | None
    last: str | None


class StatusResponse(TypedDict):
    """GET /status. Without a model its fields are null and `feature_count` is 0."""

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
    warnings: list[SetupWarningFields]
    history: HistoryStatus | None
    first_training: FirstTrainingStatus | None


class ShipperAnswer(TypedDict):
    """What a shipper expects: the protocol's own JSON object, described there."""


class Fault(TypedDict):
    """One fault of a request; `loc` is where: ["body", "logs", 7, "status_code"]."""

    type: str
    loc: list[str | int]
    msg: str
    input: NotRequired[Any]


class ProblemResponse(TypedDict):
    """The body of every error except 422."""

    detail: str
    code: str


class ValidationProblemResponse(TypedDict):
    """The body of a 422: up to 100 faults, and the number of `more`."""

    detail: list[Fault]
    code: str
    more: NotRequired[int]
