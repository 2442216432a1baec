"""The memory snapshot: one signed file without pickle, replaced in one step.

::

    b"api-anomaly memory 1\\n"
    {"created": ..., "position": ..., "memory_schema": ..., ...}\\n         one line of JSON
    {"name": ..., "aligned": ...}\\n + the .npy form of its array        once for each section
    {}\\n                                                               the end
    HMAC-SHA256 over everything before, 32 bytes

It is signed with the models' keys: a forged memory could hide an attack.
"""

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
from api_anomaly.storage.atomic_files import part_of, storing, sync_folder
from api_anomaly.storage.keys import SigningKeys, any_matches

_Sections = Iterator[tuple[str, NDArray[Any]]]
#: Prefix of the names of sections that do not belong to the memory.
OTHER = "other."
_MAGIC = b"api-anomaly memory 1\n"
_PURPOSE = "api-anomaly memory snapshot"
_SIGNATURE_BYTES = 32
_BLOCK_BYTES = 1 << 20
_DAMAGED = "The memory snapshot is damaged, truncated, or signed with another key."


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A stored memory; `created` is in Unix seconds. The memory holds the logs of the journal up to
    the sequence number `position`. `others` are sections that do not belong to the memory, by names
    that begin with `OTHER`."""

    memory: Memory
    created: float
    position: int
    others: Mapping[str, NDArray[Any]]


class SnapshotWriter:
    """Writes a snapshot section by section. `commit` replaces the file; without it nothing changes.

    The signature is computed in `commit`, from the written file: sections are added while no
    request can be scored, and signing takes longer than writing.

    Every method raises StorageFailed.
    """

    def __init__(
        self, path: Path, feature_schema: str, keys: SigningKeys, created: float, position: int
    ) -> None:
        self._path = path.absolute()
        self._signer = keys.signer(_PURPOSE)
        with storing("The memory snapshot"):
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._part = part_of(self._path)
            descriptor = os.open(self._part, os.O_RDWR | os.O_CREAT | os.O_TRUNC, 0o600)
            self._file = open(descriptor, "wb+")
        schemas = {"memory_schema": Memory.schema, "feature_schema": feature_schema}
        with storing("The memory snapshot"):
            self.write(_MAGIC + _line({"created": created, "position": position} | schemas))

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
            self._part.unlink(missing_ok=True)

    def write(self, data: bytes) -> int:
        """Write bytes; NumPy calls it as a file's method."""
        return self._file.write(data)

    def add(self, name: str, array: NDArray[Any]) -> None:
        """Add a section: any array without Python objects."""
        with storing("The memory snapshot"):
            self.write(_line({"name": name, "aligned": array.dtype.isalignedstruct}))
            npy.write_array(self, array, allow_pickle=False)

    def commit(self) -> None:
        """Sign, flush and replace the file."""
        with storing("The memory snapshot"):
            self.write(_line({}))
            self._file.flush()
            self._file.seek(0)
            while block := self._file.read(_BLOCK_BYTES):
                self._signer.update(block)
            self._file.write(self._signer.digest())
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            os.replace(self._part, self._path)
            sync_folder(self._path.parent)


def read_snapshot(
    path: Path, feature_schema: str, entities: int, keys: SigningKeys
) -> Snapshot | None:
    """The stored memory with a capacity of `entities`; None if there is no file.

    Raises SnapshotRejected if it is damaged, has no valid signature, or has another layout.
    """
    try:
        with open(path, "rb") as file:
            end = _verified_end(file, keys)
            return _read(file, end, feature_schema, entities)
    except FileNotFoundError:
        return None
    except SnapshotRejected:
        raise
    except Exception as error:  # no file may prevent the service from starting
        raise SnapshotRejected(_DAMAGED) from error


def _verified_end(file: IO[bytes], keys: SigningKeys) -> int:
    """Where the signed bytes end. The file is read once, a block at a time, and rewound."""
    end = os.fstat(file.fileno()).st_size - _SIGNATURE_BYTES
    verifiers = keys.verifiers(_PURPOSE)
    remaining = max(end, 0)
    while remaining and (block := file.read(min(_BLOCK_BYTES, remaining))):
        remaining -= len(block)
        for verifier in verifiers:
            verifier.update(block)
    if end < 0 or not any_matches(verifiers, file.read(_SIGNATURE_BYTES)):
        raise SnapshotRejected(_DAMAGED)
    file.seek(0)
    return end


def _read(file: IO[bytes], end: int, feature_schema: str, entities: int) -> Snapshot:
    if file.read(len(_MAGIC)) != _MAGIC:
        raise SnapshotRejected("The memory snapshot has the format of another release.")
    header = json.loads(file.readline())
    if header["memory_schema"] != Memory.schema or header["feature_schema"] != feature_schema:
        raise SnapshotRejected("The memory snapshot has the features of another release.")
    others: dict[str, NDArray[Any]] = {}
    memory = Memory.restore(_split(_sections(file, end), others), entities)
    return Snapshot(memory, float(header["created"]), int(header.get("position", 0)), others)


def _split(sections: _Sections, others: dict[str, NDArray[Any]]) -> _Sections:
    """Yield the memory's sections; put the others into `others`."""
    for name, array in sections:
        if name.startswith(OTHER):
            others[name] = array
        else:
            yield name, array


def _sections(file: IO[bytes], end: int) -> _Sections:
    """Sections, each read on demand, so that a full memory is not held twice."""
    while file.tell() < end:
        header = json.loads(file.readline())
        if header:
            array = np.asarray(npy.read_array(file, allow_pickle=False))
            yield header["name"], array.view(_aligned(array.dtype)) if header["aligned"] else array


def _aligned(dtype: np.dtype[Any]) -> np.dtype[Any]:
    """`dtype` as an aligned structure of the same layout. The .npy form loses that flag, and
    compiled code distinguishes the two."""
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
