"""Models on disk: several versions, one of them current.

::

    models/versions/<version>/{isolation_forest.pkl, scaler.pkl, manifest.json}
    models/current              -> versions/<version>           replaced in one step
    models/isolation_forest.pkl -> current/isolation_forest.pkl   MODEL_PATH
    models/scaler.pkl           -> current/scaler.pkl             SCALER_PATH

`load` reads the bytes at MODEL_PATH and SCALER_PATH and unpickles those same bytes only after the
manifest's signature and digests have verified them, so that nothing can be exchanged in between.
"""

import fcntl
import io
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import joblib

from api_anomaly.model.bundle import Model
from api_anomaly.errors import ModelIncompatible, ModelNotFound, ModelNotTrusted
from api_anomaly.storage.atomic_files import (
    UNFINISHED,
    replace_link,
    storing,
    sync_folder,
    unfinished,
    write_file,
)
from api_anomaly.storage.keys import SigningKeys
from api_anomaly.storage.manifest import (
    Manifest,
    TrainingFacts,
    check_digest,
    digest,
    libraries,
    read_manifest,
    write_manifest,
)

_FOREST, _SCALER = "isolation_forest", "scaler"
_MANIFEST = "manifest.json"
_CURRENT, _VERSIONS, _LOCK = "current", "versions", ".lock"


class ModelStore:
    """The models beside `model_path`. One process writes; others may read at any time."""

    def __init__(
        self, model_path: Path, scaler_path: Path, keys: SigningKeys, versions_kept: int = 5
    ) -> None:
        self._paths = {_FOREST: model_path, _SCALER: scaler_path}
        self._root = model_path.absolute().parent
        self._keys = keys
        self._versions_kept = versions_kept

    def versions(self) -> list[str]:
        """Stored versions, oldest first; none if the folder is missing or cannot be read."""
        with suppress(OSError):
            names = os.listdir(self._root / _VERSIONS)
            return sorted(name for name in names if not name.startswith(UNFINISHED))
        return []

    def save(self, model: Model, facts: TrainingFacts, now: datetime) -> Manifest:
        """Store `model` as a new version, created at `now` (timezone-aware), and make it current.

        Raises StorageFailed; then the current model stays.
        """
        files = {f"{name}.pkl": _pickle(part) for name, part in model.parts().items()}
        digests = {name: digest(data) for name, data in files.items()}
        created = now.astimezone(UTC)
        manifest = Manifest(
            version=f"{created:%Y%m%dT%H%M%S.%fZ}-{digests[f'{_FOREST}.pkl'][:8]}",
            created=created.isoformat(),
            digests=digests,
            feature_schema=model.feature_schema,
            facts=facts,
            libraries=libraries(),
        )
        files[_MANIFEST] = write_manifest(manifest, self._keys)
        with storing("The model"), self._writer_lock():
            self._delete_unfinished()
            self._write_version(manifest.version, files)
            self._make_current(manifest.version)
            self._delete_old(manifest.version)
        return manifest

    def load(self) -> tuple[Model, Manifest]:
        """The current model and its manifest.

        Raises ModelNotFound (a file is missing), ModelNotTrusted (nothing was unpickled) and
        ModelIncompatible.
        """
        while True:  # repeats only if another process has changed the current version meanwhile
            target = self._current()
            try:
                return self._load()
            except (ModelNotFound, ModelNotTrusted):
                if target == self._current():
                    raise

    def _load(self) -> tuple[Model, Manifest]:
        data = {f"{name}.pkl": _read(path) for name, path in self._paths.items()}
        try:
            signed = (self._root / _CURRENT / _MANIFEST).read_bytes()
        except OSError as error:
            raise ModelNotTrusted("The model has no manifest. It was not opened.") from error
        manifest = read_manifest(signed, self._keys)
        for name, content in data.items():
            check_digest(manifest, name, content)
        parts = {name: _unpickle(data[f"{name}.pkl"]) for name in self._paths}
        return Model.from_parts(parts), manifest

    def _current(self) -> str | None:
        with suppress(OSError):
            return os.readlink(self._root / _CURRENT)
        return None

    @contextmanager
    def _writer_lock(self) -> Iterator[None]:
        """Excludes other processes. The kernel releases the lock of a killed process."""
        self._root.mkdir(parents=True, exist_ok=True)
        with open(self._root / _LOCK, "a") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _write_version(self, version: str, files: dict[str, bytes]) -> None:
        versions = self._root / _VERSIONS
        versions.mkdir(exist_ok=True)
        folder = unfinished(versions)
        folder.mkdir()
        try:
            for name, data in files.items():
                write_file(folder / name, data)
            sync_folder(folder)
            folder.rename(versions / version)
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        sync_folder(versions)

    def _make_current(self, version: str) -> None:
        """The fixed links are made first; at the first save they dangle until `current` exists."""
        for name, path in self._paths.items():
            link = path.absolute()
            link.parent.mkdir(parents=True, exist_ok=True)
            beside = link.parent == self._root
            base = Path(_CURRENT) if beside else self._root / _CURRENT
            replace_link(link, str(base / f"{name}.pkl"))
        replace_link(self._root / _CURRENT, f"{_VERSIONS}/{version}")

    def _delete_old(self, current: str) -> None:
        """Delete all but the last versions. A version is renamed first, so that no partly deleted
        one has a version's name."""
        versions = self._root / _VERSIONS
        for version in self.versions()[: -self._versions_kept]:
            if version != current:
                renamed = unfinished(versions)
                (versions / version).rename(renamed)
                shutil.rmtree(renamed)

    def _delete_unfinished(self) -> None:
        """Delete what killed processes left."""
        folders = {self._root, self._root / _VERSIONS}
        folders |= {path.absolute().parent for path in self._paths.values()}
        for folder in folders:
            for path in folder.glob(f"{UNFINISHED}*"):
                if path.is_dir() and not path.is_symlink():
                    shutil.rmtree(path)
                else:
                    path.unlink()


def _pickle(part: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    joblib.dump(part, buffer)
    return buffer.getvalue()


def _unpickle(verified: bytes) -> dict[str, Any]:
    """Unpickle verified bytes. Raises ModelIncompatible if they need other libraries."""
    try:
        part: dict[str, Any] = joblib.load(io.BytesIO(verified))
    except Exception as error:  # unpickling may raise anything
        raise ModelIncompatible(
            "The model on disk cannot be read with the installed libraries. Call POST /train."
        ) from error
    return part


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise ModelNotFound("There is no model on disk. Call POST /train first.") from error
    except OSError as error:
        raise ModelNotTrusted(f"{path.name} cannot be read. It was not opened.") from error
