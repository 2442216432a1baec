"""Disks that are full, read-only, gone or not ours: a named error in the answer, the log and a
metric, and the served model stays."""

import json
import os
import pickle
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="mounting and other users need root")


def counted(client: httpx.Client, metric: str) -> dict[str, float]:
    """The counts of `metric` by its one label."""
    lines = client.get("/metrics").text.splitlines()
    found = (line.rsplit(" ", 1) for line in lines if line.startswith(metric + "{"))
    return {name.split('"')[1]: float(value) for name, value in found}


def failures(client: httpx.Client) -> dict[str, float]:
    """By what could not be stored."""
    return counted(client, "storage_failures_total")


def snapshots(client: httpx.Client) -> dict[str, float]:
    """By how they ended."""
    return counted(client, "snapshots_total")


def wait_until(reached: Callable[[], bool]) -> None:
    assert any(reached() for _ in range(20_000))


def codes(journal: Path) -> set[str]:
    entries = map(json.loads, journal.read_text().splitlines())
    return {str(entry["error"]) for entry in entries if entry.get("error")}


@contextmanager
def small_disk(folder: Path, size: str = "1m") -> Iterator[None]:
    """A disk of this `size` at `folder`; into 1m no memory fits."""
    folder.mkdir(exist_ok=True)
    mount = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no tmpfs can be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


@contextmanager
def another_user() -> Iterator[None]:
    """For a moment this process is nobody, who may not enter the tests' folders."""
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


def assert_still_serves(client: httpx.Client, version: str, logs: list[dict[str, Any]]) -> None:
    assert client.get("/status").json()["model_version"] == version
    key = {"Idempotency-Key": os.urandom(8).hex()}
    first = client.post("/detect", json={"logs": logs}, headers=key)
    again = client.post("/detect", json={"logs": logs}, headers=key)
    assert first.status_code == 200 and again.headers["idempotency-replayed"] == "true"
    assert again.content == first.content


def assert_refused_but_serving(
    client: httpx.Client, version: str, logs: Callable[..., list[dict[str, Any]]], reason: str
) -> None:
    before = failures(client)
    refused = client.post("/train", json={"logs": logs(100)})
    assert (refused.status_code, refused.json()["code"]) == (507, "storage_failed")
    assert reason in refused.json()["detail"]
    assert failures(client)["model"] == before["model"] + 1
    assert client.get("/status").json()["last_training"]["error"] == "storage_failed"
    assert_still_serves(client, version, logs(3))


@needs_root
def test_a_full_disk(serve, logs, tmp_path: Path) -> None:
    models = tmp_path / "models"
    with small_disk(models, "32m"), serve(forest_trees=5, memory_entities=100) as client:
        version = client.post("/train", json={"logs": logs(100)}).json()["model_version"]
        wait_until(lambda: snapshots(client)["success"] > 0)  # none is at work beside the ballast
        with open(models / "ballast", "wb", buffering=0) as ballast:
            with pytest.raises(OSError):
                while True:
                    ballast.write(b"x" * 65_536)
        assert_refused_but_serving(client, version, logs, "the disk is full")
        (models / "ballast").unlink()
        assert client.post("/train", json={"logs": logs(100)}).status_code == 200
    assert "storage_failed" in codes(tmp_path / "logs" / "journal.log")


@needs_root
def test_a_disk_too_small_for_the_memory(serve, logs, tmp_path: Path) -> None:
    with small_disk(tmp_path / "models"), serve(forest_trees=5) as client:
        version = client.post("/train", json={"logs": logs(100)}).json()["model_version"]
        wait_until(lambda: failures(client)["memory"] > 0)
        assert snapshots(client) == {"success": 0, "failed": 1}
        assert client.get("/status").json()["model_version"] == version
        assert client.post("/detect", json={"logs": logs(3)}).status_code == 200
    assert "storage_failed" in codes(tmp_path / "logs" / "journal.log")


@needs_root
def test_a_read_only_disk(serve, logs, tmp_path: Path) -> None:
    models = tmp_path / "models"
    with small_disk(models):
        with serve(forest_trees=5, memory_entities=100) as client:
            version = client.post("/train", json={"logs": logs(100)}).json()["model_version"]
        subprocess.run(["mount", "-o", "remount,ro", str(models)], check=True)
        with serve(forest_trees=5, memory_entities=100) as client:
            assert_refused_but_serving(client, version, logs, "read-only")
            assert client.post("/load-model").status_code == 200
    assert "storage_failed" in codes(tmp_path / "logs" / "journal.log")


def test_a_folder_that_vanished(serve, logs, tmp_path: Path) -> None:
    with serve(forest_trees=5) as client:
        version = client.post("/train", json={"logs": logs(100)}).json()["model_version"]
        (tmp_path / "models").rename(tmp_path / "gone")
        missing = client.post("/load-model")
        assert (missing.status_code, missing.json()["code"]) == (404, "model_not_found")
        assert_still_serves(client, version, logs(3))
        assert client.post("/train", json={"logs": logs(100)}).status_code == 200
        assert client.post("/load-model").status_code == 200


@needs_root
def test_a_folder_that_is_not_ours(serve, logs, tmp_path: Path) -> None:
    with serve(forest_trees=5) as client:
        version = client.post("/train", json={"logs": logs(100)}).json()["model_version"]
        tmp_path.chmod(0o700)
        with another_user():
            refused = client.post("/train", json={"logs": logs(100)})
            unread = client.post("/load-model")
            assert_still_serves(client, version, logs(3))
        assert (refused.status_code, refused.json()["code"]) == (507, "storage_failed")
        assert "permission denied" in refused.json()["detail"]
        assert (unread.status_code, unread.json()["code"]) == (409, "model_not_trusted")
        assert failures(client)["model"] == 2


class Bomb:
    """Leaves a folder behind when it is unpickled. It harms nothing."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.mkdir, (str(self.path),)


def test_no_pickle_is_opened_wherever_it_is_planted(serve, logs, tmp_path: Path) -> None:
    models, trace = tmp_path / "models", tmp_path / "opened"
    key = {"Idempotency-Key": "a"}
    with serve(forest_trees=5) as client:
        client.post("/train", json={"logs": logs(100)})
        client.post("/detect", json={"logs": logs(3)}, headers=key)
    shutil.copytree(models, tmp_path / "clean", symlinks=True)
    places = [path.relative_to(models) for path in models.rglob("*") if not path.is_dir()] + [
        Path("versions/zzz/isolation_forest.pkl"),
        Path(".memory.snapshot.part"),
    ]
    assert len(places) >= 9
    for place in places:
        shutil.rmtree(models)
        shutil.copytree(tmp_path / "clean", models, symlinks=True)
        planted = models / place
        planted.parent.mkdir(exist_ok=True)
        planted.unlink(missing_ok=True)
        planted.write_bytes(pickle.dumps(Bomb(trace)))
        # A key that is set: the file with the made one is among the places.
        with serve(forest_trees=5) as client:
            client.post("/load-model")
            client.get("/status")
            client.post("/detect", json={"logs": logs(3)}, headers=key)
            assert client.get("/health").status_code == 200
        assert not trace.exists(), place
    pickle.loads(pickle.dumps(Bomb(trace)))  # it would have worked
    assert trace.exists()
