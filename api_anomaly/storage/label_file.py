"""Verdicts on disk: a file that only grows, each record sealed, flushed before it is acknowledged.

::

    b"api-anomaly feedback 1\\n"
    4 bytes: length of the payload, big-endian                      once for each record
    payload: {"schema": ...}\\n + the .npy form of its lessons
    HMAC-SHA256 over the seal before (the magic, at first) and the payload, 32 bytes

One record is one accepted request, so a request is kept wholly or not at all. Each seal covers the
one before: records cannot be taken out, doubled or put in another order, only cut off at the end,
as a kill does. What does not verify is never used and never thrown away: it is set aside in a file
of its own. Nothing is unpickled.
"""

import errno
import fcntl
import hmac
import io
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from api_anomaly.storage.atomic_files import replace_file, storing
from api_anomaly.storage.keys import SigningKeys

_MAGIC = b"api-anomaly feedback 1\n"
_PURPOSE = "api-anomaly feedback"
_WHAT = "The feedback"
_SEAL_BYTES, _LENGTH_BYTES = 32, 4


class Kept(NamedTuple):
    """Lessons of one request, as arrays of the layout they were kept in, and the digest of the
    behaviours that they have rows of."""

    schema: str
    labels: NDArray[Any]


class FeedbackFile:
    """The verdicts in `path`. One process writes, one call at a time; when another one has written
    there nevertheless, `append` refuses rather than write over it."""

    def __init__(self, path: Path, keys: SigningKeys) -> None:
        self._path = path.absolute()
        self._keys = keys
        self._seal = _MAGIC
        self._end = 0  # 0: the file has to be made, or to be read before anything is added

    @property
    def aside(self) -> Path:
        """Where a file goes whose end does not verify."""
        return self._path.with_name(f"{self._path.name}.damaged")

    def read(self) -> tuple[list[Kept], bool]:
        """All records that verify, oldest first, and whether something after them did not.

        In that case the file is kept `aside` and continued with what verified. Raises
        StorageFailed. A file of another format is as one that does not verify.
        """
        self._end = 0
        with storing(_WHAT):
            try:
                data = self._path.read_bytes()
            except FileNotFoundError:
                return [], False
        kept, seal, end = self._verified(data)
        damaged = end < len(data)
        if damaged:
            with storing(_WHAT):
                replace_file(self.aside, data, 0o600)
                self._rewrite(kept)
        else:
            self._seal, self._end = seal, end
        return kept, damaged

    def append(self, records: Sequence[Kept]) -> None:
        """Keep more, wholly or not at all; on return it is on the disk. Raises StorageFailed."""
        with storing(_WHAT):
            if not self._end:  # after a failure: what is there may be more than we know of
                self.read()
            if not self._end:
                self._rewrite(())
            # Unbuffered, so that nothing of a failed write is tried again when the file is closed.
            with open(self._path, "r+b", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if file.seek(0, os.SEEK_END) != self._end:
                    raise OSError(errno.ESTALE, "something else has written there since")
                self._write(file, b"".join(self._sealed(self._seal, records)))

    def replace(self, records: Sequence[Kept]) -> None:
        """Keep these and nothing else, in one step. Raises StorageFailed."""
        with storing(_WHAT):
            self._rewrite(records)

    def _verified(self, data: bytes) -> tuple[list[Kept], bytes, int]:
        """The records that verify, the last seal, and where they end (0: not even the magic)."""
        kept: list[Kept] = []
        if not data.startswith(_MAGIC):
            return kept, _MAGIC, 0
        seal, end = _MAGIC, len(_MAGIC)
        while True:
            start = end + _LENGTH_BYTES
            stop = start + int.from_bytes(data[end:start], "big")
            payload, found = data[start:stop], data[stop : stop + _SEAL_BYTES]
            if len(found) < _SEAL_BYTES or not self._matches(seal, payload, found):
                return kept, seal, end
            try:
                kept.append(_parsed(payload))
            except (ValueError, KeyError, TypeError):  # ours, but of a format that we cannot read
                return kept, seal, end
            seal, end = found, stop + _SEAL_BYTES

    def _matches(self, before: bytes, payload: bytes, found: bytes) -> bool:
        seals = self._keys.seals(_PURPOSE)
        for seal in seals:
            seal.update(before + payload)
        return any([hmac.compare_digest(seal.digest(), found) for seal in seals])

    def _sealed(self, before: bytes, records: Sequence[Kept]) -> Iterator[bytes]:
        """The bytes of more records after the seal `before`; each moves it on."""
        for record in records:
            payload = _written(record)
            seal = self._keys.seal(_PURPOSE)
            seal.update(before + payload)
            before = seal.digest()
            yield len(payload).to_bytes(_LENGTH_BYTES, "big") + payload + before

    def _write(self, file: IO[bytes], data: bytes) -> None:
        """Write at the end and flush; what a failed write leaves is cut off: nobody was told."""
        left = memoryview(data)
        try:
            while left:
                left = left[file.write(left) :]
            os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                os.truncate(file.fileno(), self._end)
            raise
        self._end += len(data)
        if data:
            self._seal = data[-_SEAL_BYTES:]

    def _rewrite(self, records: Sequence[Kept]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        data = _MAGIC + b"".join(self._sealed(_MAGIC, records))
        self._end = 0  # until it is there: a failure must not leave a seal that nothing has
        replace_file(self._path, data, 0o600)
        self._seal, self._end = data[-_SEAL_BYTES:] if records else _MAGIC, len(data)


def _written(record: Kept) -> bytes:
    payload = io.BytesIO()
    payload.write(json.dumps({"schema": record.schema}).encode() + b"\n")
    npy.write_array(payload, record.labels, allow_pickle=False)
    return payload.getvalue()


def _parsed(payload: bytes) -> Kept:
    file = io.BytesIO(payload)
    head = json.loads(file.readline())
    return Kept(str(head["schema"]), np.asarray(npy.read_array(file, allow_pickle=False)))
