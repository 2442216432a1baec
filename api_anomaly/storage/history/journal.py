"""The append-only journal: segment files of checksummed records.

::

    b"api-anomaly journal 1\n"
    length u32 | CRC-32 of the rest u32 | sequence u64 | payload           once for each record

A segment is named after its first sequence number. One process appends to the last one. A record
that a kill has cut off is the end of its segment: it was never acknowledged, and the next start
cuts it off. `compacted` segments are in Parquet files too.
"""

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from api_anomaly.storage.atomic_files import storing, sync_folder

_MAGIC = b"api-anomaly journal 1\n"
_HEADER = struct.Struct("<II")
_SEQUENCE = struct.Struct("<Q")
_SUFFIX, _COMPACTED = ".journal", ".compacted"


class Segment(NamedTuple):
    """A segment that is no longer written to: its file and its sequence numbers."""

    path: Path
    first: int
    last: int

    @property
    def compacted(self) -> bool:
        """Whether its logs are in Parquet files."""
        return self.path.suffix == _COMPACTED


class LogJournal:
    """Appends records; one thread at a time. Every method raises StorageFailed."""

    def __init__(self, folder: Path) -> None:
        """Opens the journal of `folder`, which is created; a torn end is cut off."""
        self._folder = folder
        self._file = -1
        self._size = 0
        self._first = 0
        with storing("The history"):
            folder.mkdir(parents=True, exist_ok=True)
            self.closed = [_closed(path) for path in _segment_files(folder)]
            self.last = max((segment.last for segment in self.closed), default=0)
            self.closed = [segment for segment in self.closed if _keep(segment)]

    @property
    def size(self) -> int:
        """Bytes in the open segment."""
        return self._size

    def append(self, payload: bytes) -> int:
        """Write a record and return its sequence number. The kernel has it afterwards: a killed
        process loses nothing, a power failure what `sync` has not flushed."""
        sequence = self.last + 1
        body = _SEQUENCE.pack(sequence) + payload
        record = _HEADER.pack(len(body), zlib.crc32(body)) + body
        with storing("The history"):
            if self._file < 0:
                self._open(sequence)
            try:
                written = os.write(self._file, record)
                if written < len(record):  # the disk is almost full, or a signal came
                    _write_all(self._file, record[written:])
            except OSError:
                os.ftruncate(self._file, self._size)
                raise
        self._size += len(record)
        self.last = sequence
        return sequence

    def sync(self) -> None:
        """Flush all appended records to disk."""
        descriptor = self._file
        if descriptor >= 0:
            with storing("The history"):
                os.fdatasync(descriptor)

    def roll(self) -> None:
        """Close the open segment, flushed; the next record opens another one."""
        if self._file < 0:
            return
        self.sync()
        os.close(self._file)
        self._file, self._size = -1, 0
        path = self._folder / f"{self._first:020}{_SUFFIX}"
        self.closed.append(Segment(path, self._first, self.last))

    def mark_compacted(self, segment: Segment) -> None:
        """Note that the logs of a closed segment are in Parquet files."""
        path = segment.path.with_suffix(_COMPACTED)
        with storing("The history"):
            os.replace(segment.path, path)
        self.closed[self.closed.index(segment)] = segment._replace(path=path)

    def drop_through(self, sequence: int) -> None:
        """Delete compacted segments whose last record is not after `sequence`."""
        for segment in [s for s in self.closed if s.compacted and s.last <= sequence]:
            segment.path.unlink(missing_ok=True)
            self.closed.remove(segment)

    def read(self, after: int) -> Iterator[tuple[int, bytes]]:
        """(sequence, payload) of the records after sequence number `after`, in order."""
        paths = [segment.path for segment in self.closed if segment.last > after]
        if self._file >= 0:
            paths.append(self._folder / f"{self._first:020}{_SUFFIX}")
        for path in paths:
            for sequence, payload, _end in read_segment(path):
                if sequence > after:
                    yield sequence, payload

    def _open(self, first: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{first:020}{_SUFFIX}"
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_APPEND
        self._file = os.open(path, flags, 0o600)
        _write_all(self._file, _MAGIC)
        sync_folder(self._folder)
        self._first, self._size = first, len(_MAGIC)


def read_segment(path: Path) -> Iterator[tuple[int, bytes, int]]:
    """(sequence, payload, end in the file) of the valid records of a segment, in order. It ends at
    the first record that is cut off or damaged."""
    with open(path, "rb") as file:
        if file.read(len(_MAGIC)) != _MAGIC:
            return
        while len(header := file.read(_HEADER.size)) == _HEADER.size:
            length, checksum = _HEADER.unpack(header)
            remaining = os.fstat(file.fileno()).st_size - file.tell()
            if not _SEQUENCE.size <= length <= remaining:
                return
            body = file.read(length)
            if zlib.crc32(body) != checksum:
                return
            yield _SEQUENCE.unpack_from(body)[0], body[_SEQUENCE.size :], file.tell()


def _segment_files(folder: Path) -> list[Path]:
    found = [*folder.glob(f"*{_SUFFIX}"), *folder.glob(f"*{_COMPACTED}")]
    return sorted(found, key=lambda path: path.stem)


def _closed(path: Path) -> Segment:
    """The segment of a file of an earlier process, with a torn end cut off."""
    last, end = int(path.stem) - 1, 0
    for last, _payload, end in read_segment(path):
        pass
    if end and end < path.stat().st_size:
        os.truncate(path, end)
    return Segment(path, int(path.stem), last)


def _keep(segment: Segment) -> bool:
    """Whether a segment of an earlier process has records; one without is deleted."""
    if segment.last >= segment.first:
        return True
    segment.path.unlink(missing_ok=True)
    return False


def _write_all(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]
