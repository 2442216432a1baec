"""Models on disk: kept whole, believed only when signed, switched by one step."""

import json
import os
import pickle
import shutil
import subprocess
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from api_anomaly.detector import Detector
from api_anomaly.model.fit import Fitted
from api_anomaly.features.memory import Memory
from api_anomaly.errors import (
    AnomalyError,
    ModelIncompatible,
    ModelNotFound,
    ModelNotTrusted,
    StorageFailed,
)
from api_anomaly.storage.atomic_files import UNFINISHED
from api_anomaly.storage.keys import SigningKeys
from api_anomaly.storage.manifest import TrainingFacts, digest, read_manifest, write_manifest
from api_anomaly.storage.models import ModelStore


@pytest.fixture()
def folder(tmp_path: Path) -> Path:
    return tmp_path / "models"


@pytest.fixture()
def store(folder: Path, keys: SigningKeys) -> ModelStore:
    return ModelStore(folder / "isolation_forest.pkl", folder / "scaler.pkl", keys, versions_kept=3)


@pytest.fixture()
def saved(store: ModelStore, fitted: Fitted, facts: TrainingFacts, now: datetime) -> str:
    return store.save(fitted.model, facts, now).version


def replace(path: Path, data: bytes) -> None:
    """Put other bytes where a reader looks, as an intruder would."""
    real = path.resolve()
    real.unlink()
    real.write_bytes(data)


class Bomb:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_a_kept_model_comes_back_with_its_facts_and_scores_the_same(
    store: ModelStore, fitted: Fitted, facts: TrainingFacts, now: datetime, logs, columns
) -> None:
    kept = store.save(fitted.model, facts, now)
    model, manifest = store.load()
    assert manifest == kept
    assert manifest.facts == facts
    assert datetime.fromisoformat(manifest.created) == now
    batch = columns(logs(50, seed=9))
    before = Detector(fitted.model, Memory.empty(64)).detect(batch)
    after = Detector(model, Memory.empty(64)).detect(batch)
    assert np.array_equal(before.scores, after.scores)
    assert model.threshold == fitted.model.threshold


def test_no_model_on_disk_is_said_so(store: ModelStore) -> None:
    with pytest.raises(ModelNotFound):
        store.load()
    assert store.versions() == []


def test_a_missing_scaler_is_a_missing_model(store: ModelStore, folder: Path, saved: str) -> None:
    (folder / "scaler.pkl").unlink()
    with pytest.raises(ModelNotFound):
        store.load()


@pytest.mark.parametrize("name", ["isolation_forest.pkl", "scaler.pkl"])
@pytest.mark.parametrize("damage", ["flipped", "truncated", "empty", "longer"])
def test_a_changed_file_is_refused(
    store: ModelStore, folder: Path, saved: str, name: str, damage: str
) -> None:
    data = (folder / name).read_bytes()
    middle = len(data) // 2
    changed = {
        "flipped": data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :],
        "truncated": data[:middle],
        "empty": b"",
        "longer": data + b"\0",
    }[damage]
    replace(folder / name, changed)
    with pytest.raises(ModelNotTrusted):
        store.load()


def test_a_foreign_pickle_is_never_opened(
    store: ModelStore, folder: Path, saved: str, tmp_path: Path
) -> None:
    trace = tmp_path / "opened"
    replace(folder / "isolation_forest.pkl", pickle.dumps(Bomb(trace)))
    with pytest.raises(ModelNotTrusted):
        store.load()
    (folder / "scaler.pkl").unlink()
    (folder / "scaler.pkl").write_bytes(pickle.dumps(Bomb(trace)))
    with pytest.raises(ModelNotTrusted):
        store.load()
    assert not trace.exists()


def test_a_foreign_file_in_place_of_the_link_is_refused_and_the_next_training_takes_its_place(
    store: ModelStore, folder: Path, saved: str, fitted: Fitted, facts: TrainingFacts, now: datetime
) -> None:
    (folder / "isolation_forest.pkl").unlink()
    (folder / "isolation_forest.pkl").write_bytes(b"not ours")
    with pytest.raises(ModelNotTrusted):
        store.load()
    later = store.save(fitted.model, facts, now + timedelta(seconds=1))
    assert store.load()[1].version == later.version


def test_a_model_without_a_manifest_is_refused(store: ModelStore, folder: Path, saved: str) -> None:
    (folder / "current" / "manifest.json").unlink()
    with pytest.raises(ModelNotTrusted, match="no manifest"):
        store.load()


@pytest.mark.parametrize(
    "manifest",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b'"text"',
        b"{}",
        b'{"manifest": 5, "signature": "x"}',
        b'{"manifest": {}, "signature": 5}',
        b'{"manifest": {}, "signature": "\\ud800"}',
        b'{"manifest": {"format": NaN}, "signature": ""}',
        b'{"manifest": ' + b"[" * 100_000 + b"]" * 100_000 + b', "signature": ""}',
    ],
)
def test_a_manifest_of_garbage_is_refused(
    store: ModelStore, folder: Path, saved: str, manifest: bytes
) -> None:
    replace(folder / "current" / "manifest.json", manifest)
    with pytest.raises(ModelNotTrusted):
        store.load()


@pytest.mark.parametrize("field", ["version", "created", "feature_schema", "facts", "digests"])
def test_a_changed_value_in_the_manifest_is_refused(
    store: ModelStore, folder: Path, saved: str, field: str
) -> None:
    path = folder / "current" / "manifest.json"
    signed = json.loads(path.read_bytes())
    value = signed["manifest"][field]
    signed["manifest"][field] = (value | {"x": "y"}) if isinstance(value, dict) else value + "x"
    replace(path, json.dumps(signed).encode())
    with pytest.raises(ModelNotTrusted, match="signature"):
        store.load()


def test_a_human_may_reformat_the_manifest(store: ModelStore, folder: Path, saved: str) -> None:
    path = folder / "current" / "manifest.json"
    replace(path, json.dumps(json.loads(path.read_bytes())).encode())
    assert store.load()[1].version == saved


def test_another_installations_model_is_refused(folder: Path, saved: str) -> None:
    other = ModelStore(
        folder / "isolation_forest.pkl",
        folder / "scaler.pkl",
        SigningKeys(["a key of somebody else"]),
    )
    with pytest.raises(ModelNotTrusted, match="signature"):
        other.load()


def test_a_signing_key_can_be_changed_in_steps(
    folder: Path, saved: str, fitted: Fitted, facts: TrainingFacts, now: datetime
) -> None:
    def vault_with(*keys: str) -> ModelStore:
        paths = folder / "isolation_forest.pkl", folder / "scaler.pkl"
        return ModelStore(*paths, SigningKeys(keys))

    old, new = "a signing key of the tests", "a new signing key of the tests"
    both = vault_with(new, old)
    assert both.load()[1].version == saved
    version = both.save(fitted.model, facts, now + timedelta(seconds=1)).version
    assert vault_with(new).load()[1].version == version
    with pytest.raises(ModelNotTrusted):
        vault_with(old).load()


def test_a_signed_model_of_another_format_is_incompatible_not_distrusted(
    store: ModelStore, folder: Path, saved: str, keys: SigningKeys
) -> None:
    path = folder / "current" / "manifest.json"
    manifest = read_manifest(path.read_bytes(), keys)
    object.__setattr__(manifest, "format", 2)
    replace(path, write_manifest(manifest, keys))
    with pytest.raises(ModelIncompatible, match="another release"):
        store.load()


def test_a_signed_file_that_todays_libraries_cannot_read_is_incompatible(
    store: ModelStore, folder: Path, saved: str, keys: SigningKeys
) -> None:
    broken = b"\x80\x05cno_such_module\nThing\n."
    path = folder / "current" / "manifest.json"
    manifest = read_manifest(path.read_bytes(), keys)
    manifest.digests["scaler.pkl"] = digest(broken)
    replace(path, write_manifest(manifest, keys))
    replace(folder / "scaler.pkl", broken)
    with pytest.raises(ModelIncompatible, match="libraries"):
        store.load()


def test_only_the_last_versions_stay_and_the_served_one_always(
    folder: Path, keys: SigningKeys, fitted: Fitted, facts: TrainingFacts, now: datetime
) -> None:
    store = ModelStore(
        folder / "isolation_forest.pkl", folder / "scaler.pkl", keys, versions_kept=2
    )
    saved = [
        store.save(fitted.model, facts, now + timedelta(seconds=second)).version
        for second in range(5)
    ]
    assert store.versions() == saved[-2:]
    # A clock that was set back makes a name that sorts first: it is served, so it stays.
    early = store.save(fitted.model, facts, now - timedelta(days=1)).version
    assert early in store.versions()
    assert store.load()[1].version == early


def test_model_and_scaler_may_live_in_different_folders(
    tmp_path: Path, keys: SigningKeys, fitted: Fitted, facts: TrainingFacts, now: datetime
) -> None:
    model, peer_baseline = tmp_path / "a" / "forest.bin", tmp_path / "b" / "deep" / "scaler.bin"
    store = ModelStore(model, peer_baseline, keys)
    version = store.save(fitted.model, facts, now).version
    assert model.is_symlink() and peer_baseline.is_symlink()
    assert store.load()[1].version == version


def test_the_folder_can_be_moved_as_a_whole(
    folder: Path, saved: str, tmp_path: Path, keys: SigningKeys
) -> None:
    moved = tmp_path / "elsewhere"
    shutil.move(folder, moved)
    store = ModelStore(moved / "isolation_forest.pkl", moved / "scaler.pkl", keys)
    assert store.load()[1].version == saved


def test_relative_paths_follow_the_working_folder(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    keys: SigningKeys,
    fitted: Fitted,
    facts: TrainingFacts,
    now: datetime,
) -> None:
    monkeypatch.chdir(tmp_path)
    store = ModelStore(Path("models/isolation_forest.pkl"), Path("models/scaler.pkl"), keys)
    version = store.save(fitted.model, facts, now).version
    assert store.load()[1].version == version


def test_what_a_killed_process_left_is_swept_by_the_next_save(
    store: ModelStore, folder: Path, saved: str, fitted: Fitted, facts: TrainingFacts, now: datetime
) -> None:
    left = folder / "versions" / f"{UNFINISHED}0123"
    left.mkdir()
    (left / "isolation_forest.pkl").write_bytes(b"half")
    (folder / f"{UNFINISHED}4567").symlink_to("nowhere")
    assert store.versions() == [saved]
    store.save(fitted.model, facts, now + timedelta(seconds=1))
    assert not list(folder.rglob(f"{UNFINISHED}*"))


def test_a_failed_save_leaves_the_current_model_and_no_rest(
    store: ModelStore, folder: Path, saved: str, fitted: Fitted, facts: TrainingFacts, now: datetime
) -> None:
    later = now + timedelta(seconds=1)
    taken = folder / "versions" / store.save(fitted.model, facts, later).version
    os.replace(folder / "versions", folder / "away")
    (folder / "versions").write_text("a file where a folder should be")
    with pytest.raises(StorageFailed, match="The model could not be stored"):
        store.save(fitted.model, facts, later)
    (folder / "versions").unlink()
    os.replace(folder / "away", folder / "versions")
    assert store.load()[1].version == taken.name
    with pytest.raises(StorageFailed):  # the same name again: it is there already
        store.save(fitted.model, facts, later)
    assert not list(folder.rglob(f"{UNFINISHED}*"))
    assert store.load()[1].version == taken.name


def test_a_switch_while_somebody_reads_is_not_taken_for_tampering(
    folder: Path, saved: str, keys: SigningKeys, fitted: Fitted, facts: TrainingFacts, now: datetime
) -> None:
    paths = folder / "isolation_forest.pkl", folder / "scaler.pkl"
    writer, reader = ModelStore(*paths, keys, versions_kept=1), ModelStore(*paths, keys)

    def write() -> list[str]:
        moments = (now + timedelta(seconds=second) for second in range(1, 16))
        return [writer.save(fitted.model, facts, moment).version for moment in moments]

    with ThreadPoolExecutor(1) as thread:
        writing = thread.submit(write)
        seen = [saved]
        while not writing.done():
            seen.append(reader.load()[1].version)
    assert set(seen) <= {saved, *writing.result()}
    assert seen == sorted(seen)


def test_a_model_path_that_is_a_folder_is_refused(store: ModelStore, folder: Path) -> None:
    (folder / "isolation_forest.pkl").mkdir(parents=True)
    with pytest.raises(ModelNotTrusted, match="cannot be read"):
        store.load()


@pytest.fixture()
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A real file system of 256 KiB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(disk)]
    if subprocess.run(mount, capture_output=True).returncode != 0:
        pytest.skip("a file system can only be mounted by root")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_full_disk_is_named_and_leaves_the_current_model(
    small_disk: Path, keys: SigningKeys, fitted: Fitted, facts: TrainingFacts, now: datetime
) -> None:
    store = ModelStore(small_disk / "isolation_forest.pkl", small_disk / "scaler.pkl", keys, 100)
    saved = []
    with pytest.raises(StorageFailed, match="the disk is full"):
        for second in range(100):
            moment = now + timedelta(seconds=second)
            saved.append(store.save(fitted.model, facts, moment).version)
    assert saved and store.load()[1].version == saved[-1]
    assert store.versions() == saved
    assert not list(small_disk.rglob(f"{UNFINISHED}*"))


def test_every_error_of_the_room_has_a_code() -> None:
    for error in (ModelNotFound, ModelNotTrusted, ModelIncompatible, StorageFailed):
        assert issubclass(error, AnomalyError)
        assert error.code != AnomalyError.code
