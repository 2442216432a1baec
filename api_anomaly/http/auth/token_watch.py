"""Reads the token file again whenever it changes, so that tokens come and go without a restart."""

import asyncio
import os
import time
from contextlib import suppress
from pathlib import Path

from api_anomaly.http.auth.tokens import Tokens
from api_anomaly.telemetry.journal import Journal
from api_anomaly.telemetry.metrics import Metrics
from api_anomaly.runtime.threads import in_thread
from api_anomaly.errors import TokenFileInvalid
from api_anomaly.http.auth.token_file import Entry, callers_at, entries_in

_Stamp = tuple[int, int, int] | None


class TokenFileWatcher:
    """Keeps the entries of `tokens` equal to those in `path`. A file that cannot be used changes
    nothing: the entries before it stay, and journal and metrics tell."""

    def __init__(
        self, path: Path, tokens: Tokens, seconds: float, metrics: Metrics, journal: Journal
    ) -> None:
        self._path = path
        self._tokens = tokens
        self._seconds = seconds
        self._metrics = metrics
        self._journal = journal
        self._stamp: _Stamp = None
        self._entries: list[Entry] = []
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Read the file. Raises TokenFileInvalid: a service that nobody can call is not started."""
        self._stamp = await in_thread(_stamp, self._path)
        self._entries = await in_thread(entries_in, self._path)
        self._apply()

    async def run(self) -> None:
        """Look every so often until `stop`; also lets entries end on time."""
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._stopping.wait()
            await self.look()

    def stop(self) -> None:
        """End `run`."""
        self._stopping.set()

    async def look(self) -> None:
        """Read the file again if it is another one than before."""
        stamp = await in_thread(_stamp, self._path)
        if stamp != self._stamp:
            self._stamp = stamp
            await self._read()
        self._apply()

    async def _read(self) -> None:
        try:
            self._entries = await in_thread(entries_in, self._path)
        except TokenFileInvalid as error:
            self._metrics.count("storage_failures_total", "tokens")
            self._journal.warning("tokens not reloaded", error=error.code, reason=str(error))
        else:
            self._journal.info("tokens reloaded", entries=len(self._entries))

    def _apply(self) -> None:
        callers = callers_at(self._entries, time.time())
        self._tokens.replace_entries(callers)
        self._metrics.set("token_entries", len(callers))


def _stamp(path: Path) -> _Stamp:
    """What changes with the file: its inode, its size and when it was written."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
