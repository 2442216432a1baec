"""Memory snapshots: written at intervals and at the end, one chunk at a time between requests."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from numpy.typing import NDArray

from api_anomaly.errors import AnomalyError, SnapshotRejected
from api_anomaly.features.memory import Memory
from api_anomaly.feedback.labels import LABEL
from api_anomaly.runtime import idempotency
from api_anomaly.runtime.free_memory import release_memory
from api_anomaly.runtime.idempotency import IdempotencyStore
from api_anomaly.runtime.feedback import RecentAnomalies
from api_anomaly.runtime.registry import ModelRegistry
from api_anomaly.runtime.threads import in_thread, in_thread_uncancelled
from api_anomaly.settings import Settings
from api_anomaly.storage.keys import SigningKeys
from api_anomaly.storage.snapshot import OTHER, SnapshotWriter, read_snapshot
from api_anomaly.telemetry.journal import Journal
from api_anomaly.telemetry.metrics import Metrics

_ANOMALIES = "anomalies"


class SnapshotService:
    """Stores the memory, the recent anomalies and the idempotent responses in one file.

    Logs that arrive while the memory is copied may be in the snapshot in part. The response to a
    log that is in it, even in part, is in it too, so that a retry never counts a log twice.
    """

    def __init__(
        self,
        settings: Settings,
        keys: SigningKeys,
        anomalies: RecentAnomalies,
        responses: IdempotencyStore,
        metrics: Metrics,
        journal: Journal,
    ) -> None:
        self._path = settings.model_folder / "memory.snapshot"
        self._seconds = settings.snapshot_seconds
        self._max_entities = settings.memory_entities
        self._keys = keys
        self._anomalies = anomalies
        self._responses = responses
        self._metrics = metrics
        self._journal = journal
        self._requested = asyncio.Event()
        self._stopping = False
        #: When the last snapshot was begun, in Unix seconds.
        self.created: float | None = None

    @property
    def age_seconds(self) -> float | None:
        """Age of the last snapshot; None if there is none."""
        return None if self.created is None else max(0.0, time.time() - self.created)

    def request(self) -> None:
        """Ask for a snapshot soon."""
        self._requested.set()

    async def run(self, registry: ModelRegistry) -> None:
        """Write snapshots at intervals and on request until `stop`; then write the last one."""
        stopping = False
        while not stopping:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._requested.wait()
            after_training = self._requested.is_set()
            self._requested.clear()
            stopping = self._stopping
            await self.save(registry)
            if after_training and not stopping:
                await in_thread(release_memory)

    def stop(self) -> None:
        """End `run` after one more snapshot. A cancellation would interrupt a snapshot."""
        self._stopping = True
        self._requested.set()

    async def save(self, registry: ModelRegistry) -> None:
        """Write a snapshot now. A failure is reported, and the last snapshot stays."""
        served = registry.served
        if served is None:
            return
        started = time.time()
        schema, memory = served.manifest.feature_schema, served.detector.memory
        try:
            await self._write(memory, schema, registry.lock, started)
        except AnomalyError as error:
            self._metrics.count("snapshots_total", "failed")
            self._metrics.count("storage_failures_total", "memory")
            self._journal.warning("memory not kept", error=error.code, reason=str(error))
            return
        except Exception as error:  # whatever it is, the next snapshot must be tried
            self._metrics.count("snapshots_total", "failed")
            self._journal.failure("memory not kept", error)
            return
        self.created = started
        self._metrics.count("snapshots_total", "success")
        self._metrics.set("snapshot_last_success_timestamp_seconds", started)

    async def _write(self, memory: Memory, schema: str, lock: asyncio.Lock, created: float) -> None:
        """The lock is held while one chunk is copied, never while the disk is written."""
        writer = await in_thread(SnapshotWriter, self._path, schema, self._keys, created)
        with writer:
            sections = memory.sections()
            while True:
                async with lock:
                    section = await in_thread_uncancelled(_next, sections)
                    stored, pending = self._responses.stored(), self._responses.pending()
                if section is None:
                    break
                await in_thread(writer.add, *section)
            if pending:
                await asyncio.wait(pending)
            stored += [found.result() for found in pending if _succeeded(found)]
            others = {_ANOMALIES: self._anomalies.all()}
            others |= await in_thread(idempotency.pack, stored)
            for name, array in others.items():
                await in_thread(writer.add, OTHER + name, array)
            await in_thread_uncancelled(writer.commit)

    async def restore(self, feature_schema: str) -> Memory:
        """The stored memory if it has the same features, else an empty one."""
        await in_thread(release_memory)  # what loading the model took, before the memory takes more
        try:
            snapshot = await in_thread(
                read_snapshot, self._path, feature_schema, self._max_entities, self._keys
            )
        except SnapshotRejected as error:
            self._metrics.count("storage_failures_total", "memory")
            self._journal.warning("memory not restored", error=error.code, reason=str(error))
            snapshot = None
        if snapshot is None:
            return Memory.empty(self._max_entities)
        self.created = snapshot.created
        self._metrics.set("snapshot_last_success_timestamp_seconds", snapshot.created)
        others = {name.removeprefix(OTHER): array for name, array in snapshot.others.items()}
        anomalies = others.get(_ANOMALIES)
        if anomalies is not None and anomalies.dtype == LABEL:
            self._anomalies.add(anomalies)
        self._responses.restore(await in_thread(idempotency.unpack, others))
        return snapshot.memory


def _next(sections: Iterator[tuple[str, NDArray[Any]]]) -> tuple[str, NDArray[Any]] | None:
    return next(sections, None)


def _succeeded(future: "asyncio.Future[Any]") -> bool:
    return not future.cancelled() and future.exception() is None
