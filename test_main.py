"""The HTTP promise, as a client sees it: black box, over a real server on loopback.

Run it with ``python -m pytest test_main.py -v --cov=main --cov-report=html``.
"""

import gzip
import importlib
import json
import math
import os
import random
import re
import runpy
import shutil
import signal
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

Log = dict[str, Any]
TOKENS = ("first-token-of-the-tests", "second-token-of-the-tests")
START = 1_700_000_000.0
AFTER = START + 4_000.0  # the training ends before
FIELDS = (
    "log_index",
    "timestamp",
    "user_id",
    "endpoint",
    "method",
    "status_code",
    "response_time",
) + ("ip_address", "anomaly_score", "severity", "risk", "reasons", "anomaly_id")


def ordinary(count: int, start: float = START, seed: int = 1) -> list[Log]:
    """`count` logs of ten calm users, in time order from `start`."""
    chance = random.Random(seed)
    logs = []
    for number in range(count):
        user = chance.randrange(10)
        moment = datetime.fromtimestamp(start + 7 * number + chance.random(), UTC)
        logs.append(
            {
                "timestamp": moment.isoformat(),
                "user_id": f"user-{user}",
                "endpoint": f"/api/orders/{chance.randrange(30)}",
                "method": chance.choice(["GET", "GET", "GET", "POST"]),
                "status_code": chance.choice([200, 200, 200, 200, 201, 404]),
                "response_time": round(chance.lognormvariate(-2.0, 0.4), 4),
                "ip_address": f"192.0.2.{user + 1}",
                "user_agent": "client/1.0",
                "request_size": 120,
                "response_size": chance.randrange(900, 2_000),
            }
        )
    return logs


def attack(count: int, start: float = AFTER) -> list[Log]:
    """`count` hasty logs of a stranger who guesses paths, five a second."""
    return [
        {
            "timestamp": start + number / 5,
            "user_id": "stranger",
            "endpoint": f"/backup-{number}/../%2e%2e/config.{'x' * 60}?id={number}",
            "method": "PUT",
            "status_code": 403,
            "response_time": 9.5,
            "ip_address": "2001:db8::bad",
            "user_agent": f"scanner/{number}",
            "request_size": 90_000,
            "response_size": 5_000_000,
        }
        for number in range(count)
    ]


@contextmanager
def running(app: Any, **headers: str) -> Iterator[httpx.Client]:
    """A client of `app`, which runs under uvicorn on a free port of the loopback interface."""

    class Announced(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            try:
                await super().startup(sockets)
            finally:
                tried.set()

    tried = threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))
    # A connection of a slow test must not be closed just when it is used again.
    config = uvicorn.Config(app, access_log=False, log_config=None, timeout_keep_alive=300)
    server = Announced(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        assert tried.wait(300) and server.started, "the server did not start"
        url = "http://127.0.0.1:%d" % listener.getsockname()[1]
        authorization = {"Authorization": f"Bearer {TOKENS[0]}"}
        with httpx.Client(base_url=url, headers=authorization | headers, timeout=300) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def environment(folder: Path, **variables: str) -> Iterator[None]:
    """The environment variables of a service with its files in `folder`."""
    usual = {
        "AUTH_TOKEN": ", ".join(TOKENS),
        "MODEL_PATH": str(folder / "models" / "isolation_forest.pkl"),
        "SCALER_PATH": str(folder / "models" / "scaler.pkl"),
        "LOG_FILE": str(folder / "logs" / "journal.log"),
        "MEMORY_ENTITIES": "2000",
        "FOREST_TREES": "25",
        "ALERT_BUDGET": "0.01",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (usual | variables).items():
            patch.setenv(name, value)
        yield


def main_app(folder: Path, **variables: str) -> Any:
    """`main.app`, imported anew in that environment."""
    with environment(folder, **variables):
        sys.modules.pop("main", None)
        return importlib.import_module("main").app


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a model was trained on 500 ordinary logs. It is only copied from."""
    folder = tmp_path_factory.mktemp("trained")
    with running(main_app(folder)) as client:
        answer = client.post("/train", json={"logs": ordinary(500)})
        assert answer.status_code == 200, answer.text
    return folder


Fresh = Callable[..., Any]


@pytest.fixture()
def fresh(trained: Path, tmp_path: Path) -> Fresh:
    """Serves a copy of the trained model, as often as one likes."""
    copies = iter(range(1_000_000))

    @contextmanager
    def served(**variables: str) -> Iterator[httpx.Client]:
        folder = tmp_path / str(next(copies))
        shutil.copytree(trained, folder, symlinks=True)
        with running(main_app(folder, **variables)) as client:
            yield client

    return served


@pytest.fixture(scope="module")
def client(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service with a model, shared by the tests that do not mind what it remembers."""
    folder = tmp_path_factory.mktemp("shared") / "service"
    shutil.copytree(trained, folder, symlinks=True)
    with running(main_app(folder)) as client:
        yield client


@pytest.fixture()
def empty(tmp_path: Path) -> Iterator[httpx.Client]:
    """A service without a model."""
    with running(main_app(tmp_path / "empty")) as client:
        yield client


def scores(client: httpx.Client, logs: list[Log], **options: Any) -> list[float]:
    """The scores of a batch."""
    answer = client.post("/detect", json={"logs": logs, "include_scores": True} | options)
    assert answer.status_code == 200, answer.text
    found: list[float] = answer.json()["scores"]
    return found


def assert_refused(answer: httpx.Response, status: int, code: str) -> None:
    """The one shape of every error."""
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/json"
    detail = answer.json()["detail"]
    assert isinstance(detail, list if status == 422 else str) and detail


# --- who may call -------------------------------------------------------------------------------


def test_health_and_metrics_need_no_token(client: httpx.Client) -> None:
    for path in ("/health", "/metrics"):
        assert httpx.get(str(client.base_url) + path).status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/train"),
        ("POST", "/detect"),
        ("POST", "/feedback"),
        ("GET", "/status"),
        ("POST", "/load-model"),
    ],
)
@pytest.mark.parametrize("header", [None, "Bearer wrong", "Basic Zmlyc3Q6eA==", "Bearer", ""])
def test_every_other_endpoint_refuses_a_missing_or_wrong_token(
    client: httpx.Client, method: str, path: str, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    answer = httpx.request(method, str(client.base_url) + path, headers=headers)
    assert_refused(answer, 401, "unauthorized")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("token", TOKENS)
def test_several_tokens_are_valid_at_once(client: httpx.Client, token: str) -> None:
    answer = client.get("/status", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 200


# --- the open endpoints -------------------------------------------------------------------------


def test_health_says_healthy_and_whether_a_model_is_loaded(
    client: httpx.Client, empty: httpx.Client
) -> None:
    told = client.get("/health").json()
    assert told.keys() == {"status", "timestamp", "version", "model_loaded"}
    assert (told["status"], told["model_loaded"]) == ("healthy", True)
    assert datetime.fromisoformat(told["timestamp"]).tzinfo is not None
    assert empty.get("/health").json()["model_loaded"] is False


def test_metrics_count_requests_durations_and_anomalies(fresh: Fresh) -> None:
    with fresh() as client:
        found = client.post("/detect", json={"logs": attack(20)}).json()["anomaly_count"]
        client.post("/detect", content=b"{")
        answer = client.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    text = answer.text
    assert 'api_requests_total{endpoint="/detect",method="POST",status="200"} 1.0' in text
    assert 'api_requests_total{endpoint="/detect",method="POST",status="422"} 1.0' in text
    assert 'api_request_duration_seconds_count{endpoint="/detect",method="POST"} 2.0' in text
    counted = re.findall(r'anomalies_detected_total\{severity="(\w+)"\} ([\d.]+)', text)
    assert {name for name, _ in counted} == {"low", "medium", "high", "critical"}
    assert sum(float(count) for _, count in counted) == found > 0
    assert 'rejected_requests_total{code="validation_error"} 1.0' in text
    assert "logs_scored_total 20.0" in text
    assert "model_loaded 1.0" in text


# --- training -----------------------------------------------------------------------------------


def test_train_answers_with_what_it_measured(empty: httpx.Client) -> None:
    answer = empty.post("/train", json={"logs": ordinary(300), "test_size": 0.3})
    told = answer.json()
    assert answer.status_code == 200
    assert (told["status"], told["training_samples"]) == ("success", 300)
    assert told["model_accuracy"] == pytest.approx(1 - told["test_anomalies"] / 90)
    assert told["held_out_precision"] is told["held_out_recall"] is None
    assert -1 <= told["threshold"] < 0
    assert told["train_anomalies"] >= 0 and told["feature_count"] > 0
    assert told["duration_seconds"] > 0 and told["message"] and told["model_version"]
    assert datetime.fromisoformat(told["timestamp"]).utcoffset().total_seconds() == 0


def test_with_labels_accuracy_precision_and_recall_are_measured(empty: httpx.Client) -> None:
    calm = [log | {"label": 0} for log in ordinary(400)]
    wild = [log | {"label": 1} for log in attack(20, START + 7 * 395)]
    told = empty.post("/train", json={"logs": wild + calm}).json()
    assert 0 <= told["model_accuracy"] <= 1
    flagged = told["test_anomalies"]
    assert told["held_out_recall"] is not None
    assert (told["held_out_precision"] is None) == (flagged == 0)
    hits = told["held_out_recall"] * 20
    assert hits == pytest.approx(round(hits))
    missed, false_alarms = 20 - hits, flagged - hits
    assert told["model_accuracy"] == pytest.approx(1 - (missed + false_alarms) / 84)


def test_neither_labels_nor_the_order_of_a_history_change_the_model(
    fresh: Fresh, empty: httpx.Client
) -> None:
    batch = ordinary(20, AFTER) + attack(5, AFTER + 140)
    history = [log | {"label": number % 2} for number, log in enumerate(ordinary(500))]
    random.Random(3).shuffle(history)
    assert empty.post("/train", json={"logs": history}).status_code == 200
    with fresh() as in_order_and_unlabelled:
        assert scores(empty, batch) == scores(in_order_and_unlabelled, batch)


@pytest.mark.parametrize("count", [0, 1, 9])
def test_too_few_logs_say_how_many_are_needed(client: httpx.Client, count: int) -> None:
    answer = client.post("/train", json={"logs": ordinary(count)})
    assert_refused(answer, 422, "too_few_logs")
    assert "10" in answer.json()["detail"][0]["msg"]
    assert answer.json()["detail"][0]["loc"] == ["body", "logs"]


def test_ten_logs_are_enough(empty: httpx.Client) -> None:
    assert empty.post("/train", json={"logs": ordinary(10)}).status_code == 200


@pytest.mark.parametrize("test_size", [0, 1, -0.5, 2, "0.2", True])
def test_test_size_is_a_share_between_zero_and_one(client: httpx.Client, test_size: Any) -> None:
    answer = client.post("/train", json={"logs": ordinary(20), "test_size": test_size})
    assert_refused(answer, 422, "validation_error")


def test_a_failed_training_leaves_the_served_model(fresh: Fresh) -> None:
    with fresh() as client:
        before = client.get("/status").json()
        client.post("/train", json={"logs": ordinary(5)})
        after = client.get("/status").json()
    assert after["model_version"] == before["model_version"]
    assert after["last_training"]["outcome"] == "failed"
    assert after["last_training"]["error"] == "too_few_logs"


def test_a_second_training_is_refused_while_one_runs_and_health_answers(fresh: Fresh) -> None:
    body = json.dumps({"logs": ordinary(5_000)}).encode()
    with fresh() as client, ThreadPoolExecutor(1) as thread:
        first = thread.submit(client.post, "/train", content=body)
        while not client.get("/status").json()["training_running"]:
            assert not first.done()
        second = client.post("/train", json={"logs": ordinary(20)})
        health = client.get("/health")
        scored = client.post("/detect", json={"logs": ordinary(3, AFTER)})
        assert not first.done(), "the training was too short for this test"
        assert_refused(second, 409, "training_in_progress")
        assert int(second.headers["retry-after"]) > 0
        assert health.status_code == scored.status_code == 200
        assert first.result().json()["training_samples"] == 5_000
        assert client.get("/status").json()["training_running"] is False


# --- detection ----------------------------------------------------------------------------------


def test_without_a_model_detection_says_so(empty: httpx.Client) -> None:
    for batch in ([], ordinary(2)):
        answer = empty.post("/detect", json={"logs": batch})
        assert_refused(answer, 400, "model_not_trained")
        assert answer.json()["detail"].startswith("Model not trained.")
    assert_refused(empty.post("/detect", json={}), 422, "validation_error")


def test_an_empty_batch_is_answered_with_zeros(client: httpx.Client) -> None:
    answer = client.post("/detect", json={"logs": [], "include_scores": True})
    told = answer.json()
    assert answer.status_code == 200
    assert (told["anomalies"], told["scores"]) == ([], [])
    assert (told["total_logs"], told["anomaly_count"], told["anomaly_rate"]) == (0, 0, 0)


def test_an_attack_is_found_and_described(fresh: Fresh) -> None:
    logs = ordinary(20, AFTER) + attack(20, AFTER + 140)
    with fresh() as client:
        told = client.post("/detect", json={"logs": logs, "include_scores": True}).json()
        status = client.get("/status").json()
    assert told["total_logs"] == 40
    assert told["anomaly_count"] == len(told["anomalies"]) >= 10
    assert told["anomaly_rate"] == pytest.approx(told["anomaly_count"] / 40)
    assert 0 <= told["model_confidence"] <= 1
    assert (told["model_version"], told["threshold"]) == (
        status["model_version"],
        status["threshold"],
    )
    for found in told["anomalies"]:
        log = logs[found["log_index"]]
        assert tuple(found) == FIELDS
        for field in ("user_id", "endpoint", "method", "status_code", "response_time"):
            assert found[field] == log[field]
        assert found["ip_address"] == log["ip_address"]
        assert datetime.fromisoformat(found["timestamp"]).utcoffset().total_seconds() == 0
        assert found["anomaly_score"] == told["scores"][found["log_index"]] < told["threshold"]
        assert 0 <= found["risk"] <= 100
        assert found["severity"] in ("low", "medium", "high", "critical")
        assert found["reasons"]
        assert all({"feature", "value", "usual", "text"} <= set(why) for why in found["reasons"])
        assert all("; usually " in why["text"] for why in found["reasons"])
    assert [found["log_index"] for found in told["anomalies"]] == sorted(
        index for index, score in enumerate(told["scores"]) if score < told["threshold"]
    )


def test_scores_come_only_when_asked_in_the_order_sent_on_the_promised_scale(
    fresh: Fresh,
) -> None:
    logs = attack(5) + ordinary(10, AFTER)
    with fresh() as client:
        assert "scores" not in client.post("/detect", json={"logs": []}).json()
        found = scores(client, logs, update_state=False)
        alone = [scores(client, [log], update_state=False)[0] for log in logs[:1] + logs[5:6]]
    assert len(found) == 15
    assert all(-1 <= score < 0 for score in found)
    assert found[0] == alone[0]
    assert max(found[:5]) < min(found[5:])


def test_static_rules_give_a_second_opinion_when_asked(fresh: Fresh) -> None:
    logs = attack(8) + ordinary(10, AFTER)
    with fresh() as client:
        without = client.post("/detect", json={"logs": logs, "update_state": False}).json()
        body = {"logs": logs, "include_rules": True}
        told = client.post("/detect", json=body).json()
        again = client.post("/detect", json={"logs": [], "include_rules": True}).json()
    assert not {"rules", "rule_counts", "rule_agreement"} & set(without)
    assert told["anomalies"] == without["anomalies"]
    assert all(0 <= fired["log_index"] < 18 and fired["rules"] for fired in told["rules"])
    alerted = {fired["log_index"] for fired in told["rules"]}
    flagged = {found["log_index"] for found in told["anomalies"]}
    assert told["rule_agreement"] == {
        "both": len(alerted & flagged),
        "rules_only": len(alerted - flagged),
        "model_only": len(flagged - alerted),
    }
    assert sum(told["rule_counts"].values()) == sum(len(one["rules"]) for one in told["rules"])
    assert again["rules"] == [] and again["rule_agreement"]["both"] == 0


@pytest.mark.parametrize("threshold", [-1, -0.9, -0.5, -0.1, 0])
def test_a_threshold_of_ones_own_replaces_the_models(
    client: httpx.Client, threshold: float
) -> None:
    body = {"logs": ordinary(30, AFTER), "include_scores": True, "update_state": False}
    told = client.post("/detect", json=body | {"threshold": threshold}).json()
    assert told["threshold"] == threshold
    flagged = [found["log_index"] for found in told["anomalies"]]
    assert flagged == [i for i, score in enumerate(told["scores"]) if score < threshold]


@pytest.mark.parametrize("threshold", ["-0.5", 0.01, -1.01, True, [], math.nan, math.inf])
def test_an_odd_threshold_is_refused(client: httpx.Client, threshold: Any) -> None:
    body = json.dumps({"logs": [], "threshold": threshold})
    answer = client.post("/detect", content=body)
    assert_refused(answer, 422, "validation_error")
    assert answer.json()["detail"][0]["loc"] == ["body", "threshold"]


def test_without_update_state_nothing_is_remembered_and_the_scores_are_the_same(
    fresh: Fresh,
) -> None:
    logs = attack(12)
    with fresh() as client:
        before = client.get("/status").json()["memory"]["entities"]
        first = scores(client, logs, update_state=False)
        again = scores(client, logs, update_state=False)
        assert client.get("/status").json()["memory"]["entities"] == before
        remembered = scores(client, logs)
        later = scores(client, logs)
    assert first == again == remembered
    assert later != first


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.sets(st.integers(1, 39)), data=st.data())
def test_one_call_with_n_logs_is_any_chopping_into_calls(
    fresh: Fresh, cuts: set[int], data: st.DataObject
) -> None:
    mixed = ordinary(28, AFTER) + attack(12, AFTER + 60)
    logs = data.draw(st.permutations(mixed))
    with fresh() as client:
        whole = scores(client, logs)
    with fresh(INLINE_LOGS="5") as client:
        edges = [0, *sorted(cuts), 40]
        parts = [logs[first:last] for first, last in zip(edges, edges[1:], strict=False)]
        chopped = [score for part in parts for score in scores(client, part)]
    assert chopped == whole


def test_one_call_with_n_logs_is_n_calls_with_one(fresh: Fresh) -> None:
    logs = ordinary(40, AFTER) + attack(10, AFTER + 100)
    with fresh() as client:
        whole = scores(client, logs)
    with fresh() as client:
        single = [score for log in logs for score in scores(client, [log])]
    assert single == whole


def test_save_load_and_restart_change_no_score(trained: Path, tmp_path: Path) -> None:
    batch = ordinary(20, AFTER) + attack(10, AFTER + 140)
    shutil.copytree(trained, tmp_path / "service", symlinks=True)
    found = []
    for _ in range(2):
        with running(main_app(tmp_path / "service")) as client:
            found.append(scores(client, batch, update_state=False))
            assert client.post("/load-model").status_code == 200
            found.append(scores(client, batch, update_state=False))
    assert found[0] == found[1] == found[2] == found[3]


# --- idempotency --------------------------------------------------------------------------------


def test_a_retry_with_the_same_key_gets_the_same_answer_and_is_remembered_once(
    fresh: Fresh,
) -> None:
    body = {"logs": attack(6), "include_scores": True}
    with fresh() as client:
        first = client.post("/detect", json=body, headers={"Idempotency-Key": "a"})
        again = client.post("/detect", json=body, headers={"Idempotency-Key": "a"})
        other = client.post("/detect", json=body, headers={"Idempotency-Key": "b"})
        counted = client.get("/metrics").text
    assert first.content == again.content
    assert again.headers["idempotency-replayed"] == "true"
    assert "idempotency-replayed" not in first.headers
    assert other.json()["scores"] != first.json()["scores"]
    assert "logs_scored_total 12.0" in counted


def test_retries_at_the_same_time_are_scored_once(fresh: Fresh) -> None:
    body = json.dumps({"logs": ordinary(3_000, AFTER), "include_scores": True}).encode()
    with fresh() as client, ThreadPoolExecutor(4) as threads:
        headers = {"Idempotency-Key": "at-once"}
        asked = [
            threads.submit(client.post, "/detect", content=body, headers=headers) for _ in range(4)
        ]
        answers = {asking.result().content for asking in asked}
        counted = client.get("/metrics").text
    assert len(answers) == 1
    assert "logs_scored_total 3000.0" in counted


def test_a_key_that_came_with_another_body_is_refused(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": "one-body-only"}
    client.post("/detect", json={"logs": ordinary(1, AFTER)}, headers=headers)
    answer = client.post("/detect", json={"logs": ordinary(2, AFTER)}, headers=headers)
    assert_refused(answer, 422, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_an_odd_key_is_refused(client: httpx.Client, key: str) -> None:
    answer = client.post("/detect", json={"logs": []}, headers={"Idempotency-Key": key})
    assert_refused(answer, 422, "validation_error")


# --- status and load-model ----------------------------------------------------------------------


def test_status_without_a_model_is_null(empty: httpx.Client) -> None:
    told = empty.get("/status").json()
    assert (told["is_trained"], told["feature_count"]) == (False, 0)
    for field in ("training_date", "model_accuracy", "model_version", "threshold"):
        assert told[field] is None


def test_status_tells_of_the_model_and_the_memory(client: httpx.Client) -> None:
    told = client.get("/status").json()
    assert (told["is_trained"], told["training_samples"]) == (True, 500)
    assert 0 <= told["model_accuracy"] <= 1
    assert told["feature_count"] > 0 and -1 <= told["threshold"] < 0
    assert told["alert_budget"] == 0.01
    assert datetime.fromisoformat(told["training_date"]).tzinfo is not None
    assert told["memory"]["entities"]["actors"] > 0 and told["memory"]["capacity"] == 2000
    assert told["model_version"] in told["versions"]


def test_load_model_without_one_is_not_found(empty: httpx.Client) -> None:
    assert_refused(empty.post("/load-model"), 404, "model_not_found")


def test_a_tampered_model_is_refused_and_the_served_one_stays(
    trained: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "service"
    shutil.copytree(trained, folder, symlinks=True)
    with running(main_app(folder)) as client:
        before = scores(client, ordinary(5, AFTER), update_state=False)
        peer_baseline = (folder / "models" / "scaler.pkl").resolve()
        peer_baseline.write_bytes(peer_baseline.read_bytes() + b"\0")
        assert_refused(client.post("/load-model"), 409, "model_not_trusted")
        assert client.get("/status").json()["is_trained"] is True
        assert scores(client, ordinary(5, AFTER), update_state=False) == before


def test_load_model_keeps_the_live_memory(fresh: Fresh) -> None:
    with fresh() as client:
        scores(client, attack(10))
        before = client.get("/status").json()
        answer = client.post("/load-model").json()
        after = client.get("/status").json()
    assert answer["status"] == "success" and answer["message"]
    assert answer["model_version"] == before["model_version"]
    assert after["memory"]["entities"] == before["memory"]["entities"]


# --- feedback -----------------------------------------------------------------------------------


def hasty(user: str, start: float, count: int = 30) -> list[Log]:
    """What an `attack` does, as another user from an address of its own."""
    return [
        log | {"user_id": user, "ip_address": f"203.0.113.{len(user)}"}
        for log in attack(count, start)
    ]


def judge(client: httpx.Client, verdict: str, *ids: str, **more: Any) -> dict[str, Any]:
    """The answer to one verdict on some anomalies."""
    items = [{"anomaly_id": name, "verdict": verdict} for name in ids]
    answer = client.post("/feedback", json={"items": items} | more)
    assert answer.status_code == 200, answer.text
    told: dict[str, Any] = answer.json()
    return told


def found_in(client: httpx.Client, logs: list[Log]) -> list[dict[str, Any]]:
    """The anomalies of a batch."""
    anomalies: list[dict[str, Any]] = client.post("/detect", json={"logs": logs}).json()[
        "anomalies"
    ]
    return anomalies


def test_a_false_positive_stops_the_pattern_of_that_user_at_once(fresh: Fresh) -> None:
    with fresh() as judged, fresh() as left_alone:
        for client in (judged, left_alone):
            found = found_in(client, attack(30))
            assert len(found) >= 15
            if client is judged:
                told = judge(client, "false_positive", found[-1]["anomaly_id"])
        again = attack(4, AFTER + 6)
        quiet, loud = found_in(judged, again), found_in(left_alone, again)
        status = judged.get("/status").json()["feedback"]
        text = judged.get("/metrics").text
    assert len(loud) == 4 and not quiet
    (item,) = told["items"]
    assert item["anomaly_id"] == found[-1]["anomaly_id"] and item["was"] is None
    assert item["score_before"] == pytest.approx(found[-1]["anomaly_score"])
    assert (item["anomaly_before"], item["anomaly"]) == (True, False)
    assert told["counted"] == {"new": 1, "changed": 0, "repeated": 0}
    assert told["active"] == {"false_positive": 1, "true_positive": 0}
    assert told["message"] and told["status"] == "success"
    for moment in (told["effective_from"], told["expires"]):
        assert datetime.fromisoformat(moment).utcoffset().total_seconds() == 0
    assert status["active"] == {"false_positive": 1, "true_positive": 0}
    assert (status["quieted"], status["raised"], status["users"]) == (4, 0, 1)
    assert status["last_change"] == told["effective_from"]
    assert 'feedback_total{verdict="false_positive"} 1.0' in text
    assert 'feedback_active{verdict="false_positive"} 1.0' in text
    assert 'feedback_moved_logs_total{direction="quieted"} 4.0' in text


def test_a_false_positive_about_one_user_leaves_the_same_attack_of_another_found(
    fresh: Fresh,
) -> None:
    with fresh() as client:
        found = found_in(client, attack(30))
        judge(client, "false_positive", *(each["anomaly_id"] for each in found))
        other = found_in(client, hasty("another", AFTER + 10))
    assert len(other) >= 10


def test_a_missed_log_that_is_judged_an_attack_is_found_from_then_on(fresh: Fresh) -> None:
    *before, missed = ordinary(60, AFTER)
    with fresh() as client:
        found_in(client, before)
        assert not client.post("/detect", json={"logs": [missed], "update_state": False}).json()[
            "anomalies"
        ]
        body = {"items": [{"log": missed, "verdict": "true_positive"}]}
        told = client.post("/feedback", json=body).json()
        (found,) = found_in(client, [missed])
        status = client.get("/status").json()["feedback"]
    (item,) = told["items"]
    assert (item["anomaly_before"], item["anomaly"]) == (False, True)
    assert item["anomaly_score"] == found["anomaly_score"] < item["score_before"]
    assert found["anomaly_id"] == item["anomaly_id"], "the same log from the same past"
    assert status["active"]["true_positive"] == status["raised"] == 1


def test_scoring_a_log_for_a_verdict_remembers_nothing(fresh: Fresh) -> None:
    batch = ordinary(10, AFTER)
    with fresh() as judged, fresh() as left_alone:
        body = {"items": [{"log": log, "verdict": "true_positive"} for log in attack(5)]}
        assert judged.post("/feedback", json=body).status_code == 200
        counts = [c.get("/status").json()["memory"]["entities"] for c in (judged, left_alone)]
        assert scores(judged, batch) == scores(left_alone, batch)
    assert counts[0] == counts[1]


def test_a_verdict_can_be_changed_and_said_twice(fresh: Fresh) -> None:
    with fresh() as client:
        name = found_in(client, attack(30))[-1]["anomaly_id"]
        judge(client, "false_positive", name)
        again = judge(client, "false_positive", name)
        changed = judge(client, "true_positive", name)
        found = found_in(client, attack(5, AFTER + 6))
        status = client.get("/status").json()["feedback"]
    assert again["counted"] == {"new": 0, "changed": 0, "repeated": 1}
    assert changed["counted"] == {"new": 0, "changed": 1, "repeated": 0}
    assert changed["items"][0]["was"] == "false_positive"
    assert changed["active"] == status["active"] == {"false_positive": 0, "true_positive": 1}
    assert status["replaced"] == 2 and len(found) == 5


def test_verdicts_outlive_a_restart_a_training_and_a_loading(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "service"
    shutil.copytree(trained, folder, symlinks=True)
    with running(main_app(folder)) as client:
        judge(client, "false_positive", found_in(client, attack(30))[-1]["anomaly_id"])
    with running(main_app(folder)) as client:
        assert client.get("/status").json()["feedback"]["active"]["false_positive"] == 1
        assert not found_in(client, attack(1, AFTER + 6))
        assert client.post("/load-model").status_code == 200
        assert not found_in(client, attack(1, AFTER + 6.2))
        assert client.post("/train", json={"logs": ordinary(500)}).status_code == 200
        assert not found_in(client, attack(1, AFTER + 6.4))


def test_the_next_training_learns_from_the_verdicts_and_says_from_how_many(fresh: Fresh) -> None:
    with fresh() as client:
        judge(client, "true_positive", found_in(client, attack(30))[-1]["anomaly_id"])
        assert client.get("/status").json()["feedback"]["trained_on"] == 0
        assert client.post("/train", json={"logs": ordinary(500)}).status_code == 200
        assert client.get("/status").json()["feedback"]["trained_on"] == 1
        assert client.post("/load-model").status_code == 200
        assert client.get("/status").json()["feedback"]["trained_on"] == 1


def test_an_anomaly_can_be_judged_after_a_restart(trained: Path, tmp_path: Path) -> None:
    folder = tmp_path / "service"
    shutil.copytree(trained, folder, symlinks=True)
    with running(main_app(folder)) as client:
        name = found_in(client, attack(30))[-1]["anomaly_id"]
    with running(main_app(folder)) as client:
        told = judge(client, "false_positive", name)
        assert told["counted"]["new"] == 1 and not found_in(client, attack(1, AFTER + 6))


def test_an_unknown_anomaly_is_named_and_nothing_is_taken(fresh: Fresh) -> None:
    with fresh(FEEDBACK_ANOMALIES="10") as client:
        found = [each["anomaly_id"] for each in found_in(client, attack(30))]
        items = [
            {"anomaly_id": name, "verdict": "false_positive"} for name in (found[-1], found[0])
        ]
        answer = client.post("/feedback", json={"items": [*items, items[1]]})
        assert_refused(answer, 422, "anomaly_unknown")
        assert [each["loc"] for each in answer.json()["detail"]] == [
            ["body", "items", place, "anomaly_id"] for place in (1, 2)
        ]
        status = client.get("/status").json()["feedback"]
    assert status["active"] == {"false_positive": 0, "true_positive": 0}
    assert status["anomalies_remembered"] == 10 and status["last_change"] is None


def test_the_items_of_a_body_are_judged_like_those_of_others(fresh: Fresh) -> None:
    log = ordinary(1, AFTER)[0]
    bad: list[tuple[dict[str, Any], list[Any]]] = [
        ({"verdict": "false_positive"}, []),
        ({"verdict": "true_positive", "log": log, "anomaly_id": "x"}, []),
        ({"verdict": "maybe", "log": log}, ["verdict"]),
        ({"log": log}, ["verdict"]),
        ({"verdict": "true_positive", "log": log | {"status_code": 1}}, ["log", "status_code"]),
        ({"verdict": "true_positive", "anomaly_id": 7}, ["anomaly_id"]),
    ]
    with fresh(MAX_FEEDBACK_ITEMS="6") as client:
        answer = client.post("/feedback", json={"items": [item for item, _ in bad]})
        assert_refused(answer, 422, "validation_error")
        assert [each["loc"] for each in answer.json()["detail"]] == [
            ["body", "items", place, *where] for place, (_, where) in enumerate(bad)
        ]
        many = [{"verdict": "true_positive", "log": log}] * 7
        assert_refused(client.post("/feedback", json={"items": many}), 413, "batch_too_large")
        none = client.post("/feedback", json={"items": []}).json()
    assert none["items"] == [] and none["counted"] == {"new": 0, "changed": 0, "repeated": 0}


def test_another_models_version_is_taken_and_said(fresh: Fresh) -> None:
    with fresh() as client:
        name = found_in(client, attack(30))[-1]["anomaly_id"]
        told = judge(client, "false_positive", name, model_version="another")
        same = judge(client, "false_positive", name, model_version=told["model_version"])
        served = client.get("/status").json()["model_version"]
    assert told["model_version"] == same["judged_model_version"] == served
    assert told["judged_model_version"] == "another"
    assert "another model" in told["message"] and "another model" not in same["message"]


def test_without_a_model_a_verdict_says_so(empty: httpx.Client) -> None:
    body = {"items": [{"log": ordinary(1)[0], "verdict": "true_positive"}]}
    assert_refused(empty.post("/feedback", json=body), 400, "model_not_trained")


def test_a_retried_verdict_gets_the_first_answer(fresh: Fresh) -> None:
    with fresh() as client:
        body = {"logs": attack(30)}
        key = {"Idempotency-Key": "one"}
        first = client.post("/detect", json=body, headers=key).json()["anomalies"]
        retried = client.post("/detect", json=body, headers=key).json()["anomalies"]
        assert first == retried
        item = {"anomaly_id": first[-1]["anomaly_id"], "verdict": "false_positive"}
        answers = [client.post("/feedback", json={"items": [item]}, headers=key) for _ in range(2)]
        status = client.get("/status").json()["feedback"]
    assert answers[0].json() == answers[1].json()
    assert answers[1].headers["idempotency-replayed"] == "true"
    assert status["replaced"] == 0


# --- odd bodies ---------------------------------------------------------------------------------


def test_a_fault_names_the_log_and_the_field(client: httpx.Client) -> None:
    logs = ordinary(4)
    logs[1]["user_id"] = 17
    logs[3]["response_time"] = math.nan
    for path in ("/detect", "/train"):
        answer = client.post(path, content=json.dumps({"logs": logs}))
        assert_refused(answer, 422, "validation_error")
        assert [item["loc"] for item in answer.json()["detail"]] == [
            ["body", "logs", 1, "user_id"],
            ["body", "logs", 3, "response_time"],
        ]
        assert "NaN" not in answer.text


def test_the_faults_are_listed_up_to_a_hundred_and_the_rest_counted(client: httpx.Client) -> None:
    answer = client.post("/detect", json={"logs": [{}] * 1_000})
    assert_refused(answer, 422, "validation_error")
    assert (len(answer.json()["detail"]), answer.json()["more"]) == (100, 3_900)


def test_what_the_contract_allows_is_taken(client: httpx.Client) -> None:
    log = ordinary(1, AFTER)[0]
    allowed: list[Log] = [
        {"timestamp": AFTER},
        {"timestamp": "2023-11-15T00:00:00"},
        {"user_id": None},
        {"ip_address": None},
        {"ip_address": "2001:db8::1"},
        {"status_code": "404"},
        {"method": "get"},
        {"response_time": -1},
        {"response_time": None, "request_size": None, "response_size": -1},
        {"user_agent": None},
        {"user_agent": "x" * 100_000},
        {"label": 1},
        {"unknown": {"nested": [1, 2]}},
    ]
    body = {"logs": [log | fields for fields in allowed], "threshold": 0, "update_state": False}
    told = client.post("/detect", json=body).json()
    assert told["anomaly_count"] == len(allowed)
    assert told["anomalies"][6]["method"] == "GET"
    assert told["anomalies"][7]["response_time"] is None
    assert told["anomalies"][1]["timestamp"] == "2023-11-15T00:00:00+00:00"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_the_content_type_does_not_matter(client: httpx.Client, kind: str) -> None:
    answer = client.post("/detect", content=b'{"logs": []}', headers={"Content-Type": kind})
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b"null", b'"text"', b"NaN", b"\xff\xfe\x00", b'{"logs": "x"}'),
        *(b'{"logs": null}', b'{"logs": [null]}', b"[" * 100_000, b'{"logs": ["\\ud800"]}'),
        *(b"\xef\xbb\xbf{}", b'{"logs": [{"user_id": "\xff"}]}'),
    ],
)
@pytest.mark.parametrize("path", ["/detect", "/train", "/feedback"])
def test_a_body_of_another_shape_is_a_422(client: httpx.Client, path: str, body: bytes) -> None:
    assert_refused(client.post(path, content=body), 422, "validation_error")


odd_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
odd_logs = st.dictionaries(
    st.sampled_from([*ordinary(1)[0], "label", "odd"]), odd_values, max_size=4
).map(lambda odd: ordinary(1, AFTER)[0] | odd)
odd_items = st.fixed_dictionaries(
    {},
    optional={
        "log": odd_logs | odd_values,
        "anomaly_id": odd_values | st.sampled_from(["", "0" * 24, "\ud800", "x" * 65]),
        "verdict": odd_values | st.sampled_from(["false_positive", "true_positive", "maybe"]),
    },
)
odd_bodies = st.one_of(
    st.binary(max_size=100),
    st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
    odd_values.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"logs": st.lists(odd_logs | odd_values, max_size=4)},
        optional={
            name: odd_values
            for name in (
                *("threshold", "include_scores", "include_rules", "update_state", "test_size"),
            )
        },
    ).map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"items": st.lists(odd_items | odd_values, max_size=4)},
        optional={"model_version": odd_values},
    ).map(lambda value: json.dumps(value).encode()),
)
odd_headers = st.dictionaries(
    st.sampled_from(["Content-Encoding", "Content-Type", "Idempotency-Key", "X-Request-ID"]),
    st.sampled_from(["", "gzip", "br", "identity", "application/json", "x" * 300, "é"]),
).map(lambda odd: [(name, value.encode()) for name, value in odd.items()])


@settings(max_examples=150, deadline=None)
@given(
    path=st.sampled_from(["/detect", "/train", "/feedback"]), body=odd_bodies, headers=odd_headers
)
def test_no_body_and_no_header_is_ever_an_error_of_ours(
    client: httpx.Client, path: str, body: bytes, headers: list[tuple[str, bytes]]
) -> None:
    answer = client.post(path, content=body, headers=headers)
    if answer.status_code != 200:
        assert 400 <= answer.status_code < 500, answer.text
        assert answer.json()["code"] and answer.json()["detail"]


# --- limits -------------------------------------------------------------------------------------


def test_gzip_is_taken(client: httpx.Client) -> None:
    body = json.dumps({"logs": ordinary(50, AFTER), "update_state": False}).encode()
    plain = client.post("/detect", content=body)
    zipped = client.post(
        "/detect", content=gzip.compress(body), headers={"Content-Encoding": "gzip"}
    )
    assert zipped.status_code == 200
    assert zipped.json() == plain.json()


def test_what_is_not_gzip_or_another_encoding_is_refused(client: httpx.Client) -> None:
    for encoding, status, code in (
        ("gzip", 400, "broken_encoding"),
        ("br", 415, "unsupported_encoding"),
    ):
        answer = client.post("/detect", content=b"{}", headers={"Content-Encoding": encoding})
        assert_refused(answer, status, code)


def test_bytes_and_logs_above_the_limits_are_too_large(fresh: Fresh) -> None:
    limits = {"MAX_BODY_BYTES": "20000", "MAX_BATCH_LOGS": "10", "MAX_TRAINING_LOGS": "30"}
    with fresh(MAX_TRAINING_BODY_BYTES="40000", **limits) as client:
        assert_refused(client.post("/detect", content=b" " * 20_001), 413, "body_too_large")
        assert_refused(client.post("/train", content=b" " * 40_001), 413, "body_too_large")
        chunks = (b" " * 1_000 for _ in range(30))
        assert_refused(client.post("/detect", content=chunks), 413, "body_too_large")
        bomb = gzip.compress(b" " * 50_000_000)
        zipped = {"Content-Encoding": "gzip"}
        assert_refused(
            client.post("/train", content=bomb[:39_000], headers=zipped), 413, "body_too_large"
        )
        small_bomb = gzip.compress(b" " * 100_000)
        assert_refused(
            client.post("/detect", content=small_bomb, headers=zipped), 413, "body_too_large"
        )
        logs = ordinary(31)
        assert_refused(client.post("/detect", json={"logs": logs[:11]}), 413, "batch_too_large")
        assert_refused(client.post("/train", json={"logs": logs}), 413, "batch_too_large")
        assert client.post("/detect", json={"logs": logs[:10]}).status_code == 200
        assert client.post("/train", json={"logs": logs[:30]}).status_code == 200


def test_unknown_paths_and_methods_have_the_one_shape(client: httpx.Client) -> None:
    assert_refused(client.get("/nowhere"), 404, "not_found")
    assert_refused(client.post("/detect/"), 404, "not_found")
    answer = client.get("/detect")
    assert_refused(answer, 405, "method_not_allowed")
    assert answer.headers["allow"] == "POST"


def test_the_openapi_document_is_served(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    paths = {"/train", "/detect", "/feedback", "/status", "/health", "/metrics", "/load-model"}
    assert paths <= set(document["paths"])


def test_main_serves_until_it_is_told_to_stop(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    seen: list[int] = []

    def visit_and_stop() -> None:
        transport = httpx.HTTPTransport(retries=8)  # it waits longer each time, a minute in all
        try:
            with httpx.Client(transport=transport) as visitor:
                seen.append(visitor.get(f"http://127.0.0.1:{port}/health").status_code)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    with environment(tmp_path, HOST="127.0.0.1", PORT=str(port)):
        visitor = threading.Thread(target=visit_and_stop)
        visitor.start()
        runpy.run_path(str(Path(__file__).with_name("main.py")), run_name="__main__")
        visitor.join()
    assert seen == [200]


def test_a_setting_that_cannot_be_used_ends_main_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="PORT is 'http', but must be a whole number"):
        main_app(tmp_path, PORT="http")
