"""The served model: one reference to it, one detector with its memory, one lock around both.

Only the event loop takes the lock. A small batch is scored on the loop itself, while it holds the
lock; a large one in a thread, while the loop holds the lock for it and goes on serving others.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from api_anomaly.logs.columns import Columns, columns_of
from api_anomaly.detector import Detections, Detector
from api_anomaly.feedback.rescoring import Feedback
from api_anomaly.feedback.labels import LABEL
from api_anomaly.features.memory import Memory
from api_anomaly.model.bundle import Model
from api_anomaly.errors import ModelNotTrained
from api_anomaly.runtime.label_store import LabelStore
from api_anomaly.telemetry.metrics import Metrics
from api_anomaly.runtime.threads import in_thread, to_the_end
from api_anomaly.storage.manifest import Manifest
from api_anomaly.storage.models import ModelStore

#: Gives a memory for a model of the given feature schema.
Remembered = Callable[[str], Awaitable[Memory]]


@dataclass(frozen=True, slots=True)
class Served:
    """A model at work, and what is known of it."""

    detector: Detector
    manifest: Manifest

    @property
    def trained(self) -> float:
        """When it was trained, in Unix seconds."""
        return datetime.fromisoformat(self.manifest.created).timestamp()


class DetectionService:
    """Owns the served model. `lock` is held by whoever reads or writes its memory."""

    def __init__(
        self, vault: ModelStore, labels: LabelStore, metrics: Metrics, inline_logs: int
    ) -> None:
        self.lock = asyncio.Lock()
        self.served: Served | None = None
        self._vault = vault
        self._book = labels
        self._metrics = metrics
        self._inline_logs = inline_logs
        self._measured: Memory | None = None
        self._counted = 0

    def model(self) -> Served:
        """The served model. Raises ModelNotTrained when there is none."""
        if self.served is None:
            raise ModelNotTrained("Model not trained. Call POST /train first.")
        return self.served

    async def observe(
        self, columns: Columns, threshold: float | None, remember: bool
    ) -> tuple[Served, Detections]:
        """Score n logs and, if asked, remember them; and the model that did it."""
        async with self.lock:
            served = self.model()
            observe = served.detector.detect
            if len(columns) <= self._inline_logs:
                return served, observe(columns, threshold, remember)
            return served, await to_the_end(observe, columns, threshold, remember)

    async def labels(self, columns: Columns) -> NDArray[Any]:
        """Lessons without a verdict of n logs, each as if it came now; nothing is remembered."""
        async with self.lock:
            return await to_the_end(self.model().detector.labels, columns)

    async def scores(self, labels: NDArray[Any]) -> NDArray[np.float64]:
        """Scores, as of now, of the logs that `labels` are about."""
        return await in_thread(self.model().detector.scores, labels)

    async def adopt(self, model: Model, memory: Memory, manifest: Manifest) -> None:
        """Serve a model that was just trained. `memory` is its history's; whatever the live memory
        has seen later is kept."""
        await in_thread(_warm_up, model)
        async with self._book.lock:
            detector = Detector(model, memory, await self._book.feedback_for(model))
            async with self.lock:
                if self.served is not None:
                    await to_the_end(memory.merge_newer, self.served.detector.memory)
                self._serve(Served(detector, manifest))

    async def reload(self, remembered: Remembered) -> Served:
        """Serve the model on disk. The live memory stays when it has the same features; else
        `remembered` gives one.

        Raises ModelNotFound, ModelNotTrusted or ModelIncompatible; then the served model stays.
        """
        model, manifest = await in_thread(self._vault.load)
        await in_thread(_warm_up, model)
        kept = None if self._keeps_memory(model) else await remembered(model.feature_schema)
        async with self._book.lock:
            feedback = await self._book.feedback_for(model)
            async with self.lock:
                live = self.served.detector.memory if self.served and kept is None else kept
                assert live is not None  # a served model is never taken away
                return self._serve(Served(Detector(model, live, feedback), manifest))

    def measure_memory(self) -> None:
        """Bring the metrics of the memory up to date; a few reads, no lock."""
        if self.served is None:
            return
        memory = self.served.detector.memory
        for kind, count in memory.entities.items():
            self._metrics.set("memory_entities", count, kind)
        self._metrics.set("memory_capacity_entities", memory.capacity)
        # A new model brings a memory whose evictions begin at 0; what was counted before stays.
        forgotten = memory.evictions - (self._counted if memory is self._measured else 0)
        self._metrics.count("memory_evictions_total", by=forgotten)
        self._measured, self._counted = memory, memory.evictions

    def _keeps_memory(self, model: Model) -> bool:
        live = self.served
        return live is not None and live.manifest.feature_schema == model.feature_schema

    def _serve(self, served: Served) -> Served:
        self.served = served
        self._metrics.set("model_loaded", 1)
        self._metrics.set("model_trained_timestamp_seconds", served.trained)
        self._metrics.set("model_threshold", served.detector.model.threshold)
        self._metrics.set("model_alert_budget", served.manifest.facts.alert_budget)
        self._metrics.set("model_training_logs", served.manifest.facts.training_samples)
        self._metrics.mark("model_info", served.manifest.version)
        return served


def _warm_up(model: Model) -> None:
    """Go once through all that a detection does, beside the event loop and on a memory of its own,
    so that no request has to wait until the kernels are compiled."""
    log = columns_of([0.0], ["u"], ["/"], ["GET"], [200], [None], [None], [None], [None], [None])
    detector = Detector(model, Memory.empty(16))
    for remember in (False, True):
        detector.detect(log, threshold=0.0, remember=remember)
    detector.feedback = Feedback.of(model, np.zeros(1, LABEL))
    detector.detect(log, threshold=0.0)
