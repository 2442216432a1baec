"""The memory snapshot: the same memory back, or nothing, never a half or somebody else's."""

import os
from pathlib import Path

import numpy as np
import pytest

from api_anomaly.detector import Detector
from api_anomaly.model.fit import Fitted
from api_anomaly.features.memory import Memory
from api_anomaly.errors import SnapshotRejected, StorageFailed
from api_anomaly.storage.keys import SigningKeys
from api_anomaly.storage.snapshot import OTHER, SnapshotWriter, read_snapshot

CREATED = 1_700_000_000.5


@pytest.fixture()
def path(tmp_path: Path) -> Path:
    return tmp_path / "models" / "memory.snapshot"


def keep(path: Path, memory: Memory, keys: SigningKeys, schema: str = "features") -> None:
    with SnapshotWriter(path, schema, keys, CREATED, 7) as writer:
        for name, section in memory.sections():
            writer.add(name, section)
        writer.commit()


def test_a_restored_memory_scores_as_the_kept_one_would(
    path: Path, keys: SigningKeys, fitted: Fitted, logs, columns
) -> None:
    keep(path, fitted.memory, keys)
    snapshot = read_snapshot(path, "features", 64, keys)
    assert snapshot is not None
    assert snapshot.created == CREATED
    assert snapshot.memory.entities == fitted.memory.entities
    batch = columns(logs(80, start=1_700_003_000.0, seed=4))
    kept = Detector(fitted.model, fitted.memory).detect(batch, remember=False)
    restored = Detector(fitted.model, snapshot.memory).detect(batch)
    assert np.array_equal(kept.scores, restored.scores)


def test_what_is_kept_beside_the_memory_comes_back_with_it(
    path: Path, keys: SigningKeys, fitted: Fitted
) -> None:
    beside = np.array([(b"id", 1.5)], [("anomaly", "S24"), ("time", "f8")])
    with SnapshotWriter(path, "features", keys, CREATED, 7) as writer:
        for name, section in fitted.memory.sections():
            writer.add(name, section)
        writer.add(f"{OTHER}things", beside)
        writer.add(f"{OTHER}none", beside[:0])
        writer.commit()
    snapshot = read_snapshot(path, "features", 64, keys)
    assert snapshot is not None and set(snapshot.others) == {f"{OTHER}things", f"{OTHER}none"}
    assert np.array_equal(snapshot.others[f"{OTHER}things"], beside)
    assert snapshot.memory.entities == fitted.memory.entities


def test_no_file_is_no_snapshot_and_no_error(path: Path, keys: SigningKeys) -> None:
    assert read_snapshot(path, "features", 64, keys) is None


def test_the_file_is_for_its_owner_only(path: Path, keys: SigningKeys, fitted: Fitted) -> None:
    keep(path, fitted.memory, keys)
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_snapshot_of_other_features_is_rejected(
    path: Path, keys: SigningKeys, fitted: Fitted
) -> None:
    keep(path, fitted.memory, keys)
    with pytest.raises(SnapshotRejected, match="another release"):
        read_snapshot(path, "other features", 64, keys)


@pytest.mark.parametrize("share", [0.0, 0.001, 0.01, 0.5, 0.9, 0.999])
def test_a_truncated_snapshot_is_rejected(
    path: Path, keys: SigningKeys, fitted: Fitted, share: float
) -> None:
    keep(path, fitted.memory, keys)
    os.truncate(path, int(path.stat().st_size * share))
    with pytest.raises(SnapshotRejected, match="damaged"):
        read_snapshot(path, "features", 64, keys)


@pytest.mark.parametrize("share", [0.0, 0.0005, 0.3, 0.9999])
def test_a_snapshot_with_one_changed_bit_is_rejected(
    path: Path, keys: SigningKeys, fitted: Fitted, share: float
) -> None:
    keep(path, fitted.memory, keys)
    data = bytearray(path.read_bytes())
    data[int((len(data) - 1) * share)] ^= 4
    path.write_bytes(data)
    with pytest.raises(SnapshotRejected, match="damaged"):
        read_snapshot(path, "features", 64, keys)


def test_a_snapshot_sealed_by_somebody_else_is_rejected(
    path: Path, keys: SigningKeys, fitted: Fitted
) -> None:
    keep(path, fitted.memory, SigningKeys(["a key of somebody else"]))
    with pytest.raises(SnapshotRejected, match="another key"):
        read_snapshot(path, "features", 64, keys)


def test_a_snapshot_is_still_read_after_the_key_was_changed(
    path: Path, keys: SigningKeys, fitted: Fitted
) -> None:
    keep(path, fitted.memory, keys)
    changed = SigningKeys(["a newer key of the tests", "a signing key of the tests"])
    assert read_snapshot(path, "features", 64, changed) is not None


def test_a_model_manifest_cannot_pass_as_a_snapshot(path: Path, keys: SigningKeys) -> None:
    path.parent.mkdir()
    text = b"api-anomaly memory 1\n{}\n"
    path.write_bytes(text + bytes.fromhex(keys.sign("api-anomaly model manifest", text)))
    with pytest.raises(SnapshotRejected, match="damaged"):
        read_snapshot(path, "features", 64, keys)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"another format\n", "format of another release"),
        (b"api-anomaly memory 1\nnot json\n", "damaged"),
        (b"api-anomaly memory 1\n{}\n", "damaged"),
    ],
)
def test_a_sealed_file_of_another_shape_is_rejected(
    path: Path, keys: SigningKeys, text: bytes, reason: str
) -> None:
    path.parent.mkdir()
    path.write_bytes(text + bytes.fromhex(keys.sign("api-anomaly memory snapshot", text)))
    with pytest.raises(SnapshotRejected, match=reason):
        read_snapshot(path, "features", 64, keys)


def test_a_write_that_ends_early_leaves_the_last_snapshot(
    path: Path, keys: SigningKeys, fitted: Fitted
) -> None:
    keep(path, fitted.memory, keys)
    before = path.read_bytes()
    with SnapshotWriter(path, "features", keys, CREATED + 60, 7) as writer:
        writer.add("actors.0", np.zeros(3))
    assert path.read_bytes() == before
    assert sorted(os.listdir(path.parent)) == [path.name]


def test_the_rest_of_a_killed_writer_is_written_over(
    path: Path, keys: SigningKeys, fitted: Fitted
) -> None:
    path.parent.mkdir()
    (path.parent / ".memory.snapshot.part").write_bytes(b"x" * 1_000_000)
    keep(path, fitted.memory, keys)
    assert read_snapshot(path, "features", 64, keys) is not None
    assert os.listdir(path.parent) == [path.name]


def test_a_snapshot_that_cannot_be_stored_is_a_named_error(
    path: Path, keys: SigningKeys, fitted: Fitted
) -> None:
    path.parent.write_text("a file where the folder should be")
    with pytest.raises(StorageFailed, match="The memory snapshot could not be stored"):
        keep(path, fitted.memory, keys)


def test_objects_are_never_written(path: Path, keys: SigningKeys) -> None:
    with SnapshotWriter(path, "features", keys, CREATED, 7) as writer:
        with pytest.raises(ValueError, match="allow_pickle"):
            writer.add("objects", np.array([object()]))


def test_a_memory_with_less_room_keeps_the_latest(
    path: Path, keys: SigningKeys, fitted: Fitted
) -> None:
    keep(path, fitted.memory, keys)
    snapshot = read_snapshot(path, "features", 1, keys)
    assert snapshot is not None
    assert 0 < snapshot.memory.entities["actors"] <= snapshot.memory.capacity
