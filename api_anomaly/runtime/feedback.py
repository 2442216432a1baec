"""POST /feedback: verdicts become lessons, lessons are kept, and what they teach is in force.

In this order: everything is checked, then kept on disk, then in force, then acknowledged. So a
verdict that was acknowledged is never lost, and of a request either all is taken or nothing.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.detector import Detections
from api_anomaly.runtime.recent_anomalies import RecentAnomalies
from api_anomaly.logs.decode import MAX_ERRORS
from api_anomaly.telemetry.journal import Journal
from api_anomaly.feedback.decode import FeedbackRequest
from api_anomaly.runtime.label_store import LabelCounts, LabelStore
from api_anomaly.telemetry.metrics import Metrics
from api_anomaly.errors import AnomalyUnknown, StorageFailed
from api_anomaly.runtime.detection import Served, DetectionService

NAMES = {False: "false_positive", True: "true_positive"}


class FeedbackResult(NamedTuple):
    """What one request changed: n lessons as kept, scores before and after (n,), the verdicts that
    held before (None: none), when it was given (Unix seconds), and the model that is served."""

    served: Served
    given: float
    labels: NDArray[Any]
    before: NDArray[np.float64]
    after: NDArray[np.float64]
    earlier: list[bool | None]
    counted: LabelCounts


class FeedbackService:
    """Takes verdicts on what `serving` returned."""

    def __init__(
        self,
        book: LabelStore,
        anomalies: RecentAnomalies,
        serving: DetectionService,
        metrics: Metrics,
        journal: Journal,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.book = book
        self.anomalies = anomalies
        self._serving = serving
        self._metrics = metrics
        self._journal = journal
        self._clock = clock
        #: Logs that feedback made anomalies, and that it made none, since the start.
        self.raised = self.quieted = 0

    @property
    def trained_on(self) -> int:
        """How many verdicts the served model was trained with."""
        served = self._serving.served
        return served.manifest.facts.verdicts_learnt if served else 0

    def remember(self, verdicts: Detections) -> None:
        """Remember the anomalies that are about to be returned, and count what feedback moved."""
        if verdicts.anomalies:
            self.anomalies.add(verdicts.labels)
        if not verdicts.raised and not verdicts.quieted:
            return
        self.raised += verdicts.raised
        self.quieted += verdicts.quieted
        self._metrics.count("feedback_moved_logs_total", "raised", by=verdicts.raised)
        self._metrics.count("feedback_moved_logs_total", "quieted", by=verdicts.quieted)

    async def refresh(self) -> None:
        """Let go of lessons that have expired since they were last looked through."""
        if self.book.stale:
            async with self.book.lock:
                await self._in_force()

    async def _kept(self, labels: NDArray[Any]) -> None:
        try:
            await self.book.add(labels)
        except StorageFailed:
            self._metrics.count("storage_failures_total", "verdicts")
            raise

    async def give(self, judged: FeedbackRequest) -> FeedbackResult:
        """Take the verdicts of one request.

        Raises ModelNotTrained, AnomalyUnknown and StorageFailed; then nothing was taken.
        """
        served = self._serving.model()
        labels = await self._labels(judged)
        async with self.book.lock:
            before = await self._serving.scores(labels)
            earlier = self.book.verdicts_on(labels["anomaly"])
            given = self._clock()
            labels["hostile"], labels["given"] = judged.hostile, given
            if len(labels):
                await self._kept(labels)
            served = await self._in_force() or served
            after = await self._serving.scores(labels)
            counted = self.book.counted()
        self._count(judged.hostile, counted)
        return FeedbackResult(served, given, labels, before, after, earlier, counted)

    async def _labels(self, judged: FeedbackRequest) -> NDArray[Any]:
        """The judged logs as lessons: remembered ones by id, others scored as if they came now."""
        labels, unknown = self.anomalies.find([name or "" for name in judged.ids])
        unknown = [i for i in unknown if judged.ids[i] is not None]
        if unknown:
            raise _unknown(unknown)
        logs = [i for i, name in enumerate(judged.ids) if name is None]
        if logs:
            labels[logs] = await self._serving.labels(judged.columns)
        return labels

    async def _in_force(self) -> Served | None:
        """Let the served model hear the lessons. The book's lock is held, so no other model begins
        to be served meanwhile."""
        served = self._serving.served
        if served is not None:
            served.detector.feedback = await self.book.feedback_for(served.detector.model)
        self.measure()
        return served

    def measure(self) -> None:
        """Bring the metrics of the lessons up to date."""
        counted = self.book.counted()
        self._metrics.set("feedback_active", counted.false_positives, NAMES[False])
        self._metrics.set("feedback_active", counted.true_positives, NAMES[True])

    def _count(self, hostile: Sequence[bool], counted: LabelCounts) -> None:
        for verdict, name in NAMES.items():
            self._metrics.count("feedback_total", name, by=sum(h is verdict for h in hostile))
        active = counted.false_positives + counted.true_positives
        self._journal.info("feedback taken", verdicts=len(hostile), active=active)


def _unknown(places: list[int]) -> AnomalyUnknown:
    """One fault for each unknown id, and none of the ids: they are the client's."""
    words = "No such anomaly is remembered. Send its log instead."
    return AnomalyUnknown(
        [
            {"type": AnomalyUnknown.code, "loc": ["body", "items", i, "anomaly_id"], "msg": words}
            for i in places[:MAX_ERRORS]
        ],
        max(0, len(places) - MAX_ERRORS),
    )
