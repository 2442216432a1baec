"""The use case of POST /detect: score a batch and record what was found."""

from collections import Counter
from typing import NamedTuple

from api_anomaly.detector import Detections
from api_anomaly.logs.decode import DetectRequest
from api_anomaly.rules import Fired
from api_anomaly.runtime.feedback import FeedbackService
from api_anomaly.runtime.registry import ModelRegistry
from api_anomaly.runtime.rule_comparison import RuleComparison
from api_anomaly.telemetry.journal import Journal
from api_anomaly.telemetry.metrics import Metrics


class DetectionResult(NamedTuple):
    """Detections in n logs and the version of the model; `fired` are the static rules, if they were
    asked for."""

    version: str
    detections: Detections
    fired: Fired | None


class DetectionService:
    """Scores batches with the served model."""

    def __init__(
        self,
        registry: ModelRegistry,
        feedback: FeedbackService,
        rules: RuleComparison,
        metrics: Metrics,
        journal: Journal,
    ) -> None:
        self._registry = registry
        self._feedback = feedback
        self._rules = rules
        self._metrics = metrics
        self._journal = journal

    async def detect(self, request: DetectRequest) -> DetectionResult:
        """Score n logs. Raises ModelNotTrained."""
        await self._feedback.drop_expired()
        served, detections = await self._registry.observe(
            request.columns, request.threshold, request.update_state
        )
        self._feedback.record(detections)
        fired = None
        if request.include_rules:
            fired = await self._rules.evaluate(request.logs, request.columns, request.update_state)
        self._record(detections, served.version)
        return DetectionResult(served.version, detections, fired)

    def _record(self, detections: Detections, version: str) -> None:
        total = len(detections.scores)
        self._metrics.count("logs_scored_total", by=total)
        self._metrics.count("logs_with_history_total", by=round(detections.confidence * total))
        self._metrics.observe_all("log_anomaly_score", -detections.scores)
        self._metrics.observe("detect_batch_logs", total)
        if not detections.anomalies:
            return
        severities = Counter(anomaly.severity for anomaly in detections.anomalies)
        for severity, count in severities.items():
            self._metrics.count("anomalies_detected_total", severity, by=count)
        self._journal.info("anomalies found", logs=total, version=version, **severities)
