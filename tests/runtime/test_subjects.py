"""One user or address is removed from everything that is kept, and others are not."""

import asyncio
import json
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from api_anomaly.errors import StorageFailed, TrainingInProgress
from api_anomaly.features.extract import subject_keys
from api_anomaly.feedback.decode import FeedbackReader
from api_anomaly.feedback.labels import LABEL, build_labels
from api_anomaly.logs.pseudonyms import Pseudonyms
from api_anomaly.runtime.feedback import RecentAnomalies
from api_anomaly.runtime.idempotency import Retry, StoredResponse
from api_anomaly.runtime.label_store import LabelStore
from api_anomaly.runtime.state import AppState
from api_anomaly.runtime.subjects import SubjectRemoved, SubjectService
from api_anomaly.storage.keys import SigningKeys
from api_anomaly.storage.label_file import LabelFile, LabelRecord
from api_anomaly.telemetry.journal import Journal
from tests.runtime.test_snapshots import process

LATER = 1_700_003_000.0
KEY = "a secret of the tests that is long enough"
Test = Callable[[AppState], Awaitable[None]]
Run = Callable[[Test], None]


def logs_of(user: str | None, address: str | None, count: int = 3) -> list[dict[str, Any]]:
    log = {"endpoint": "/api/orders/1", "method": "GET", "status_code": 200}
    who = {"user_id": user, "ip_address": address}
    return [log | who | {"timestamp": LATER + i} for i in range(count)]


async def detect(state: AppState, logs: list[dict[str, Any]], threshold: float = 0.0) -> Any:
    """The detections of the service; with a threshold of 0 every log is an anomaly."""
    body = msgspec.json.encode({"logs": logs, "threshold": threshold})
    return (await state.detection.detect(state.decoder.decode_detect(body))).detections


async def judge(state: AppState, ids: list[str]) -> None:
    items = [{"anomaly_id": found, "verdict": "false_positive"} for found in ids]
    await state.feedback.give(FeedbackReader(100).read(msgspec.json.encode({"items": items})))


def respond(state: AppState, *bodies: bytes) -> None:
    """Store responses with these bodies."""
    for i, body in enumerate(bodies):
        state.idempotency.restore(
            [StoredResponse(bytes([i]) * 32, bytes(32), time.time() + 60, body)]
        )


def service(
    state: AppState, pseudonyms: Pseudonyms | None, asked: list[str] | None = None
) -> SubjectService:
    """A service whose history holds one log of everybody, and notes who was asked for."""

    async def remove(text: str) -> int:
        if asked is not None:
            asked.append(text)
        return 1

    return SubjectService(
        pseudonyms,
        state.registry,
        state.feedback,
        state.idempotency,
        state.training,
        state.snapshots,
        state.journal,
        remove,
    )


async def remove(state: AppState, subject: str) -> SubjectRemoved:
    """The removal, without what is in Parquet files."""
    return await service(state, None).remove(subject)


@pytest.mark.parametrize(
    ("subject", "form", "records"),
    [
        ("alice", {"user": "alice", "address": "198.51.100.7"}, 1),
        ("198.51.100.7", {"user": "alice", "address": "198.51.100.7"}, 1),
        ("2001:0DB8::7", {"user": None, "address": "2001:db8::7"}, 2),
        ("198.51.100.7", {"user": "198.51.100.7", "address": None}, 2),
    ],
)
def test_a_subject_is_removed_from_all_that_is_kept(
    with_state: Run, history: Any, subject: str, form: dict[str, str | None], records: int
) -> None:
    async def test(state: AppState) -> None:
        await state.training.run(history(100))
        theirs = await detect(state, logs_of("carol", "203.0.113.1"))
        found = await detect(state, logs_of(**form))
        await judge(state, [a.id for a in found.anomalies[:2]] + [theirs.anomalies[0].id])
        known = (form["user"], form["address"])
        names = {"user_id": known[0], "ip_address": known[1]}
        respond(state, msgspec.json.encode({"anomalies": [names]}), b'{"anomalies":[]}')
        remembered = state.registry.require().detector.memory.entities["actors"]
        removed = await remove(state, subject)
        assert removed[:4] == (records, 2, 3, 1)
        assert len(state.feedback.anomalies) == 3 and len(state.idempotency) == 1
        memory = state.registry.require().detector.memory
        assert memory.entities["actors"] == remembered - records
        counts = state.feedback.labels.counts()
        assert counts.active == 1
        rescoring = state.registry.require().detector.rescoring
        assert rescoring is not None and len(rescoring.same_user.users) == 1
        again = await detect(state, logs_of(**form, count=1), threshold=-1.0)
        assert again.confidence == 0.0
        assert (await remove(state, "nobody"))[:5] == (0, 0, 0, 0, 1)

    with_state(test)


def test_a_removal_can_be_repeated(with_state: Run, history: Any) -> None:
    async def test(state: AppState) -> None:
        await state.training.run(history(100))
        await detect(state, logs_of("alice", None))
        assert (await remove(state, "alice"))[:3] == (2, 0, 3)
        assert (await remove(state, "alice"))[:3] == (0, 0, 0)

    with_state(test)


def test_without_a_model_nothing_is_known(with_state: Run) -> None:
    async def test(state: AppState) -> None:
        removed = await remove(state, "alice")
        assert removed[:5] == (0, 0, 0, 0, 1)
        assert "No model is served" in removed.note

    with_state(test)


def test_the_last_verdict_about_a_subject_ends_its_effect(with_state: Run, history: Any) -> None:
    async def test(state: AppState) -> None:
        await state.training.run(history(100))
        found = await detect(state, logs_of("alice", None, count=1))
        await judge(state, [found.anomalies[0].id])
        assert state.registry.require().detector.rescoring is not None
        await remove(state, "alice")
        assert state.registry.require().detector.rescoring is None

    with_state(test)


def test_a_training_would_bring_the_subject_back(with_state: Run, history: Any) -> None:
    async def test(state: AppState) -> None:
        training = asyncio.create_task(state.training.run(history(100)))
        await asyncio.sleep(0)
        with pytest.raises(TrainingInProgress):
            await remove(state, "user-1")
        await training
        assert (await remove(state, "user-1")).memory_records == 1
        with state.training.reserved(), pytest.raises(TrainingInProgress):
            await remove(state, "user-1")

    with_state(test)


def test_a_response_that_is_being_computed_is_removed_too(with_state: Run, history: Any) -> None:
    async def test(state: AppState) -> None:
        await state.training.run(history(100))
        scored, answer = asyncio.Event(), asyncio.Event()

        async def compute() -> bytes:
            await detect(state, logs_of("alice", None))
            scored.set()
            await answer.wait()
            return b'{"user_id":"alice"}'

        request = asyncio.create_task(
            state.idempotency.respond(Retry(b"k" * 32, b"d" * 32), compute)
        )
        await scored.wait()
        removal = asyncio.create_task(remove(state, "alice"))
        await asyncio.sleep(0.05)
        assert not removal.done()
        answer.set()
        assert (await removal).responses == 1
        assert (await request)[0] == b'{"user_id":"alice"}'

    with_state(test)


def test_a_disk_that_fails_is_reported_and_the_removal_can_be_repeated(
    with_state: Run, history: Any, tmp_path: Path
) -> None:
    async def test(state: AppState) -> None:
        await state.training.run(history(100))
        found = await detect(state, logs_of("alice", None, count=1))
        await judge(state, [found.anomalies[0].id])
        part = tmp_path / "models" / ".memory.snapshot.part"
        assert await state.snapshots.save(state.registry)
        part.mkdir()
        with pytest.raises(StorageFailed):
            await remove(state, "alice")
        part.rmdir()
        assert (await remove(state, "alice"))[:3] == (0, 0, 0)

    with_state(test)


# Which forms of a subject are removed


def test_the_history_is_asked_for_every_form(with_state: Run) -> None:
    pseudonyms = Pseudonyms(KEY.encode())
    token = pseudonyms.user("alice")
    forms: list[tuple[str, Pseudonyms | None, list[str]]] = [
        ("alice", None, ["alice"]),
        ("10.0.0.1", None, ["10.0.0.1"]),
        ("alice", pseudonyms, [token, "alice"]),
        (token, pseudonyms, [pseudonyms.user(token), token]),
        (
            "10.0.0.1",
            pseudonyms,
            [pseudonyms.user("10.0.0.1"), pseudonyms.address("10.0.0.1")],
        ),
    ]

    async def test(state: AppState) -> None:
        for subject, key, expected in forms:
            asked: list[str] = []
            removed = await service(state, key, asked).remove(subject)
            assert asked == expected and removed.history_logs == len(expected)

    with_state(test)


NAMED = [
    (b'{"user_id":"alice"}', "alice", True),
    (b'{"user_id":"alice2","ip_address":null}', "alice", False),
    (b'{"endpoint":"alice","severity":"alice"}', "alice", False),
    (json.dumps({"endpoint": '"user_id":"alice"'}).encode(), "alice", False),
    (msgspec.json.encode({"user_id": 'a"\\ü\n'}), 'a"\\ü\n', True),
    (b'{"ip_address":"2001:DB8:0::1"}', "2001:db8::1", True),
    (b'{"ip_address":"::ffff:10.0.0.1"}', "10.0.0.1", True),
    (b'{"ip_address":"10.0.0.2"}', "10.0.0.1", False),
    (b'{"user_id":"10.0.0.1"}', "10.0.0.1", True),
    (b'{"ip_address":"not an address"}', "10.0.0.1", False),
]


@pytest.mark.parametrize(("body", "subject", "named"), NAMED)
def test_a_response_is_removed_exactly_if_it_names_the_subject(
    with_state: Run, body: bytes, subject: str, named: bool
) -> None:
    async def test(state: AppState) -> None:
        respond(state, body, b"{}")
        assert (await remove(state, subject)).responses == named

    with_state(test)


# Stores


def labels_about(*users: str) -> Any:
    keys = [[*subject_keys([user], []), 0] for user in users]
    rows = np.zeros((len(users), LABEL["row"].shape[0]), np.float32)
    made = build_labels(rows, np.array(keys, np.uint64), np.arange(len(users), dtype=float))
    made["given"] = 1_700_000_000.0
    return made


@pytest.fixture()
def journal(tmp_path: Path) -> Any:
    journal = Journal("INFO", tmp_path / "labels.log")
    yield journal
    journal.close()


OTHER_FEATURES = np.dtype([("anomaly", "S24"), ("user", "u8"), ("row", "f4", (7,))])
WITHOUT_KEYS = np.dtype([("anomaly", "S24"), ("row", "f4", (7,))])


def test_verdicts_are_removed_from_the_file_of_every_release(
    tmp_path: Path, keys: SigningKeys, journal: Journal
) -> None:
    old, older = np.zeros(2, OTHER_FEATURES), np.zeros(1, WITHOUT_KEYS)
    actors = subject_keys(["alice"], [])
    old["user"][0] = labels_about("alice")["user"][0]
    records = [LabelRecord("other", old), LabelRecord("older", older)]
    LabelFile(tmp_path / "feedback", keys).replace(records)

    def store() -> LabelStore:
        file = LabelFile(tmp_path / "feedback", keys)
        return LabelStore(file, 90.0, 100, journal, lambda: 1_700_000_100.0)

    async def test() -> None:
        first = store()
        await first.load()
        await first.add(labels_about("alice", "bob"))
        await first.add(labels_about("alice"))
        assert await first.remove(actors) == 3
        assert await first.remove(actors) == 0
        second = store()
        await second.load()
        for kept in (first, second):
            assert kept.active()["user"].tolist() == labels_about("bob")["user"].tolist()
            assert kept.counts().incompatible == 2
        await first.add(labels_about("carol"))
        assert len(first.active()) == 2

    asyncio.run(test())


def test_a_file_that_cannot_be_replaced_keeps_all_verdicts(
    tmp_path: Path, keys: SigningKeys, journal: Journal
) -> None:
    async def test() -> None:
        file = LabelFile(tmp_path / "feedback", keys)
        store = LabelStore(file, 90.0, 100, journal, lambda: 1_700_000_100.0)
        await store.load()
        await store.add(labels_about("alice", "bob"))
        (tmp_path / ".feedback.part").mkdir()
        with pytest.raises(StorageFailed):
            await store.remove(subject_keys(["alice"], []))
        assert len(store.active()) == 2
        (tmp_path / ".feedback.part").rmdir()
        assert await store.remove(subject_keys(["alice"], [])) == 1

    asyncio.run(test())


def test_removed_anomalies_make_no_gap_in_the_ring() -> None:
    recent = RecentAnomalies(3)
    recent.add(labels_about("alice", "bob", "alice"))
    recent.add(labels_about("alice"))  # a known one again
    assert recent.remove(subject_keys(["alice"], [])) == 2
    assert recent.all()["user"].tolist() == labels_about("bob")["user"].tolist()
    recent.add(labels_about("carol", "dave"))
    assert len(recent) == 3 and len(recent.all()) == 3
    assert recent.remove(subject_keys(["nobody"], [])) == 0


# The service


def recent_logs(logs: Any, count: int) -> list[dict[str, Any]]:
    """Ordinary logs of the last hour, which the history keeps."""
    return list(logs(count, start=time.time() - 7.0 * count))


def of_a_person(user: str, address: str, count: int) -> list[dict[str, Any]]:
    now = time.time()
    return [
        log | {"timestamp": now - count + i} for i, log in enumerate(logs_of(user, address, count))
    ]


def history_of(client: Any, batch: list[dict[str, Any]]) -> float:
    """The share of the logs whose user or address has history; nothing is remembered."""
    body = {"logs": batch[-1:], "update_state": False, "threshold": -1.0}
    return float(client.post("/detect", json=body).json()["model_confidence"])


def kept_bytes(folder: Path) -> bytes:
    """All that the service keeps except what is read by another test: Parquet and the journal."""
    return b"".join(
        path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".parquet", ".journal", ".compacted")
    )


PEOPLE = [("alice", "/subjects/alice"), ("DOM/al ice?ü", "/subjects/DOM%2Fal%20ice%3F%C3%BC")]


@pytest.mark.parametrize(("user", "path"), PEOPLE)
@pytest.mark.parametrize("key", ["", KEY])
def test_a_removed_user_is_new_also_after_a_restart(
    serve: Any, logs: Any, tmp_path: Path, user: str, path: str, key: str
) -> None:
    theirs = of_a_person(user, "198.51.100.7", 40)
    alone = [log | {"ip_address": None} for log in theirs]
    with serve(pseudonym_key=key) as client:
        client.post("/train", json={"logs": recent_logs(logs, 200)})
        found = client.post(
            "/detect",
            json={"logs": theirs, "threshold": 0.0},
            headers={"Idempotency-Key": "k"},
        ).json()["anomalies"]
        item = {"anomaly_id": found[0]["anomaly_id"], "verdict": "false_positive"}
        assert client.post("/feedback", json={"items": [item]}).status_code == 200
        assert history_of(client, alone) == 1.0
        answer = client.delete(path)
        assert answer.status_code == 200
        removed = answer.json()
        assert "training" in removed.pop("note")
        assert removed == {
            "memory_records": 1,
            "verdicts": 1,
            "anomalies": 40,
            "responses": 1,
            "history_logs": 40,
        }
        assert history_of(client, alone) == 0.0
    with serve(pseudonym_key=key) as client:
        assert history_of(client, alone) == 0.0
        assert client.get("/status").json()["feedback"]["active"]["false_positive"] == 0
        again = client.delete(path).json()
        assert {name: again[name] for name in removed} == dict.fromkeys(removed, 0)
        # What others did is still known: the address itself, and the users of the training.
        assert history_of(client, theirs) == 1.0
        assert history_of(client, recent_logs(logs, 200)) == 1.0
    kept = kept_bytes(tmp_path / "models")
    assert user.encode() not in kept and b"198.51.100.7" not in kept


def test_a_removed_user_is_new_after_a_kill(logs: Any, tmp_path: Path) -> None:
    alone = [log | {"ip_address": None} for log in of_a_person("alice", "198.51.100.7", 40)]
    others = recent_logs(logs, 60)
    with process(tmp_path) as client:
        client.post("/train", json={"logs": recent_logs(logs, 200)})
        client.post("/detect", json={"logs": alone})
        answer = client.delete("/subjects/alice")
        assert answer.status_code == 200, answer.text
        assert answer.json()["history_logs"] == 40
        client.post("/detect", json={"logs": [log | {"user_id": "late"} for log in others]})
    with process(tmp_path) as client:
        assert history_of(client, alone) == 0.0
        late = [log | {"user_id": "late", "ip_address": None} for log in others]
        assert history_of(client, late) == 1.0  # from the journal


def test_with_a_key_no_answer_and_no_file_names_a_person(
    serve: Any, logs: Any, tmp_path: Path
) -> None:
    pseudonyms = Pseudonyms(KEY.encode())
    theirs = of_a_person("alice.the.person", "198.51.100.7", 30)
    with serve(pseudonym_key=KEY) as client:
        client.post("/train", json={"logs": recent_logs(logs, 200)})
        body = {"logs": theirs, "threshold": 0.0, "include_rules": True}
        answer = client.post("/detect", json=body, headers={"Idempotency-Key": "k"})
        (who,) = {(a["user_id"], a["ip_address"]) for a in answer.json()["anomalies"]}
        assert who == (pseudonyms.user("alice.the.person"), pseudonyms.address("198.51.100.7"))
        line = '198.51.100.7 - alice.the.person [01/Jan/2026:00:00:00 +0000] "GET / HTTP/1.1" 200 5'
        ingested = client.post("/ingest", content=line + ' "-" "agent"')
        assert ingested.status_code == 200 and ingested.json()["accepted"] == 1
        item = {"log": theirs[0], "verdict": "true_positive"}
        client.post("/feedback", json={"items": [item]})
        named_by_token = client.delete(f"/subjects/{who[0]}").json()
        assert named_by_token["memory_records"] == 1
        assert named_by_token["history_logs"] >= 30  # an old log may have expired
        assert client.delete("/subjects/198.51.100.7").json()["memory_records"] == 1
    kept = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"alice.the.person" not in kept and b"198.51.100.7" not in kept


def test_only_an_admin_removes_and_the_audit_names_nobody(
    serve: Any, logs: Any, tmp_path: Path
) -> None:
    with serve() as client:
        assert client.delete("/subjects/alice.the.person").status_code == 200
        client.headers["Authorization"] = "Bearer wrong"
        assert client.delete("/subjects/alice.the.person").status_code == 401
    journal = (tmp_path / "logs" / "journal.log").read_text()
    audits = [line for line in journal.splitlines() if "/subjects/{subject}" in line]
    assert len(audits) == 2
    assert "alice.the.person" not in journal
