"""The served model: loads it, replaces it, and serialises the access to its memory.

Only the event loop takes the lock. A small batch is scored on the loop itself, while it holds the
lock; a large one in a thread, while the loop holds the lock for it and serves other requests.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from api_anomaly.detector import Detections, Detector
from api_anomaly.errors import ModelIncompatible, ModelNotTrained, ModelNotTrusted
from api_anomaly.features.memory import Memory
from api_anomaly.feedback.labels import LABEL
from api_anomaly.feedback.rescoring import Rescoring
from api_anomaly.logs.columns import Columns, columns_of
from api_anomaly.model.bundle import Model
from api_anomaly.runtime.label_store import LabelStore
from api_anomaly.runtime.threads import in_thread, in_thread_uncancelled
from api_anomaly.storage.manifest import Manifest
from api_anomaly.storage.models import ModelStore
from api_anomaly.telemetry.metrics import Metrics

#: Reads the stored memory for a model of the given feature schema, with its journal position.
RestoreMemory = Callable[[str], Awaitable[tuple[Memory, int]]]
#: Scores and remembers the logs of the journal after a position.
Replay = Callable[["ServedModel", int], None]
#: Called under the lock, immediately before logs are remembered.
Before = Callable[[], None]


def _nothing() -> None:
    """The default for `Before`."""


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model with its memory and its labels, and its manifest."""

    detector: Detector
    manifest: Manifest

    @property
    def version(self) -> str:
        """The version in responses."""
        return self.manifest.version


class ModelRegistry:
    """Owns the served model. Hold `lock` while its memory is read or written."""

    def __init__(
        self,
        store: ModelStore,
        labels: LabelStore,
        restore_memory: RestoreMemory,
        replay: Replay,
        metrics: Metrics,
        inline_logs: int,
    ) -> None:
        self.lock = asyncio.Lock()
        self.served: ServedModel | None = None
        self._store = store
        self._labels = labels
        self._restore_memory = restore_memory
        self._replay = replay
        self._metrics = metrics
        self._inline_logs = inline_logs
        #: Memory of the last measurement, and its evictions then.
        self._measured: tuple[Memory | None, int] = (None, 0)

    def require(self) -> ServedModel:
        """The served model. Raises ModelNotTrained if there is none."""
        if self.served is None:
            raise ModelNotTrained("Model not trained. Call POST /train first.")
        return self.served

    def versions(self) -> list[str]:
        """Versions on disk, oldest first."""
        return self._store.versions()

    async def observe(
        self, columns: Columns, threshold: float | None, remember: bool, before: Before = _nothing
    ) -> tuple[ServedModel, Detections]:
        """Score n logs with the served model and, if asked, remember them; first call `before`,
        whose error prevents it."""
        async with self.lock:
            served = self.require()
            return served, await self._observe(served, columns, threshold, remember, before)

    async def observe_if_served(
        self, columns: Columns, before: Before
    ) -> tuple[ServedModel, Detections] | None:
        """Call `before`, then score and remember n logs if a model is served."""
        async with self.lock:
            if self.served is None:
                before()
                return None
            return self.served, await self._observe(self.served, columns, None, True, before)

    async def _observe(
        self,
        served: ServedModel,
        columns: Columns,
        threshold: float | None,
        remember: bool,
        before: Before,
    ) -> Detections:
        def observe() -> Detections:
            before()
            return served.detector.detect(columns, threshold, remember, time.time())

        if len(columns) <= self._inline_logs:
            return observe()
        return await in_thread_uncancelled(observe)

    async def make_labels(self, columns: Columns) -> NDArray[Any]:
        """Labels without a verdict of n logs, each as if it came now; nothing is remembered."""
        async with self.lock:
            return await in_thread_uncancelled(self.require().detector.labels, columns)

    async def score_labels(self, labels: NDArray[Any]) -> NDArray[np.float64]:
        """Current scores of the logs that `labels` are about."""
        return await in_thread(self.require().detector.scores, labels)

    async def adopt(
        self, model: Model, memory: Memory, manifest: Manifest, position: int | None = None
    ) -> None:
        """Serve a model that was just trained, with the memory of its history. What the served
        memory has seen later is merged into it; if none is served, the logs of the journal after
        `position` are remembered."""
        await in_thread(_warm_up, model)
        async with self._labels.lock:
            detector = Detector(model, memory, await self._labels.rescoring_for(model))
            async with self.lock:
                if self.served is not None:
                    await in_thread_uncancelled(memory.merge_newer, self.served.detector.memory)
                elif position is not None:
                    await in_thread_uncancelled(
                        self._replay, ServedModel(detector, manifest), position
                    )
                self._serve(ServedModel(detector, manifest))

    async def load(self) -> ServedModel:
        """Serve the model on disk. The served memory stays if the model has the same features;
        otherwise the stored one is restored.

        Raises ModelNotFound, ModelNotTrusted or ModelIncompatible; then the served model stays.
        """
        try:
            model, manifest = await in_thread(self._store.load)
        except (ModelNotTrusted, ModelIncompatible):
            self._metrics.count("storage_failures_total", "model")
            raise
        await in_thread(_warm_up, model)
        restored = None
        if self.served is None or self.served.manifest.feature_schema != model.feature_schema:
            restored = await self._restore_memory(model.feature_schema)
        async with self._labels.lock:
            rescoring = await self._labels.rescoring_for(model)
            async with self.lock:
                if restored is None:
                    memory = self.require().detector.memory
                    return self._serve(ServedModel(Detector(model, memory, rescoring), manifest))
                served = ServedModel(Detector(model, restored[0], rescoring), manifest)
                await in_thread_uncancelled(self._replay, served, restored[1])
                return self._serve(served)

    def measure_memory(self) -> None:
        """Update the metrics of the memory: a few reads without the lock."""
        if self.served is None:
            return
        memory = self.served.detector.memory
        for kind, count in memory.entities.items():
            self._metrics.set("memory_entities", count, kind)
        self._metrics.set("memory_capacity_entities", memory.capacity)
        # The evictions of a new model's memory start at 0; earlier ones are already counted.
        measured, evictions = self._measured
        new = memory.evictions - (evictions if memory is measured else 0)
        self._metrics.count("memory_evictions_total", by=new)
        self._measured = memory, memory.evictions

    def _serve(self, served: ServedModel) -> ServedModel:
        self.served = served
        facts, created = served.manifest.facts, served.manifest.created
        self._metrics.set("model_loaded", 1)
        trained = datetime.fromisoformat(created).timestamp()
        self._metrics.set("model_trained_timestamp_seconds", trained)
        self._metrics.set("model_threshold", served.detector.model.threshold)
        self._metrics.set("model_alert_budget", facts.alert_budget)
        self._metrics.set("model_training_logs", facts.training_samples)
        self._metrics.mark("model_info", served.version)
        return served


def _warm_up(model: Model) -> None:
    """Run all that a detection runs, in a thread and with a memory of its own, so that no request
    waits for kernels to be compiled."""
    log = columns_of([0.0], ["u"], ["/"], ["GET"], [200], [None], [None], [None], [None], [None])
    detector = Detector(model, Memory.empty(16))
    for remember in (False, True):
        detector.detect(log, threshold=0.0, remember=remember)
    detector.rescoring = Rescoring.of(model, np.zeros(1, LABEL))
    detector.detect(log, threshold=0.0)
