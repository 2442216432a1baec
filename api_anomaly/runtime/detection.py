"""The use case of POST /detect: score a batch and record what was found."""

import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import numpy as np

from api_anomaly.detector import Detections
from api_anomaly.errors import StorageFailed
from api_anomaly.logs.columns import OTHER_METHOD
from api_anomaly.logs.decode import DetectRequest
from api_anomaly.logs.setup_checks import SetupWarning
from api_anomaly.runtime.detect_response import DetectionResult
from api_anomaly.runtime.feedback import FeedbackService
from api_anomaly.runtime.history import HistoryService
from api_anomaly.runtime.idempotency import NO_RETRY, Retry
from api_anomaly.runtime.registry import ModelRegistry
from api_anomaly.runtime.rule_comparison import RuleComparison
from api_anomaly.runtime.setup_watch import SetupWatch
from api_anomaly.storage.history.entry import Entry
from api_anomaly.telemetry.journal import Journal
from api_anomaly.telemetry.metrics import Metrics


class DetectionService:
    """Scores batches with the served model."""

    def __init__(
        self,
        registry: ModelRegistry,
        feedback: FeedbackService,
        history: HistoryService,
        rules: RuleComparison,
        setup_watch: SetupWatch,
        metrics: Metrics,
        journal: Journal,
    ) -> None:
        self._registry = registry
        self._feedback = feedback
        self._history = history
        self._rules = rules
        self._setup_watch = setup_watch
        self._metrics = metrics
        self._journal = journal

    async def detect(
        self, request: DetectRequest, retry: Retry = NO_RETRY, caller: str = ""
    ) -> DetectionResult:
        """Score n logs and, unless `update_state` is false, keep them in the history. `retry`
        identifies the request, `caller` who sends it. Raises ModelNotTrained."""
        await self._feedback.drop_expired()

        def keep() -> None:
            if request.update_state and len(request.columns):
                # Detection goes on when the disk is full; the failure is counted and reported.
                with suppress(StorageFailed):
                    self._history.append(self._entry(request, retry))

        served, detections = await self._registry.observe(
            request.columns, request.threshold, request.update_state, keep
        )
        self._feedback.record(detections)
        fired = None
        if request.include_rules:
            fired = await self._rules.evaluate(request.logs, request.columns, request.update_state)
        self.record(detections, served.version)
        warnings: Sequence[SetupWarning] = ()
        if request.update_state:
            source = f"{caller} detect"
            warnings = self._setup_watch.seen(source, request.columns, time.time())
        return DetectionResult(served.version, detections, fired, warnings)

    def _entry(self, request: DetectRequest, retry: Retry) -> Entry:
        facts: dict[str, Any] = {
            "threshold": request.threshold,
            "include_scores": request.include_scores,
        }
        if request.skipped is not None:
            facts["invalid"] = list(request.skipped.invalid)
        methods = {
            int(row): request.logs[int(row)].method
            for row in np.flatnonzero(request.columns.method == OTHER_METHOD)
        }
        key, digest, _automatic = retry
        return Entry(
            "detect", time.time(), request.columns, key, digest, facts if key else {}, methods
        )

    def record(self, detections: Detections, version: str) -> None:
        """Count what was found."""
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
