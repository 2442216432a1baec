"""Labels on disk: an append-only file of signed records, flushed before they are acknowledged.

::

    b"api-anomaly feedback 1\\n"
    4 bytes: length of the payload, big-endian                      once for each record
    payload: {"schema": ...}\\n + the .npy form of its labels
    HMAC-SHA256 over the signature before (first: the magic) and the payload, 32 bytes

One record is one accepted request, so that a request is kept as a whole or not at all. Each
signature covers the one before: records cannot be removed, repeated or reordered, only cut off at
the end, as a kill does. What does not verify is not used and not deleted: it is set aside in a file
of its own. Nothing is unpickled.
"""

import errno
import fcntl
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
from api_anomaly.storage.keys import SigningKeys, any_matches

_MAGIC = b"api-anomaly feedback 1\n"
_PURPOSE = "api-anomaly feedback"
_WHAT = "The feedback"
_SIGNATURE_BYTES, _LENGTH_BYTES = 32, 4


class LabelRecord(NamedTuple):
    """Labels of one request, in the layout in which they were stored, and the feature schema of
    their rows."""

    schema: str
    labels: NDArray[Any]


class LabelFile:
    """The labels in `path`. One process writes, one call at a time; if another process has written
    to the file, `append` raises StorageFailed and does not overwrite it."""

    def __init__(self, path: Path, keys: SigningKeys) -> None:
        self._path = path.absolute()
        self._keys = keys
        self._signature = _MAGIC
        self._end = 0  # 0: the file must be created, or read before anything is appended

    @property
    def damaged_path(self) -> Path:
        """Where a file is copied whose end does not verify."""
        return self._path.with_name(f"{self._path.name}.damaged")

    def read(self) -> tuple[list[LabelRecord], bool]:
        """All records that verify, oldest first, and whether anything after them does not.

        In that case the file is copied to `damaged_path` and rewritten with what verifies. A file
        of another format does not verify. Raises StorageFailed.
        """
        self._end = 0
        with storing(_WHAT):
            try:
                data = self._path.read_bytes()
            except FileNotFoundError:
                return [], False
        records, signature, end = self._verified(data)
        damaged = end < len(data)
        if damaged:
            with storing(_WHAT):
                replace_file(self.damaged_path, data, 0o600)
                self._rewrite(records)
        else:
            self._signature, self._end = signature, end
        return records, damaged

    def append(self, records: Sequence[LabelRecord]) -> None:
        """Append records, all or none; they are on disk on return. Raises StorageFailed."""
        with storing(_WHAT):
            if not self._end:  # after a failure the file may hold more than is known here
                self.read()
            if not self._end:
                self._rewrite(())
            # Unbuffered: closing the file must not write the rest of a failed write.
            with open(self._path, "r+b", buffering=0) as file:
                fcntl.flock(file, fcntl.LOCK_EX)
                if file.seek(0, os.SEEK_END) != self._end:
                    raise OSError(errno.ESTALE, "another process has written to it")
                self._write(file, b"".join(self._signed(self._signature, records)))

    def replace(self, records: Sequence[LabelRecord]) -> None:
        """Replace all records in one step. Raises StorageFailed."""
        with storing(_WHAT):
            self._rewrite(records)

    def _verified(self, data: bytes) -> tuple[list[LabelRecord], bytes, int]:
        """The records that verify, the last signature, and where they end (0: wrong magic)."""
        records: list[LabelRecord] = []
        if not data.startswith(_MAGIC):
            return records, _MAGIC, 0
        signature, end = _MAGIC, len(_MAGIC)
        while True:
            start = end + _LENGTH_BYTES
            stop = start + int.from_bytes(data[end:start], "big")
            payload, found = data[start:stop], data[stop : stop + _SIGNATURE_BYTES]
            if len(found) < _SIGNATURE_BYTES or not self._matches(signature + payload, found):
                return records, signature, end
            try:
                records.append(_decode(payload))
            except (ValueError, KeyError, TypeError):  # signed by us, of an unknown format
                return records, signature, end
            signature, end = found, stop + _SIGNATURE_BYTES

    def _matches(self, message: bytes, signature: bytes) -> bool:
        verifiers = self._keys.verifiers(_PURPOSE)
        for verifier in verifiers:
            verifier.update(message)
        return any_matches(verifiers, signature)

    def _signed(self, signature: bytes, records: Sequence[LabelRecord]) -> Iterator[bytes]:
        """The bytes of records that follow the record with `signature`."""
        for record in records:
            payload = _encode(record)
            signer = self._keys.signer(_PURPOSE)
            signer.update(signature + payload)
            signature = signer.digest()
            yield len(payload).to_bytes(_LENGTH_BYTES, "big") + payload + signature

    def _write(self, file: IO[bytes], data: bytes) -> None:
        """Write at the end and flush. What a failed write leaves is cut off: it was never
        acknowledged."""
        remaining = memoryview(data)
        try:
            while remaining:
                remaining = remaining[file.write(remaining) :]
            os.fsync(file.fileno())
        except OSError:
            with suppress(OSError):
                os.truncate(file.fileno(), self._end)
            raise
        self._end += len(data)
        if data:
            self._signature = data[-_SIGNATURE_BYTES:]

    def _rewrite(self, records: Sequence[LabelRecord]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        data = _MAGIC + b"".join(self._signed(_MAGIC, records))
        self._end = 0  # if the replacement fails, the file must be read again
        replace_file(self._path, data, 0o600)
        self._signature, self._end = data[-_SIGNATURE_BYTES:] if records else _MAGIC, len(data)


def _encode(record: LabelRecord) -> bytes:
    payload = io.BytesIO()
    payload.write(json.dumps({"schema": record.schema}).encode() + b"\n")
    npy.write_array(payload, record.labels, allow_pickle=False)
    return payload.getvalue()


def _decode(payload: bytes) -> LabelRecord:
    file = io.BytesIO(payload)
    header = json.loads(file.readline())
    labels = np.asarray(npy.read_array(file, allow_pickle=False))
    return LabelRecord(str(header["schema"]), labels)
