"""The memory goes to disk every so often and at the end, a chunk at a time between requests."""

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from api_anomaly.feedback.labels import LABEL
from api_anomaly.features.memory import Memory
from api_anomaly.errors import AnomalyError, SnapshotRejected
from api_anomaly.runtime.recent_anomalies import RecentAnomalies
from api_anomaly.telemetry.journal import Journal
from api_anomaly.telemetry.metrics import Metrics
from api_anomaly.runtime.free_memory import give_back
from api_anomaly.runtime.detection import DetectionService
from api_anomaly.runtime.threads import in_thread, to_the_end
from api_anomaly.storage.keys import SigningKeys
from api_anomaly.storage.snapshot import OTHER, SnapshotWriter, read_snapshot

_ANOMALIES = f"{OTHER}anomalies"


class SnapshotService:
    """Keeps the memory of `serving`, and the anomalies that verdicts can name, in `path`, every
    `seconds`."""

    def __init__(
        self,
        path: Path,
        keys: SigningKeys,
        seconds: float,
        entities: int,
        anomalies: RecentAnomalies,
        metrics: Metrics,
        journal: Journal,
    ) -> None:
        self._path = path
        self._keys = keys
        self._seconds = seconds
        self._entities = entities
        self._anomalies = anomalies
        self._metrics = metrics
        self._journal = journal
        self._wanted = asyncio.Event()
        self._stopping = False
        #: When the memory was last kept, in Unix seconds.
        self.kept: float | None = None

    @property
    def age(self) -> float | None:
        """Seconds since the memory was last kept; None when it never was."""
        return None if self.kept is None else max(0.0, time.time() - self.kept)

    def want(self) -> None:
        """Ask for a snapshot soon."""
        self._wanted.set()

    async def run(self, serving: DetectionService) -> None:
        """Save every so often, or when wanted, until `stop`; and then once more."""
        stopping = False
        while not stopping:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._wanted.wait()
            trained = self._wanted.is_set()
            self._wanted.clear()
            stopping = self._stopping
            await self.save(serving)
            if trained and not stopping:  # a training wanted it, and took much
                await in_thread(give_back)

    def stop(self) -> None:
        """End `run` after one more snapshot. Not a cancellation, which would drop one half-way."""
        self._stopping = True
        self._wanted.set()

    async def save(self, serving: DetectionService) -> None:
        """Keep the memory now. A failure is entered in the journal and leaves the last snapshot."""
        served = serving.served
        if served is None:
            return
        started = time.time()
        schema, memory = served.manifest.feature_schema, served.detector.memory
        try:
            await self._write(memory, schema, serving.lock, started)
        except AnomalyError as error:
            self._metrics.count("snapshots_total", "failed")
            self._metrics.count("storage_failures_total", "memory")
            self._journal.warning("memory not kept", error=error.code, reason=str(error))
            return
        except Exception as error:  # whatever it is, the next snapshot must be tried
            self._metrics.count("snapshots_total", "failed")
            self._journal.failure("memory not kept", error)
            return
        self.kept = started
        self._metrics.count("snapshots_total", "success")
        self._metrics.set("snapshot_last_success_timestamp_seconds", started)

    async def _write(self, memory: Memory, schema: str, lock: asyncio.Lock, created: float) -> None:
        """The lock is held for the copy of one chunk, never while the disk is at work."""
        writer = await in_thread(SnapshotWriter, self._path, schema, self._keys, created)
        with writer:
            sections = memory.sections()
            while True:
                async with lock:
                    section = await to_the_end(_next, sections)
                if section is None:
                    break
                await in_thread(writer.add, *section)
            await in_thread(writer.add, _ANOMALIES, self._anomalies.kept())
            await to_the_end(writer.commit)

    async def restored(self, feature_schema: str) -> Memory:
        """The kept memory if it fits the features, else an empty one."""
        await in_thread(give_back)  # what loading the model took, before the memory takes more
        try:
            snapshot = await in_thread(
                read_snapshot, self._path, feature_schema, self._entities, self._keys
            )
        except SnapshotRejected as error:
            self._metrics.count("storage_failures_total", "memory")
            self._journal.warning("memory not restored", error=error.code, reason=str(error))
            snapshot = None
        if snapshot is None:
            return Memory.empty(self._entities)
        self.kept = snapshot.created
        self._metrics.set("snapshot_last_success_timestamp_seconds", snapshot.created)
        anomalies = snapshot.others.get(_ANOMALIES)
        if anomalies is not None and anomalies.dtype == LABEL:
            self._anomalies.add(anomalies)
        return snapshot.memory


def _next(sections: Iterator[tuple[str, NDArray[Any]]]) -> tuple[str, NDArray[Any]] | None:
    return next(sections, None)
