"""Labels in the service: they expire, survive a kill, and contain no user and no address."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from api_anomaly.features.table import SCHEMA
from api_anomaly.model.fit import Fitted
from api_anomaly.feedback.labels import LABEL, build_labels
from api_anomaly.runtime.feedback import RecentAnomalies
from api_anomaly.telemetry.journal import Journal
from api_anomaly.feedback.decode import FeedbackReader
from api_anomaly.runtime.label_store import LabelStore
from api_anomaly.errors import BatchTooLarge
from api_anomaly.storage.label_file import LabelFile, LabelRecord
from api_anomaly.storage.keys import SigningKeys
from tests.support.paths import ROOT

TOKEN = "a-token-of-the-tests"
DAY = 86_400.0


def in_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """Run an async test."""

    @wraps(test)
    def run(*args: Any, **kwargs: Any) -> None:
        async def run_test() -> None:
            await test(*args, **kwargs)

        asyncio.run(run_test())

    return run


class Clock:
    """A clock that a test advances."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture()
def clock() -> Clock:
    return Clock()


@pytest.fixture()
def journal(tmp_path: Path) -> Any:
    journal = Journal("INFO", tmp_path / "journal.log")
    yield journal
    journal.close()


@pytest.fixture()
def open_store(
    tmp_path: Path, keys: SigningKeys, journal: Journal, clock: Clock
) -> Callable[..., LabelStore]:
    """Constructs stores of the same file."""

    def construct(max_labels: int = 100, file: LabelFile | None = None) -> LabelStore:
        labels = file or LabelFile(tmp_path / "feedback", keys)
        return LabelStore(labels, 90.0, max_labels, journal, clock)

    return construct


def labels(*users: int, given: float, hostile: bool = False) -> Any:
    """A label about each user."""
    rows = np.arange(len(users))[:, None] + np.zeros(LABEL["row"].shape, np.float32)
    keys = np.repeat(np.array(users, np.uint64)[:, None], 3, axis=1)
    made = build_labels(rows.astype(np.float32), keys, np.array(users, np.float64))
    made["given"], made["hostile"] = given, hostile
    return made


@in_a_loop
async def test_labels_expire_without_a_call_of_feedback(
    open_store: Callable[..., LabelStore], clock: Clock, fitted: Fitted
) -> None:
    store = open_store()
    await store.load()
    assert await store.rescoring_for(fitted.model) is None and not store.has_expired
    await store.add(labels(1, 2, given=clock.now))
    clock.now += 60 * DAY
    await store.add(labels(3, given=clock.now, hostile=True))
    assert (await store.rescoring_for(fitted.model)) is not None and not store.has_expired
    assert store.counts()[:3] == (2, 1, 0)
    clock.now += 31 * DAY
    assert store.has_expired
    rescoring = await store.rescoring_for(fitted.model)
    assert (
        rescoring is not None
        and rescoring.same_user.users.tolist() == [3]
        and not store.has_expired
    )
    assert store.counts()[:3] == (0, 1, 2)
    clock.now += 60 * DAY
    assert (
        store.has_expired
        and await store.rescoring_for(fitted.model) is None
        and not store.has_expired
    )


OTHER_FEATURES = np.dtype([("anomaly", "S24"), ("given", "f8"), ("row", "f4", (7,))])
OTHER_FIELD_NAMES = np.dtype([(f"old_{name}", *rest) for name, *rest in LABEL.descr])


@pytest.mark.parametrize(
    ("schema", "layout"), [("another release's", OTHER_FEATURES), (SCHEMA, OTHER_FIELD_NAMES)]
)
@in_a_loop
async def test_labels_of_another_layout_are_stored_but_not_used(
    open_store: Callable[..., LabelStore],
    clock: Clock,
    tmp_path: Path,
    keys: SigningKeys,
    schema: str,
    layout: np.dtype[Any],
) -> None:
    other = np.zeros(3, layout)
    LabelFile(tmp_path / "feedback", keys).append([LabelRecord(schema, other)])
    store = open_store()
    await store.load()
    await store.add(labels(1, given=clock.now))
    again = open_store()
    await again.load()
    assert (again.counts().false_positives, again.counts().incompatible) == (1, 3)


@in_a_loop
async def test_an_older_key_can_be_removed_after_a_start_with_both(
    tmp_path: Path, open_store: Callable[..., LabelStore], clock: Clock
) -> None:
    path, old, new = tmp_path / "feedback", "an old key of the tests", "a new key of the tests"
    for names in ([old], [new, old], [new]):
        store = open_store(file=LabelFile(path, SigningKeys(names)))
        await store.load()
        if names == [old]:
            await store.add(labels(1, 2, given=clock.now))
        assert store.active()["user"].tolist() == [1, 2]


@in_a_loop
async def test_the_file_is_rewritten_when_most_of_it_is_not_used(
    open_store: Callable[..., LabelStore], clock: Clock, tmp_path: Path
) -> None:
    store = open_store(max_labels=4)
    await store.load()
    for user in range(9):
        await store.add(labels(user, given=clock.now + user))
    assert (tmp_path / "feedback").stat().st_size < 9 * LABEL.itemsize
    again = open_store(max_labels=4)
    await again.load()
    assert again.active()["user"].tolist() == [5, 6, 7, 8]
    assert again.active()["user"].tolist() == store.active()["user"].tolist()


@in_a_loop
async def test_a_damaged_end_is_reported_and_the_rest_is_used(
    open_store: Callable[..., LabelStore], clock: Clock, tmp_path: Path
) -> None:
    store = open_store()
    await store.load()
    await store.add(labels(1, given=clock.now))
    with (tmp_path / "feedback").open("ab") as file:
        file.write(b"half a rec")
    again = open_store()
    await again.load()
    assert again.active()["user"].tolist() == [1]
    assert "feedback damaged" in (tmp_path / "journal.log").read_text()
    assert (tmp_path / "feedback.damaged").exists()


@in_a_loop
async def test_a_file_that_cannot_be_read_means_no_labels(
    open_store: Callable[..., LabelStore], tmp_path: Path
) -> None:
    (tmp_path / "feedback").mkdir()
    store = open_store()
    await store.load()
    assert len(store.active()) == 0
    assert "feedback not read" in (tmp_path / "journal.log").read_text()


def test_the_oldest_anomalies_are_overwritten() -> None:
    recent = RecentAnomalies(4)
    rows = labels(*range(6), given=0.0)
    recent.add(rows[:3])
    recent.add(rows[:1])
    recent.add(rows[3:5])
    names = [name.decode() for name in rows["anomaly"].tolist()]
    found, unknown = recent.find(names)
    assert unknown == [1, 5] and len(recent) == 4
    assert found["user"][[0, 2, 3, 4]].tolist() == [0, 2, 3, 4]
    recent.add(rows)
    assert recent.find(names)[1] == [0, 1] and len(recent) == 4
    assert recent.all()["user"].tolist() == [2, 3, 4, 5]
    again = RecentAnomalies(3)
    again.add(recent.all())
    assert again.all()["user"].tolist() == [3, 4, 5]
    assert len(RecentAnomalies(3).all()) == 0


def test_a_verdict_that_cannot_be_stored_is_refused_and_not_used(
    serve: Any, logs: Any, tmp_path: Path
) -> None:
    with serve() as client:
        assert client.post("/train", json={"logs": logs(300)}).status_code == 200
        (tmp_path / "models" / ".feedback.part").mkdir()
        item = {"log": logs(1, 1_700_003_000.0)[0], "verdict": "true_positive"}
        answer = client.post("/feedback", json={"items": [item]})
        assert (answer.status_code, answer.json()["code"]) == (507, "storage_failed")
        (tmp_path / "models" / ".feedback.part").rmdir()
        assert client.get("/status").json()["feedback"]["active"]["true_positive"] == 0
        assert client.post("/feedback", json={"items": [item]}).status_code == 200
        assert client.get("/status").json()["feedback"]["active"]["true_positive"] == 1


def test_neither_journal_nor_label_file_contains_a_user_or_an_address(
    serve: Any, logs: Any, tmp_path: Path
) -> None:
    log = logs(1, 1_700_003_000.0)[0] | {"user_id": "mrs-somebody", "ip_address": "203.0.113.77"}
    with serve(log_level="DEBUG") as client:
        client.post("/train", json={"logs": logs(300)})
        for verdict in ("true_positive", "false_positive"):
            body = {"items": [{"log": log, "verdict": verdict}]}
            assert client.post("/feedback", json=body).status_code == 200
        client.post("/feedback", json={"items": [{"anomaly_id": "my-id", "verdict": verdict}]})
    written = (tmp_path / "logs" / "journal.log").read_bytes()
    written += (tmp_path / "models" / "feedback").read_bytes()
    assert b"feedback taken" in written
    for name in (b"mrs-somebody", b"203.0.113.77", b"my-id", b"/api/orders", b"client/1.0"):
        assert name not in written


def test_a_killed_service_has_every_acknowledged_verdict(logs: Any, tmp_path: Path) -> None:
    environ = os.environ | {
        "AUTH_TOKEN": TOKEN,
        "MODEL_PATH": str(tmp_path / "isolation_forest.pkl"),
        "SCALER_PATH": str(tmp_path / "scaler.pkl"),
        "LOG_FILE": str(tmp_path / "journal.log"),
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "FOREST_TREES": "10",
        "MEMORY_ENTITIES": "500",
    }
    batch = logs(40, 1_700_003_000.0)
    acknowledged = 0
    with RunningProcess(environ) as (client, kill):
        assert client.post("/train", json={"logs": logs(300)}).status_code == 200
        killer = threading.Timer(0.4, kill)
        for log in batch * 100:
            item = {"log": log | {"response_size": acknowledged}, "verdict": "false_positive"}
            try:
                acknowledged += client.post("/feedback", json={"items": [item]}).status_code == 200
            except httpx.TransportError:
                break
            if acknowledged == 1 and not killer.is_alive():
                killer.start()
        killer.join()
    assert acknowledged
    with RunningProcess(environ) as (client, kill):
        status = client.get("/status").json()["feedback"]
        assert status["active"]["false_positive"] + status["replaced"] >= acknowledged
        kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class RunningProcess:
    """A service in a process of its own, and a function that kills it."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._environ = environ

    def __enter__(self) -> tuple[httpx.Client, Callable[[], None]]:
        self._process = subprocess.Popen([sys.executable, "main.py"], cwd=ROOT, env=self._environ)
        url = f"http://127.0.0.1:{self._environ['PORT']}"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=120)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                if self._client.get("/health").status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.05)
        return self._client, lambda: self._process.send_signal(signal.SIGKILL)

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        self._client.close()


def test_a_million_values_are_refused_before_they_are_parsed() -> None:
    with pytest.raises(BatchTooLarge, match="more values"):
        FeedbackReader(1_000).read(b'{"items": [' + b"0," * 1_000_000 + b"0]}")
