"""The use case of POST /feedback: verdicts become labels, and the served model uses them.

In this order: everything is checked, stored on disk, used by the served model, then acknowledged.
So an acknowledged verdict is never lost, and a request is taken as a whole or not at all.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.detector import Detections
from api_anomaly.errors import AnomalyUnknown, StorageFailed
from api_anomaly.feedback.decode import FeedbackRequest
from api_anomaly.feedback.labels import LABEL, is_about
from api_anomaly.runtime.label_store import LabelCounts, LabelStore
from api_anomaly.runtime.registry import ModelRegistry, ServedModel
from api_anomaly.telemetry.journal import Journal
from api_anomaly.telemetry.metrics import Metrics

#: Names of verdicts by whether the log was an attack.
VERDICT_NAMES = {False: "false_positive", True: "true_positive"}


class FeedbackResult(NamedTuple):
    """What one request of m verdicts changed: the stored labels (m,), scores before and after (m,),
    the verdicts they replace (None: none), when it took effect (Unix seconds)."""

    served: ServedModel
    given: float
    labels: NDArray[Any]
    scores_before: NDArray[np.float64]
    scores_after: NDArray[np.float64]
    replaced: list[bool | None]
    counts: LabelCounts


class RecentAnomalies:
    """The anomalies returned last, so that a verdict can refer to one by its id.

    A ring of at most `capacity` labels without a verdict: half a kilobyte each, allocated as it
    fills. The oldest are overwritten.
    """

    def __init__(self, capacity: int) -> None:
        self._labels = np.zeros(capacity, LABEL)
        self._slots: dict[bytes, int] = {}
        self._next = 0

    def __len__(self) -> int:
        """Number of anomalies."""
        return len(self._slots)

    def add(self, labels: NDArray[Any]) -> None:
        """Add anomalies (m,). A known one becomes the newest."""
        capacity = len(self._labels)
        for label in labels[max(0, len(labels) - capacity) :]:
            slot = self._next
            overwritten = bytes(self._labels[slot]["anomaly"])
            if self._slots.get(overwritten) == slot:
                del self._slots[overwritten]
            self._labels[slot] = label
            self._slots[bytes(label["anomaly"])] = slot
            self._next = (slot + 1) % capacity

    def all(self) -> NDArray[Any]:
        """Copies of all, oldest first."""
        ordered = np.roll(self._labels, -self._next)
        used: NDArray[Any] = ordered[ordered["anomaly"] != b""]
        return used

    def remove(self, actors: NDArray[np.uint64]) -> int:
        """Remove the anomalies of users and addresses with these keys; returns how many."""
        found = is_about(self._labels, actors)
        current = np.zeros(len(found), np.bool_)
        current[list(self._slots.values())] = True
        if found.any():
            kept = np.roll(self._labels, -self._next)[np.roll(current & ~found, -self._next)]
            self._labels, self._slots, self._next = np.zeros(len(found), LABEL), {}, 0
            self.add(kept)
        return int((current & found).sum())

    def find(self, ids: Sequence[str]) -> tuple[NDArray[Any], list[int]]:
        """The labels of `ids` (m,), and the indices of unknown ids, whose labels are blank."""
        labels, unknown = np.zeros(len(ids), LABEL), []
        for i, anomaly_id in enumerate(ids):
            slot = self._slots.get(anomaly_id.encode("utf-8", "surrogatepass"))
            if slot is None:
                unknown.append(i)
            else:
                labels[i] = self._labels[slot]
        return labels, unknown


class FeedbackService:
    """Takes verdicts on what the served model returned."""

    def __init__(
        self,
        labels: LabelStore,
        anomalies: RecentAnomalies,
        registry: ModelRegistry,
        metrics: Metrics,
        journal: Journal,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.labels = labels
        self.anomalies = anomalies
        self._registry = registry
        self._metrics = metrics
        self._journal = journal
        self._clock = clock
        #: Logs since the start that are anomalies, or are none, because of verdicts.
        self.raised = self.quieted = 0

    @property
    def trained_on(self) -> int:
        """Number of verdicts that the served model was trained with."""
        served = self._registry.served
        return served.manifest.facts.training_labels if served else 0

    def record(self, detections: Detections) -> None:
        """Remember the anomalies that are about to be returned, and count what feedback changed."""
        if detections.anomalies:
            self.anomalies.add(detections.labels)
        self.raised += detections.raised
        self.quieted += detections.quieted
        if detections.raised or detections.quieted:
            self._metrics.count("feedback_moved_logs_total", "raised", by=detections.raised)
            self._metrics.count("feedback_moved_logs_total", "quieted", by=detections.quieted)

    async def drop_expired(self) -> None:
        """Rebuild the feedback of the served model if a label has expired since it was built."""
        if self.labels.has_expired:
            async with self.labels.lock:
                await self._apply_labels()

    async def give(self, request: FeedbackRequest) -> FeedbackResult:
        """Take the verdicts of one request.

        Raises ModelNotTrained, AnomalyUnknown and StorageFailed; then nothing was taken.
        """
        served = self._registry.require()
        async with self.labels.lock:  # no subject is removed between finding and storing
            labels = await self._labels_of(request)
            before = await self._registry.score_labels(labels)
            replaced = self.labels.verdicts_on(labels["anomaly"])
            given = self._clock()
            labels["hostile"], labels["given"] = request.hostile, given
            if len(labels):
                await self._store(labels)
            served = await self._apply_labels() or served
            after = await self._registry.score_labels(labels)
            counts = self.labels.counts()
        for hostile, name in VERDICT_NAMES.items():
            self._metrics.count("feedback_total", name, by=request.hostile.count(hostile))
        self._journal.info("feedback taken", verdicts=len(labels), active=counts.active)
        return FeedbackResult(served, given, labels, before, after, replaced, counts)

    async def remove_verdicts(self, actors: NDArray[np.uint64]) -> int:
        """Remove the verdicts about users and addresses with these keys; returns how many. Raises
        StorageFailed; then all stay."""
        async with self.labels.lock:
            try:
                removed = await self.labels.remove(actors)
            except StorageFailed:
                self._metrics.count("storage_failures_total", "verdicts")
                raise
            if removed:
                await self._apply_labels()
        return removed

    def measure(self) -> None:
        """Update the metrics of the labels."""
        counts = self.labels.counts()
        self._metrics.set("feedback_active", counts.false_positives, VERDICT_NAMES[False])
        self._metrics.set("feedback_active", counts.true_positives, VERDICT_NAMES[True])

    async def _store(self, labels: NDArray[Any]) -> None:
        try:
            await self.labels.add(labels)
        except StorageFailed:
            self._metrics.count("storage_failures_total", "verdicts")
            raise

    async def _labels_of(self, request: FeedbackRequest) -> NDArray[Any]:
        """Labels of the items: remembered anomalies by id, logs scored as if they came now."""
        labels, unknown = self.anomalies.find([anomaly_id or "" for anomaly_id in request.ids])
        unknown = [i for i in unknown if request.ids[i] is not None]
        if unknown:
            raise AnomalyUnknown(unknown)
        logs = [i for i, anomaly_id in enumerate(request.ids) if anomaly_id is None]
        if logs:
            labels[logs] = await self._registry.make_labels(request.columns)
        return labels

    async def _apply_labels(self) -> ServedModel | None:
        """Rebuild the feedback of the served model. The caller holds the labels' lock, so no other
        model is adopted meanwhile."""
        served = self._registry.served
        if served is not None:
            served.detector.rescoring = await self.labels.rescoring_for(served.detector.model)
        self.measure()
        return served
