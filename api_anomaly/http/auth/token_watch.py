"""Reads the token file again when it changes, so that tokens change without a restart."""

import asyncio
import os
import time
from contextlib import suppress
from pathlib import Path

from api_anomaly.errors import TokenFileInvalid
from api_anomaly.http.auth.token_file import Entry, active_callers, read_token_file
from api_anomaly.http.auth.tokens import Tokens
from api_anomaly.runtime.threads import in_thread
from api_anomaly.telemetry.journal import Journal
from api_anomaly.telemetry.metrics import Metrics

#: Inode, size and modification time (ns): what differs when a file was changed or replaced.
_FileState = tuple[int, int, int] | None


class TokenFileWatcher:
    """Keeps the entries of `tokens` equal to those in `path`. An unreadable or invalid file is
    reported in journal and metrics; the entries read before stay accepted."""

    def __init__(
        self, path: Path, tokens: Tokens, seconds: float, metrics: Metrics, journal: Journal
    ) -> None:
        """`seconds` between two checks of the file."""
        self._path = path
        self._tokens = tokens
        self._seconds = seconds
        self._metrics = metrics
        self._journal = journal
        self._file_state: _FileState = None
        self._entries: list[Entry] = []
        self._stopping = asyncio.Event()

    async def start(self) -> None:
        """Read the file. Raises TokenFileInvalid: without tokens the service would be useless."""
        self._file_state = await in_thread(_file_state, self._path)
        self._entries = await in_thread(read_token_file, self._path)
        self._apply()

    async def run(self) -> None:
        """Check the file regularly until `stop`; this also removes entries that expire."""
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(self._seconds):
                    await self._stopping.wait()
            await self._check()

    def stop(self) -> None:
        """End `run`."""
        self._stopping.set()

    async def _check(self) -> None:
        state = await in_thread(_file_state, self._path)
        if state != self._file_state:
            self._file_state = state
            await self._read()
        self._apply()

    async def _read(self) -> None:
        try:
            self._entries = await in_thread(read_token_file, self._path)
        except TokenFileInvalid as error:
            self._metrics.count("storage_failures_total", "tokens")
            self._journal.warning("tokens not reloaded", error=error.code, reason=str(error))
        else:
            self._journal.info("tokens reloaded", entries=len(self._entries))

    def _apply(self) -> None:
        callers = active_callers(self._entries, time.time())
        self._tokens.replace_entries(callers)
        self._metrics.set("token_entries", len(callers))


def _file_state(path: Path) -> _FileState:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_ino, status.st_size, status.st_mtime_ns
