"""The answers to idempotency keys on disk, so that a retry after a restart gets the first one.

One SQLite file, bounded in bytes. What is committed survives a kill; after a power cut the last
moments may be missing, never half there. Every row is sealed like the models, because whoever can
forge an answer can hide an attack. Answers name users and addresses: the file is its owner's alone.
"""

import os
import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import NamedTuple

from api_anomaly.errors import StorageFailed
from api_anomaly.storage.atomic_files import storing
from api_anomaly.storage.keys import SigningKeys

_PURPOSE = "api-anomaly idempotent answer"
_PAGE = 4096
_TABLE = (
    "CREATE TABLE IF NOT EXISTS answers (key BLOB PRIMARY KEY, digest BLOB NOT NULL,"
    " until REAL NOT NULL, answer BLOB NOT NULL, seal TEXT NOT NULL)"
)
_INDEX = "CREATE INDEX IF NOT EXISTS answers_until ON answers (until)"
_REASONS = {
    sqlite3.SQLITE_FULL: "the disk is full",
    sqlite3.SQLITE_READONLY: "the file system or the file is read-only",
    sqlite3.SQLITE_CANTOPEN: "the file cannot be opened",
    sqlite3.SQLITE_CORRUPT: "the file was damaged and is made anew",
    sqlite3.SQLITE_NOTADB: "the file was damaged and is made anew",
}
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)


class Kept(NamedTuple):
    """The answer to a body with `digest` that came under `key`, until so many Unix seconds."""

    key: bytes
    digest: bytes
    until: float
    answer: bytes


class KeptAnswers:
    """The file. Any thread may use it, one at a time."""

    def __init__(self, path: Path, keys: SigningKeys, most_bytes: int) -> None:
        self._path = path.absolute()
        self._keys = keys
        # Deleted rows are overwritten by later ones; as much again is ample for what is between.
        self._most_pages = 2 * most_bytes // _PAGE + 64
        self._lock = Lock()
        self._database: sqlite3.Connection | None = None
        self._inode = 0

    def load(self, now: float, most_seconds: float) -> list[Kept]:
        """The answers that are valid at `now` (Unix seconds), the earliest first.

        Rows whose seal does not verify are left out; none is valid for more than `most_seconds`,
        whatever the clock did. Raises StorageFailed.
        """
        with self._lock, self._storing() as database:
            rows = database.execute(
                "SELECT key, digest, until, answer, seal FROM answers"
                " WHERE until > ? AND until <= ? ORDER BY until",
                (now, now + most_seconds),
            )
            found = [(Kept(*row[:4]), row[4]) for row in rows]
            return [kept for kept, seal in found if self._verified(kept, seal)]

    def put(self, kept: Kept, now: float, forgotten: Iterable[bytes] = ()) -> None:
        """Keep an answer, and let go of those under the keys `forgotten` and of those that ended
        before `now` (Unix seconds). Raises StorageFailed."""
        with self._lock, self._storing() as database, database:
            database.execute("DELETE FROM answers WHERE until <= ?", (now,))
            database.executemany("DELETE FROM answers WHERE key = ?", [(k,) for k in forgotten])
            database.execute(
                "INSERT OR REPLACE INTO answers VALUES (?, ?, ?, ?, ?)",
                (*kept, self._keys.sign(_PURPOSE, _message(kept))),
            )

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._disconnect()

    def _verified(self, kept: Kept, seal: object) -> bool:
        shapes = (bytes, bytes, float, bytes)
        if not isinstance(seal, str) or not all(map(isinstance, kept, shapes)):
            return False
        return self._keys.verify(_PURPOSE, _message(kept), seal)

    @contextmanager
    def _storing(self) -> Iterator[sqlite3.Connection]:
        """The open database; its errors leave as StorageFailed, a damaged file is put away."""
        try:
            with storing("The answer"):
                yield self._connected()
        except sqlite3.Error as error:
            code = getattr(error, "sqlite_errorcode", 0) & 0xFF
            self._disconnect()
            if code in _DAMAGED:
                self._remove()
            reason = _REASONS.get(code, type(error).__name__)
            raise StorageFailed(f"The answer could not be stored: {reason}.") from error

    def _connected(self) -> sqlite3.Connection:
        """Connected to the file that has the name now: it may have been taken away under us."""
        with suppress(OSError):
            if self._database is not None and os.stat(self._path).st_ino == self._inode:
                return self._database
        self._disconnect()
        self._path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600))
        database = sqlite3.connect(self._path, check_same_thread=False, timeout=1.0)
        try:
            for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "journal_mode=WAL"):
                database.execute(f"PRAGMA {pragma}")
            database.execute("PRAGMA synchronous=NORMAL")
            database.execute(f"PRAGMA max_page_count={self._most_pages}")
            database.execute(_TABLE)
            database.execute(_INDEX)
        except sqlite3.Error:
            database.close()
            raise
        self._database, self._inode = database, os.stat(self._path).st_ino
        return database

    def _disconnect(self) -> None:
        if self._database is not None:
            with suppress(sqlite3.Error), closing(self._database):
                self._database = None

    def _remove(self) -> None:
        for ending in ("", "-wal", "-shm"):
            with suppress(OSError):
                self._path.with_name(self._path.name + ending).unlink()


def _message(kept: Kept) -> bytes:
    return b"\0".join((kept.key.hex().encode(), kept.digest.hex().encode(), b"%r" % kept.until)) + (
        b"\0" + kept.answer
    )
