"""The history of logs: appended to a journal at once, moved to Parquet files later.

A record is appended under the registry's lock before its logs are remembered, so the journal has
the logs in the order of the memory. `flushed` waits until a record is on disk; requests that wait
at the same time share one flush. Parquet files are written by a process of their own.
"""

import asyncio
import json
import os
import subprocess  # nosec B404
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from api_anomaly.errors import AnomalyError, StorageFailed
from api_anomaly.logs.columns import Columns, Texts
from api_anomaly.runtime.threads import in_thread, in_thread_uncancelled
from api_anomaly.settings import Settings
from api_anomaly.storage.history.entry import Entry, decode, encode
from api_anomaly.storage.history.journal import LogJournal
from api_anomaly.telemetry.journal import Journal
from api_anomaly.telemetry.metrics import Metrics

_WORKER = "api_anomaly.storage.history.worker"
#: An open segment is closed at this size or age, and its logs moved to Parquet files.
_SEGMENT_BYTES = 64 * 1024 * 1024
_SEGMENT_SECONDS = 900.0
_CHECK_SECONDS = 5.0
_RETRY_SECONDS = 60.0
#: A retry of a request may come after a restart for this long: its record is kept.
_KEPT_SECONDS = 600.0


class HistorySpan(NamedTuple):
    """How much history there is: logs, and the earliest and latest of their times (Unix seconds)"""

    logs: int
    first: float
    last: float

    @property
    def hours(self) -> float:
        """Hours between the earliest and the latest log."""
        return max(0.0, self.last - self.first) / 3600.0

    @classmethod
    def of(cls, columns: Columns) -> "HistorySpan":
        """The span of the logs of `columns`."""
        if not len(columns):
            return cls(0, 0.0, 0.0)
        return cls(len(columns), float(columns.time.min()), float(columns.time.max()))

    def joined(self, other: "HistorySpan") -> "HistorySpan":
        """Both spans as one."""
        if not self.logs or not other.logs:
            return self if self.logs else other
        first, last = min(self.first, other.first), max(self.last, other.last)
        return HistorySpan(self.logs + other.logs, first, last)


class Missing(NamedTuple):
    """What the first training still waits for; 0 when there is enough."""

    logs: int
    hours: float

    def response(self) -> dict[str, float]:
        """As in /status and in the responses to ingested logs."""
        return {"missing_logs": self.logs, "missing_hours": round(self.hours, 2)}


class HistoryService:
    """Keeps logs. With HISTORY=off nothing is kept and every call does nothing."""

    def __init__(
        self,
        settings: Settings,
        oldest_needed: Callable[[], int],
        metrics: Metrics,
        journal: Journal,
    ) -> None:
        """`oldest_needed` returns the sequence number up to which records are no longer needed
        for the memory."""
        self.enabled = settings.history
        self._url = settings.history_url or str(settings.model_folder / "history")
        self._days, self._max_bytes = settings.history_days, settings.history_max_gb * 1e9
        self._oldest_needed = oldest_needed
        self._metrics = metrics
        self._journal = journal
        self._log = self._opened_log(settings.model_folder / "journal") if self.enabled else None
        self._opened = time.monotonic()
        self._appending = threading.Lock()
        self._compacting = asyncio.Lock()
        self._flushed = self.position
        self._flush: asyncio.Task[None] | None = None
        self._stopping = asyncio.Event()
        self._expired_hour = 0
        self.span = HistorySpan(0, 0.0, 0.0)
        #: The logs in the open segment.
        self._since_roll = HistorySpan(0, 0.0, 0.0)

    def _opened_log(self, folder: Path) -> LogJournal | None:
        """The journal; None if its folder cannot be used, which must not prevent a start."""
        try:
            return LogJournal(folder)
        except StorageFailed as error:
            self._failed(error)
            return None

    @property
    def position(self) -> int:
        """Sequence number of the last record."""
        return self._log.last if self._log else 0

    def append(self, entry: Entry) -> None:
        """Append the logs of one request. The caller holds the registry's lock. Raises
        StorageFailed; then nothing is kept."""
        if not self.enabled:
            return
        if self._log is None:
            raise StorageFailed("The history could not be opened when the service started.")
        payload = encode(entry)
        with self._appending:
            try:
                self._log.append(payload)
            except StorageFailed:
                self._metrics.count("storage_failures_total", "history")
                raise
        added = HistorySpan.of(entry.columns)
        self.span = self.span.joined(added)
        self._since_roll = self._since_roll.joined(added)

    async def flushed(self) -> None:
        """Wait until everything that was appended before is on disk. Raises StorageFailed."""
        wanted = self.position
        while self._flushed < wanted:
            if self._flush is None:
                self._flush = asyncio.create_task(self._flush_once())
            await asyncio.shield(self._flush)

    async def _flush_once(self) -> None:
        assert self._log is not None
        try:
            last = self.position
            await in_thread(self._sync)
            self._flushed = last
        finally:
            self._flush = None

    def _sync(self) -> None:
        assert self._log is not None
        with self._appending:
            self._log.sync()

    def read(self, after: int) -> Iterator[Entry]:
        """The entries of the journal after the sequence number `after`, in order."""
        if self._log is None:
            return
        for _sequence, payload in self._log.read(after):
            with suppress(ValueError, KeyError):
                yield decode(payload)

    async def load(self, days: float, max_logs: int) -> tuple[Columns, int]:
        """The latest logs of the last `days`, at most `max_logs`, in time order, and the position
        of the journal up to which they were looked for. Raises StorageFailed."""
        since = self._latest() - days * 86_400 if days else 0.0
        async with self._compacting:
            position = await self._move()
            with tempfile.TemporaryDirectory(prefix="history-") as folder:
                options = {"target": folder, "since": since, "max_logs": max_logs}
                await self._worker("export", **options)
                return await in_thread(_load_columns, Path(folder)), position

    async def remove(self, subject: str) -> int:
        """Remove the logs of a user or an address; returns how many. Raises StorageFailed."""
        if not self.enabled:
            return 0
        async with self._compacting:
            await self._move()
            removed = await self._worker("remove", subject=subject)
            if self._log is not None:  # not even for retries
                self._log.drop_through(self._oldest_needed())
            return int(removed["logs"])

    async def compact(self) -> None:
        """Move all logs of the journal to Parquet files. Raises StorageFailed."""
        async with self._compacting:
            await self._move()

    async def _move(self) -> int:
        """Move all logs to Parquet files, and return the position of the last one; the caller holds
        `_compacting`."""
        if self._log is None:
            return 0
        position = await in_thread_uncancelled(self._roll)
        for segment in [s for s in self._log.closed if not s.compacted]:
            await self._worker("compact", segment=str(segment.path))
            self._log.mark_compacted(segment)
        old = time.time() - _KEPT_SECONDS
        recent = (s.first - 1 for s in self._log.closed if s.path.stat().st_mtime > old)
        self._log.drop_through(min([self._oldest_needed(), *recent]))
        return position

    def _roll(self) -> int:
        """Close the open segment; the position of its last record."""
        assert self._log is not None
        with self._appending:
            self._log.roll()
            self._since_roll = HistorySpan(0, 0.0, 0.0)
            self._opened = time.monotonic()
            return self._log.last

    async def run(self) -> None:
        """Count the logs of earlier runs, move logs to Parquet files and delete old ones, until
        `stop`. What is not moved yet stays in the journal for the next start."""
        work = asyncio.create_task(self._work())
        stopped = asyncio.create_task(self._stopping.wait())
        await asyncio.wait([work, stopped], return_when=asyncio.FIRST_COMPLETED)
        for task in (work, stopped):
            task.cancel()
        await asyncio.gather(work, stopped, return_exceptions=True)

    async def _work(self) -> None:
        step = self._count
        while True:
            pause = _CHECK_SECONDS
            try:
                await step()
                step = self._maintain
            except AnomalyError as error:
                self._failed(error)
                pause = _RETRY_SECONDS
            except Exception as error:  # whatever it is, the next round must be tried
                self._journal.failure("history failed", error)
                pause = _RETRY_SECONDS
            await asyncio.sleep(pause)

    async def _count(self) -> None:
        """Count all logs that are kept."""
        if self._log is None or not (self._log.closed or self._has_files()):
            return
        await self.compact()
        async with self._compacting:
            found = await self._worker("count")
            counted = HistorySpan(found["logs"], found["first"] or 0.0, found["last"] or 0.0)
            self.span = counted.joined(self._since_roll)

    def _has_files(self) -> bool:
        return "://" in self._url or Path(self._url).exists()

    async def _maintain(self) -> None:
        if self._log is None:
            return
        self._metrics.set("history_logs", self.span.logs)
        self._metrics.set("history_journal_bytes", self._log.size)
        old = time.monotonic() - self._opened > _SEGMENT_SECONDS and self._log.size > 0
        if old or self._log.size > _SEGMENT_BYTES:
            await self.compact()
        hour = int(time.time() // 3600)
        if hour != self._expired_hour:
            oldest = self._latest() - self._days * 86_400
            await self._worker("expire", oldest=oldest, max_bytes=self._max_bytes or 1e18)
            self._expired_hour = hour

    def _latest(self) -> float:
        """The time from which days are counted back: that of the latest log, so that an old file
        can be taken in, but never the future."""
        return min(self.span.last, time.time()) if self.span.logs else time.time()

    def stop(self) -> None:
        """End `run`; a worker process is ended too, and repeats its work after the next start."""
        self._stopping.set()

    def _failed(self, error: AnomalyError) -> None:
        self._metrics.count("storage_failures_total", "history")
        self._journal.warning("history failed", error=error.code, reason=str(error))

    async def _worker(self, command: str, **options: Any) -> dict[str, Any]:
        """The result of a command of the worker process. Raises StorageFailed."""
        # `python main.py` finds the package beside main.py, wherever it is started.
        path = os.pathsep.join(filter(None, sys.path))
        process = subprocess.Popen(  # nosec B603  # a module of ours, without a shell
            [sys.executable, "-m", _WORKER, command],
            env=os.environ | {"PYTHONPATH": path},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        request = json.dumps({"url": self._url, **options}).encode()
        work = asyncio.ensure_future(in_thread(process.communicate, request))
        try:
            output, errors = await asyncio.shield(work)
        except asyncio.CancelledError:
            process.kill()
            await work
            raise
        if process.returncode != 0:
            lines = errors.decode("utf-8", "replace").strip().splitlines() or ["it was killed"]
            raise StorageFailed(f"The history could not be processed ({command}): {lines[-1]}")
        result: dict[str, Any] = json.loads(output)
        return result


def _load_columns(folder: Path) -> Columns:
    """The columns that the worker's `export` has written."""
    fields: dict[str, Any] = {}
    for name in Columns.__dataclass_fields__:
        array = np.load(folder / f"{name}.npy")
        offsets = folder / f"{name}.offsets.npy"
        fields[name] = Texts(array, np.load(offsets)) if offsets.exists() else array
    return Columns(**fields)
