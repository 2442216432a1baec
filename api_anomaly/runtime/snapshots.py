"""Memory snapshots: written at intervals and at the end.

The memory is copied in one piece, to the page cache of the file, while no request is scored: some
milliseconds for a hundred thousand users, 0.2 seconds for a million. So the snapshot is of one
moment, a position of the journal, and a start replays exactly the logs after it. The pause between
snapshots is at least a hundred times as long as the copy.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

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
#: The pause between snapshots as a multiple of the time in which no request is scored.
_PAUSE_PER_COPY = 100.0


class SnapshotService:
    """Stores the memory, the recent anomalies and the idempotent responses in one file.

    The response to a log that is in the snapshot is in it too, so that a retry never counts a log
    twice.
    """

    def __init__(
        self,
        settings: Settings,
        keys: SigningKeys,
        anomalies: RecentAnomalies,
        responses: IdempotencyStore,
        position: Callable[[], int],
        metrics: Metrics,
        journal: Journal,
    ) -> None:
        """`position` returns the sequence number of the last log in the journal."""
        self._path = settings.model_folder / "memory.snapshot"
        self._seconds = settings.snapshot_seconds
        self._max_entities = settings.memory_entities
        self._keys = keys
        self._anomalies = anomalies
        self._responses = responses
        self._last_position = position
        self._metrics = metrics
        self._journal = journal
        self._requested = asyncio.Event()
        self._saving = asyncio.Lock()
        self._stopping = False
        #: When the last snapshot was begun, in Unix seconds.
        self.created: float | None = None
        #: Position of the last snapshot in the journal.
        self.position = 0
        self._copy_seconds = 0.0

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
                pause = max(self._seconds, _PAUSE_PER_COPY * self._copy_seconds)
                async with asyncio.timeout(pause):
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

    async def save(self, registry: ModelRegistry) -> bool:
        """Write a snapshot now. A failure is reported (False), and the last snapshot stays. Without
        a model there is nothing to write."""
        async with self._saving:
            return await self._save(registry)

    async def _save(self, registry: ModelRegistry) -> bool:
        served = registry.served
        if served is None:
            return True
        started = time.time()
        schema, memory = served.manifest.feature_schema, served.detector.memory
        try:
            await self._write(memory, schema, registry.lock, started)
        except AnomalyError as error:
            self._metrics.count("snapshots_total", "failed")
            self._metrics.count("storage_failures_total", "memory")
            self._journal.warning("memory not kept", error=error.code, reason=str(error))
            return False
        except Exception as error:  # whatever it is, the next snapshot must be tried
            self._metrics.count("snapshots_total", "failed")
            self._journal.failure("memory not kept", error)
            return False
        self.created = started
        self._metrics.count("snapshots_total", "success")
        self._metrics.set("snapshot_last_success_timestamp_seconds", started)
        return True

    async def _write(self, memory: Memory, schema: str, lock: asyncio.Lock, created: float) -> None:
        """The lock is held while the memory is copied, never while the disk is flushed."""
        async with lock:
            position = self._last_position()
            started = time.perf_counter()
            writer = await in_thread_uncancelled(
                _copy, memory, self._path, schema, self._keys, created, position
            )
            self._copy_seconds = time.perf_counter() - started
            stored, pending = self._responses.stored(), self._responses.pending()
        self._metrics.set("snapshot_copy_seconds", self._copy_seconds)
        with writer:
            if pending:
                await asyncio.wait(pending)
            stored += [found.result() for found in pending if _succeeded(found)]
            others = {_ANOMALIES: self._anomalies.all()}
            others |= await in_thread(idempotency.pack, stored)
            for name, array in others.items():
                await in_thread(writer.add, OTHER + name, array)
            await in_thread_uncancelled(writer.commit)
        self.position = position

    async def restore(self, feature_schema: str) -> tuple[Memory, int]:
        """The stored memory if it has the same features, else an empty one, and its position in the
        journal."""
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
            return Memory.empty(self._max_entities), 0
        self.created = snapshot.created
        self._metrics.set("snapshot_last_success_timestamp_seconds", snapshot.created)
        others = {name.removeprefix(OTHER): array for name, array in snapshot.others.items()}
        anomalies = others.get(_ANOMALIES)
        if anomalies is not None and anomalies.dtype == LABEL:
            self._anomalies.add(anomalies)
        self._responses.restore(await in_thread(idempotency.unpack, others))
        self.position = snapshot.position
        return snapshot.memory, snapshot.position


def _copy(
    memory: Memory, path: Path, schema: str, keys: SigningKeys, created: float, position: int
) -> SnapshotWriter:
    writer = SnapshotWriter(path, schema, keys, created, position)
    try:
        for name, array in memory.sections():
            writer.add(name, array)
    except BaseException:
        writer.__exit__(None, None, None)
        raise
    return writer


def _succeeded(future: "asyncio.Future[Any]") -> bool:
    return not future.cancelled() and future.exception() is None
