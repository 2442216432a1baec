"""The memory snapshot: one file, no pickle, sealed, replaced in one step.

::

    b"api-anomaly memory 1\\n"
    {"created": ..., "memory_schema": ..., "feature_schema": ...}\\n      one line of JSON
    {"name": ..., "aligned": ...}\\n + the .npy form of its array        once for each section
    {}\\n                                                               the end
    HMAC-SHA256 over everything before, 32 bytes

The seal is keyed like the models': whoever can change what the service remembers can blind it.
"""

import hmac
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from api_anomaly.features.memory import Memory
from api_anomaly.errors import SnapshotRejected
from api_anomaly.storage.atomic_files import storing, sync_folder
from api_anomaly.storage.keys import SigningKeys

_Sections = Iterator[tuple[str, NDArray[Any]]]
#: Names of sections that are not the memory's begin so.
OTHER = "other."
_MAGIC = b"api-anomaly memory 1\n"
_PURPOSE = "api-anomaly memory snapshot"
_SEAL_BYTES = 32
_BLOCK = 1 << 20
_DAMAGED = "The memory snapshot is damaged, truncated, or sealed with another key."


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A memory as it was kept; `created` is Unix seconds. `others` are the sections that were kept
    with it and are not the memory's: their names begin with `OTHER`."""

    memory: Memory
    created: float
    others: Mapping[str, NDArray[Any]]


class SnapshotWriter:
    """Writes a snapshot section by section; it takes its place at `commit`. Without one nothing
    changes.

    Every method raises StorageFailed when the disk does not take it.
    """

    def __init__(self, path: Path, feature_schema: str, keys: SigningKeys, created: float) -> None:
        self._path = path.absolute()
        self._seal = keys.seal(_PURPOSE)
        with storing("The memory snapshot"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            # One name, not a fresh one: a killed writer's rest is written over, and no sweep can
            # take ours away.
            self._unfinished = self._path.with_name(f".{self._path.name}.part")
            descriptor = os.open(self._unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            self._file = open(descriptor, "wb")
        schemas = {"memory_schema": Memory.schema, "feature_schema": feature_schema}
        with storing("The memory snapshot"):
            self.write(_MAGIC + _line({"created": created} | schemas))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._file.close()
        with suppress(OSError):
            self._unfinished.unlink(missing_ok=True)

    def write(self, data: bytes) -> int:
        """Bytes under the seal; named so that NumPy can write through it."""
        self._seal.update(data)
        return self._file.write(data)

    def add(self, name: str, array: NDArray[Any]) -> None:
        """One section: any array without Python objects."""
        with storing("The memory snapshot"):
            self.write(_line({"name": name, "aligned": array.dtype.isalignedstruct}))
            npy.write_array(self, array, allow_pickle=False)

    def commit(self) -> None:
        """Seal, flush and put the file in its place."""
        with storing("The memory snapshot"):
            self.write(_line({}))
            self._file.write(self._seal.digest())
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._unfinished, self._path)
            sync_folder(self._path.parent)


def read_snapshot(
    path: Path, feature_schema: str, entities: int, keys: SigningKeys
) -> Snapshot | None:
    """The kept memory with room for `entities`, or None when there is no file.

    Raises SnapshotRejected when it is damaged, not ours, or of another release's layout.
    """
    try:
        with open(path, "rb") as file:
            end = _verified_end(file, keys)
            return _read(file, end, feature_schema, entities)
    except FileNotFoundError:
        return None
    except SnapshotRejected:
        raise
    except Exception as error:  # whatever it is, it must not keep the service from starting
        raise SnapshotRejected(_DAMAGED) from error


def _verified_end(file: IO[bytes], keys: SigningKeys) -> int:
    """Where the sealed bytes end; the file is read once, a block at a time, and rewound."""
    end = os.fstat(file.fileno()).st_size - _SEAL_BYTES
    seals = keys.seals(_PURPOSE)
    left = max(end, 0)
    while left and (block := file.read(min(_BLOCK, left))):
        left -= len(block)
        for seal in seals:
            seal.update(block)
    kept = file.read(_SEAL_BYTES)
    if end < 0 or not any([hmac.compare_digest(seal.digest(), kept) for seal in seals]):
        raise SnapshotRejected(_DAMAGED)
    file.seek(0)
    return end


def _read(file: IO[bytes], end: int, feature_schema: str, entities: int) -> Snapshot:
    if file.read(len(_MAGIC)) != _MAGIC:
        raise SnapshotRejected("The memory snapshot has the format of another release.")
    head = json.loads(file.readline())
    if head["memory_schema"] != Memory.schema or head["feature_schema"] != feature_schema:
        raise SnapshotRejected("The memory snapshot has the features of another release.")
    others: dict[str, NDArray[Any]] = {}
    memory = Memory.restore(_memories(_sections(file, end), others), entities)
    return Snapshot(memory, float(head["created"]), others)


def _memories(sections: _Sections, others: dict[str, NDArray[Any]]) -> _Sections:
    """The memory's own of `sections`; those that are not go to `others`."""
    for name, array in sections:
        if name.startswith(OTHER):
            others[name] = array
        else:
            yield name, array


def _sections(file: IO[bytes], end: int) -> _Sections:
    """Each section, read when it is asked for: a full memory is not held twice."""
    while file.tell() < end:
        head = json.loads(file.readline())
        if head:
            array = np.asarray(npy.read_array(file, allow_pickle=False))
            yield head["name"], array.view(_aligned(array.dtype)) if head["aligned"] else array


def _aligned(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """`dtype` as an aligned structure of the same layout; the .npy form does not keep that flag,
    and compiled code knows the two apart."""
    fields = dict(dtype.fields or {})
    layout: Any = {
        "names": list(fields),
        "formats": [field[0] for field in fields.values()],
        "offsets": [field[1] for field in fields.values()],
        "itemsize": dtype.itemsize,
    }
    aligned: np.dtype[Any] = np.dtype(layout, align=True)
    return aligned


def _line(fields: dict[str, Any]) -> bytes:
    return json.dumps(fields).encode() + b"\n"
