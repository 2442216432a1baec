"""Verdicts in the service: they expire, they outlive a kill, and nobody's name is written down."""

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

from api_anomaly.model.fit import Fitted
from api_anomaly.feedback.labels import LABEL, labels_of
from api_anomaly.runtime.recent_anomalies import RecentAnomalies
from api_anomaly.telemetry.journal import Journal
from api_anomaly.feedback.decode import FeedbackReader
from api_anomaly.runtime.label_store import LabelStore
from api_anomaly.errors import BatchTooLarge
from api_anomaly.storage.label_file import FeedbackFile, Kept
from api_anomaly.storage.keys import SigningKeys
from tests.support.paths import ROOT

TOKEN = "a-token-of-the-tests"
DAY = 86_400.0


def in_a_loop(test: Callable[..., Awaitable[None]]) -> Callable[..., None]:
    """A test that awaits."""

    @wraps(test)
    def run(*given: Any, **named: Any) -> None:
        async def story() -> None:
            await test(*given, **named)

        asyncio.run(story())

    return run


class Clock:
    """A clock that a test puts forward."""

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
def book(
    tmp_path: Path, keys: SigningKeys, journal: Journal, clock: Clock
) -> Callable[..., LabelStore]:
    """A book over one file, as often as one likes."""

    def opened(most: int = 100, file: FeedbackFile | None = None) -> LabelStore:
        kept = file or FeedbackFile(tmp_path / "feedback", keys)
        return LabelStore(kept, 90.0, most, journal, clock)

    return opened


def labels(*users: int, given: float, hostile: bool = False) -> Any:
    """A lesson about each user."""
    rows = np.arange(len(users))[:, None] + np.zeros(LABEL["row"].shape, np.float32)
    keys = np.repeat(np.array(users, np.uint64)[:, None], 3, axis=1)
    made = labels_of(rows.astype(np.float32), keys, np.array(users, np.float64))
    made["given"], made["hostile"] = given, hostile
    return made


@in_a_loop
async def test_lessons_expire_without_a_call_of_feedback(
    book: Callable[..., LabelStore], clock: Clock, fitted: Fitted
) -> None:
    mine = book()
    await mine.open()
    assert await mine.feedback_for(fitted.model) is None and not mine.stale
    await mine.add(labels(1, 2, given=clock.now))
    clock.now += 60 * DAY
    await mine.add(labels(3, given=clock.now, hostile=True))
    assert (await mine.feedback_for(fitted.model)) is not None and not mine.stale
    assert mine.counted()[:3] == (2, 1, 0)
    clock.now += 31 * DAY
    assert mine.stale
    feedback = await mine.feedback_for(fitted.model)
    assert feedback is not None and feedback.own.users.tolist() == [3] and not mine.stale
    assert mine.counted()[:3] == (0, 1, 2)
    clock.now += 60 * DAY
    assert mine.stale and await mine.feedback_for(fitted.model) is None and not mine.stale


@in_a_loop
async def test_lessons_of_other_behaviours_are_kept_and_do_not_count(
    book: Callable[..., LabelStore], clock: Clock, tmp_path: Path, keys: SigningKeys
) -> None:
    other = np.zeros(3, [("anomaly", "S24"), ("given", "f8"), ("row", "f4", (7,))])
    FeedbackFile(tmp_path / "feedback", keys).append([Kept("another release's", other)])
    mine = book()
    await mine.open()
    await mine.add(labels(1, given=clock.now))
    again = book()
    await again.open()
    assert (again.counted().false_positives, again.counted().other) == (1, 3)


@in_a_loop
async def test_an_older_key_can_go_after_a_start_with_both(
    tmp_path: Path, book: Callable[..., LabelStore], clock: Clock
) -> None:
    path, old, new = tmp_path / "feedback", "an old key of the tests", "a new key of the tests"
    for names in ([old], [new, old], [new]):
        mine = book(file=FeedbackFile(path, SigningKeys(names)))
        await mine.open()
        if names == [old]:
            await mine.add(labels(1, 2, given=clock.now))
        assert mine.active()["user"].tolist() == [1, 2]


@in_a_loop
async def test_the_file_is_tidied_when_most_of_it_does_not_count(
    book: Callable[..., LabelStore], clock: Clock, tmp_path: Path
) -> None:
    mine = book(most=4)
    await mine.open()
    for user in range(9):
        await mine.add(labels(user, given=clock.now + user))
    assert (tmp_path / "feedback").stat().st_size < 9 * LABEL.itemsize
    again = book(most=4)
    await again.open()
    assert again.active()["user"].tolist() == [5, 6, 7, 8]
    assert again.active()["user"].tolist() == mine.active()["user"].tolist()


@in_a_loop
async def test_a_damaged_end_is_told_and_costs_no_more_than_itself(
    book: Callable[..., LabelStore], clock: Clock, tmp_path: Path
) -> None:
    mine = book()
    await mine.open()
    await mine.add(labels(1, given=clock.now))
    with (tmp_path / "feedback").open("ab") as file:
        file.write(b"half a rec")
    again = book()
    await again.open()
    assert again.active()["user"].tolist() == [1]
    assert "feedback damaged" in (tmp_path / "journal.log").read_text()
    assert (tmp_path / "feedback.damaged").exists()


@in_a_loop
async def test_a_file_that_cannot_be_read_leaves_a_service_without_lessons(
    book: Callable[..., LabelStore], tmp_path: Path
) -> None:
    (tmp_path / "feedback").mkdir()
    mine = book()
    await mine.open()
    assert len(mine.active()) == 0
    assert "feedback not read" in (tmp_path / "journal.log").read_text()


def test_the_anomalies_returned_longest_ago_make_room() -> None:
    known = RecentAnomalies(4)
    rows = labels(*range(6), given=0.0)
    known.add(rows[:3])
    known.add(rows[:1])
    known.add(rows[3:5])
    names = [name.decode() for name in rows["anomaly"].tolist()]
    found, unknown = known.find(names)
    assert unknown == [1, 5] and len(known) == 4
    assert found["user"][[0, 2, 3, 4]].tolist() == [0, 2, 3, 4]
    known.add(rows)
    assert known.find(names)[1] == [0, 1] and len(known) == 4
    assert known.kept()["user"].tolist() == [2, 3, 4, 5]
    again = RecentAnomalies(3)
    again.add(known.kept())
    assert again.kept()["user"].tolist() == [3, 4, 5]
    assert len(RecentAnomalies(3).kept()) == 0


def test_a_verdict_that_cannot_be_stored_is_refused_and_not_in_force(
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


def test_neither_journal_nor_feedback_file_holds_a_user_or_an_address(
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


def test_a_killed_service_has_every_verdict_that_it_acknowledged(logs: Any, tmp_path: Path) -> None:
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
    with living(environ) as (client, kill):
        assert client.post("/train", json={"logs": logs(300)}).status_code == 200
        assassin = threading.Timer(0.4, kill)
        for log in batch * 100:
            item = {"log": log | {"response_size": acknowledged}, "verdict": "false_positive"}
            try:
                acknowledged += client.post("/feedback", json={"items": [item]}).status_code == 200
            except httpx.TransportError:
                break
            if acknowledged == 1 and not assassin.is_alive():
                assassin.start()
        assassin.join()
    assert acknowledged
    with living(environ) as (client, kill):
        told = client.get("/status").json()["feedback"]
        assert told["active"]["false_positive"] + told["replaced"] >= acknowledged
        kill()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


class living:
    """A service in a process of its own; and a way to kill it."""

    def __init__(self, environ: dict[str, str]) -> None:
        self._environ = environ

    def __enter__(self) -> tuple[httpx.Client, Callable[[], None]]:
        self._process = subprocess.Popen([sys.executable, "main.py"], cwd=ROOT, env=self._environ)
        url = f"http://127.0.0.1:{self._environ['PORT']}"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        self._client = httpx.Client(base_url=url, headers=headers, timeout=120)
        until = time.monotonic() + 120
        while time.monotonic() < until:
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


def test_a_million_values_that_are_no_verdicts_are_refused_before_they_are_parsed() -> None:
    with pytest.raises(BatchTooLarge, match="more values"):
        FeedbackReader(1_000).read(b'{"items": [' + b"0," * 1_000_000 + b"0]}")
