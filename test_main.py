"""The promises of the HTTP API, as a client sees them: over a real server on loopback.

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
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.server import calling
from tests.support.traffic import START, Log, ordinary_logs

Json = dict[str, Any]
Serve = Callable[..., AbstractContextManager[httpx.Client]]
TOKENS = ("first-token-of-the-tests", "second-token-of-the-tests")
AFTER = START + 4_000.0  # the history of the training ends before
SEVERITIES = {"low", "medium", "high", "critical"}
#: The fields of an anomaly, in the order of the response.
FIELDS = ["log_index", "timestamp", "user_id", "endpoint", "method", "status_code"]
FIELDS += ["response_time", "ip_address", "anomaly_score", "severity", "risk", "reasons"]
FIELDS += ["anomaly_id"]


# --- traffic and servers ------------------------------------------------------------------------


def ordinary(count: int, start: float = START) -> list[Log]:
    """`count` logs of calm users, in time order from `start`, with ISO 8601 timestamps."""
    return [
        log | {"timestamp": datetime.fromtimestamp(log["timestamp"], UTC).isoformat()}
        for log in ordinary_logs(count, start)
    ]


def attack(count: int, start: float = AFTER) -> list[Log]:
    """`count` logs of a stranger who tries paths, five a second."""
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
def environment(folder: Path, **variables: str) -> Iterator[None]:
    """The environment variables of a service with its files in `folder`."""
    defaults = {
        "AUTH_TOKEN": ", ".join(TOKENS),
        "MODEL_PATH": str(folder / "models" / "isolation_forest.pkl"),
        "SCALER_PATH": str(folder / "models" / "scaler.pkl"),
        "LOG_FILE": str(folder / "logs" / "journal.log"),
        "MEMORY_ENTITIES": "2000",
        "FOREST_TREES": "25",
        "ALERT_BUDGET": "0.01",
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (defaults | variables).items():
            patch.setenv(name, value)
        yield


def main_app(folder: Path, **variables: str) -> Any:
    """`main.app`, imported again in that environment."""
    with environment(folder, **variables):
        sys.modules.pop("main", None)
        return importlib.import_module("main").app


def serving(folder: Path, **variables: str) -> AbstractContextManager[httpx.Client]:
    """A client of the service in `folder`, which runs as with ``uvicorn main:app``."""
    return calling(main_app(folder, **variables), http="auto", token=TOKENS[0])


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model trained on 500 ordinary logs. Tests only copy it."""
    folder = tmp_path_factory.mktemp("trained")
    with serving(folder) as client:
        response = client.post("/train", json={"logs": ordinary(500)})
        assert response.status_code == 200, response.text
    return folder


@pytest.fixture()
def folder(trained: Path, tmp_path: Path) -> Path:
    """A copy of the trained model."""
    return Path(shutil.copytree(trained, tmp_path / "service", symlinks=True))


@pytest.fixture()
def fresh(trained: Path, tmp_path: Path) -> Serve:
    """Serves a new copy of the trained model at each call."""
    copies = iter(range(1_000_000))

    @contextmanager
    def served(**variables: str) -> Iterator[httpx.Client]:
        copy = tmp_path / str(next(copies))
        shutil.copytree(trained, copy, symlinks=True)
        with serving(copy, **variables) as client:
            yield client

    return served


@pytest.fixture(scope="module")
def client(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service with a model, for tests that do not depend on its memory."""
    folder = tmp_path_factory.mktemp("shared") / "service"
    shutil.copytree(trained, folder, symlinks=True)
    with serving(folder) as client:
        yield client


@pytest.fixture()
def empty(tmp_path: Path) -> Iterator[httpx.Client]:
    """A service without a model."""
    with serving(tmp_path / "empty") as client:
        yield client


def detect(client: httpx.Client, logs: list[Log], **options: Any) -> Json:
    """The response to a batch."""
    response = client.post("/detect", json={"logs": logs} | options)
    assert response.status_code == 200, response.text
    found: Json = response.json()
    return found


def anomalies(client: httpx.Client, logs: list[Log]) -> list[Json]:
    """The anomalies of a batch."""
    found: list[Json] = detect(client, logs)["anomalies"]
    return found


def scores(client: httpx.Client, logs: list[Log], **options: Any) -> list[float]:
    """The scores of a batch."""
    found: list[float] = detect(client, logs, include_scores=True, **options)["scores"]
    return found


def get_status(client: httpx.Client) -> Json:
    """GET /status."""
    found: Json = client.get("/status").json()
    return found


def assert_refused(response: httpx.Response, status: int, code: str) -> None:
    """An error with this status and code, in the one shape of all errors."""
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.headers["content-type"] == "application/json"
    detail = response.json()["detail"]
    assert isinstance(detail, list if status == 422 else str) and detail


def assert_utc(time: str) -> None:
    """An ISO 8601 time in UTC."""
    offset = datetime.fromisoformat(time).utcoffset()
    assert offset is not None and offset.total_seconds() == 0


# --- authentication -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/health", "/metrics"])
def test_health_and_metrics_need_no_token(client: httpx.Client, path: str) -> None:
    assert httpx.get(f"{client.base_url}{path}").status_code == 200


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
    response = httpx.request(method, f"{client.base_url}{path}", headers=headers)
    assert_refused(response, 401, "unauthorized")
    assert response.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("token", TOKENS)
def test_several_tokens_are_valid_at_once(client: httpx.Client, token: str) -> None:
    response = client.get("/status", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 200


# --- GET /health and GET /metrics ---------------------------------------------------------------


def test_health_has_status_time_version_and_whether_a_model_is_loaded(
    client: httpx.Client,
) -> None:
    health = client.get("/health").json()
    assert health.keys() == {"status", "timestamp", "version", "model_loaded"}
    assert (health["status"], health["model_loaded"]) == ("healthy", True)
    assert_utc(health["timestamp"])


def test_health_without_a_model_says_so(empty: httpx.Client) -> None:
    assert empty.get("/health").json()["model_loaded"] is False


@pytest.fixture(scope="module")
def metrics(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[httpx.Response, int]:
    """The metrics after a detection of 20 attack logs and an invalid one; and its anomalies."""
    folder = tmp_path_factory.mktemp("metrics") / "service"
    shutil.copytree(trained, folder, symlinks=True)
    with serving(folder) as client:
        found = detect(client, attack(20))["anomaly_count"]
        client.post("/detect", content=b"{")
        return client.get("/metrics"), found


def test_metrics_are_prometheus_text(metrics: tuple[httpx.Response, int]) -> None:
    assert metrics[0].headers["content-type"].startswith("text/plain")


@pytest.mark.parametrize(
    "sample",
    [
        'api_requests_total{endpoint="/detect",method="POST",status="200"} 1.0',
        'api_requests_total{endpoint="/detect",method="POST",status="422"} 1.0',
        'api_request_duration_seconds_count{endpoint="/detect",method="POST"} 2.0',
        'rejected_requests_total{code="validation_error"} 1.0',
        "logs_scored_total 20.0",
        "model_loaded 1.0",
    ],
)
def test_metrics_count_requests_and_logs(metrics: tuple[httpx.Response, int], sample: str) -> None:
    assert sample in metrics[0].text


def test_metrics_count_anomalies_by_severity(metrics: tuple[httpx.Response, int]) -> None:
    text, found = metrics[0].text, metrics[1]
    counts = re.findall(r'anomalies_detected_total\{severity="(\w+)"\} ([\d.]+)', text)
    assert {severity for severity, _ in counts} == SEVERITIES
    assert sum(float(count) for _, count in counts) == found > 0


# --- POST /train --------------------------------------------------------------------------------


def test_train_answers_with_the_facts_of_the_model(empty: httpx.Client) -> None:
    response = empty.post("/train", json={"logs": ordinary(300), "test_size": 0.3})
    facts = response.json()
    assert (response.status_code, facts["status"]) == (200, "success")
    assert facts["training_samples"] == 300
    assert -1 <= facts["threshold"] < 0
    assert facts["train_anomalies"] >= 0 and facts["feature_count"] > 0
    assert facts["duration_seconds"] > 0 and facts["message"] and facts["model_version"]
    assert_utc(facts["timestamp"])


def test_without_labels_accuracy_is_the_share_of_held_out_logs_not_flagged(
    empty: httpx.Client,
) -> None:
    facts = empty.post("/train", json={"logs": ordinary(300), "test_size": 0.3}).json()
    assert facts["model_accuracy"] == pytest.approx(1 - facts["test_anomalies"] / 90)
    assert facts["held_out_precision"] is facts["held_out_recall"] is None


def test_with_labels_accuracy_precision_and_recall_are_measured(empty: httpx.Client) -> None:
    harmless = [log | {"label": 0} for log in ordinary(400)]
    attacks = [log | {"label": 1} for log in attack(20, START + 7 * 395)]
    facts = empty.post("/train", json={"logs": attacks + harmless}).json()
    flagged = facts["test_anomalies"]
    assert (facts["held_out_precision"] is None) == (flagged == 0)
    hits = facts["held_out_recall"] * 20
    assert hits == pytest.approx(round(hits))
    wrong = (20 - hits) + (flagged - hits)
    assert facts["model_accuracy"] == pytest.approx(1 - wrong / 84)


def test_neither_labels_nor_the_order_of_a_history_change_the_model(
    fresh: Serve, empty: httpx.Client
) -> None:
    batch = ordinary(20, AFTER) + attack(5, AFTER + 140)
    history = [log | {"label": number % 2} for number, log in enumerate(ordinary(500))]
    random.Random(3).shuffle(history)
    assert empty.post("/train", json={"logs": history}).status_code == 200
    with fresh() as in_order_and_without_labels:
        assert scores(empty, batch) == scores(in_order_and_without_labels, batch)


@pytest.mark.parametrize("count", [0, 1, 9])
def test_too_few_logs_are_refused_with_the_number_needed(client: httpx.Client, count: int) -> None:
    response = client.post("/train", json={"logs": ordinary(count)})
    assert_refused(response, 422, "too_few_logs")
    (fault,) = response.json()["detail"]
    assert "10" in fault["msg"] and fault["loc"] == ["body", "logs"]


def test_ten_logs_are_enough(empty: httpx.Client) -> None:
    assert empty.post("/train", json={"logs": ordinary(10)}).status_code == 200


@pytest.mark.parametrize("test_size", [0, 1, -0.5, 2, "0.2", True])
def test_test_size_is_a_share_between_zero_and_one(client: httpx.Client, test_size: Any) -> None:
    response = client.post("/train", json={"logs": ordinary(20), "test_size": test_size})
    assert_refused(response, 422, "validation_error")


def test_a_failed_training_leaves_the_served_model(fresh: Serve) -> None:
    with fresh() as client:
        before = get_status(client)["model_version"]
        client.post("/train", json={"logs": ordinary(5)})
        after = get_status(client)
    assert after["model_version"] == before
    assert (after["last_training"]["outcome"], after["last_training"]["error"]) == (
        "failed",
        "too_few_logs",
    )


def test_while_a_training_runs_a_second_one_is_refused_and_others_are_served(fresh: Serve) -> None:
    body = json.dumps({"logs": ordinary(5_000)}).encode()
    with fresh() as client, ThreadPoolExecutor(1) as thread:
        first = thread.submit(client.post, "/train", content=body)
        while not get_status(client)["training_running"]:
            assert not first.done()
        second = client.post("/train", json={"logs": ordinary(20)})
        served = [client.get("/health"), client.post("/detect", json={"logs": ordinary(3, AFTER)})]
        assert not first.done(), "the training was too short for this test"
        assert_refused(second, 409, "training_in_progress")
        assert int(second.headers["retry-after"]) > 0
        assert [response.status_code for response in served] == [200, 200]
        assert first.result().json()["training_samples"] == 5_000
        assert get_status(client)["training_running"] is False


# --- POST /detect -------------------------------------------------------------------------------


@pytest.mark.parametrize("count", [0, 2])
def test_without_a_model_detection_is_refused(empty: httpx.Client, count: int) -> None:
    response = empty.post("/detect", json={"logs": ordinary(count)})
    assert_refused(response, 400, "model_not_trained")
    assert response.json()["detail"].startswith("Model not trained.")


def test_without_a_model_an_invalid_body_is_still_a_422(empty: httpx.Client) -> None:
    assert_refused(empty.post("/detect", json={}), 422, "validation_error")


def test_an_empty_batch_is_answered_with_zeros(client: httpx.Client) -> None:
    found = detect(client, [], include_scores=True)
    assert (found["anomalies"], found["scores"]) == ([], [])
    assert (found["total_logs"], found["anomaly_count"], found["anomaly_rate"]) == (0, 0, 0)


@pytest.fixture(scope="module")
def batch() -> list[Log]:
    """20 ordinary logs and 20 of an attack."""
    return ordinary(20, AFTER) + attack(20, AFTER + 140)


@pytest.fixture(scope="module")
def detection(
    trained: Path, batch: list[Log], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Json, Json]:
    """The detection of `batch` and the status after it."""
    folder = tmp_path_factory.mktemp("detection") / "service"
    shutil.copytree(trained, folder, symlinks=True)
    with serving(folder) as client:
        return detect(client, batch, include_scores=True), get_status(client)


def test_an_attack_is_found_and_counted(detection: tuple[Json, Json]) -> None:
    found = detection[0]
    assert found["total_logs"] == 40
    assert found["anomaly_count"] == len(found["anomalies"]) >= 10
    assert found["anomaly_rate"] == pytest.approx(found["anomaly_count"] / 40)
    assert 0 <= found["model_confidence"] <= 1


def test_a_detection_names_the_served_model_and_its_threshold(
    detection: tuple[Json, Json],
) -> None:
    found, status = detection
    for field in ("model_version", "threshold"):
        assert found[field] == status[field]


def test_the_anomalies_are_the_logs_with_a_score_below_the_threshold(
    detection: tuple[Json, Json],
) -> None:
    found = detection[0]
    below = [index for index, score in enumerate(found["scores"]) if score < found["threshold"]]
    assert [each["log_index"] for each in found["anomalies"]] == below
    for each in found["anomalies"]:
        assert each["anomaly_score"] == found["scores"][each["log_index"]]


def test_an_anomaly_repeats_the_fields_of_its_log(
    detection: tuple[Json, Json], batch: list[Log]
) -> None:
    repeated = ("user_id", "endpoint", "method", "status_code", "response_time", "ip_address")
    for each in detection[0]["anomalies"]:
        log = batch[each["log_index"]]
        assert list(each) == FIELDS
        assert [each[field] for field in repeated] == [log[field] for field in repeated]
        assert_utc(each["timestamp"])


def test_an_anomaly_has_a_risk_and_a_severity(detection: tuple[Json, Json]) -> None:
    for each in detection[0]["anomalies"]:
        assert 0 <= each["risk"] <= 100
        assert each["severity"] in SEVERITIES


def test_an_anomaly_has_reasons_in_words(detection: tuple[Json, Json]) -> None:
    for each in detection[0]["anomalies"]:
        assert each["reasons"]
        for reason in each["reasons"]:
            assert {"feature", "value", "usual", "text"} <= set(reason) and reason["text"]


def test_scores_come_only_on_request(client: httpx.Client) -> None:
    assert "scores" not in detect(client, [])


def test_scores_are_in_the_order_sent_and_lower_is_more_anomalous(fresh: Serve) -> None:
    logs = attack(5) + ordinary(10, AFTER)
    with fresh() as client:
        found = scores(client, logs, update_state=False)
        first = scores(client, logs[:1], update_state=False)
    assert len(found) == 15 and all(-1 <= score < 0 for score in found)
    assert found[0] == first[0]
    assert max(found[:5]) < min(found[5:])


@pytest.fixture(scope="module")
def rules(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Json, Json, Json]:
    """Detections of 18 logs without and with static rules, and of no logs with them."""
    folder = tmp_path_factory.mktemp("rules") / "service"
    shutil.copytree(trained, folder, symlinks=True)
    logs = attack(8) + ordinary(10, AFTER)
    with serving(folder) as client:
        return (
            detect(client, logs, update_state=False),
            detect(client, logs, include_rules=True),
            detect(client, [], include_rules=True),
        )


def test_static_rules_come_only_on_request_and_change_no_anomaly(
    rules: tuple[Json, Json, Json],
) -> None:
    without, with_rules, _ = rules
    assert not {"rules", "rule_counts", "rule_agreement"} & set(without)
    assert with_rules["anomalies"] == without["anomalies"]


def test_static_rules_are_listed_by_log_and_counted(rules: tuple[Json, Json, Json]) -> None:
    found = rules[1]
    assert all(0 <= fired["log_index"] < 18 and fired["rules"] for fired in found["rules"])
    total = sum(len(fired["rules"]) for fired in found["rules"])
    assert sum(found["rule_counts"].values()) == total


def test_static_rules_are_compared_with_the_model(rules: tuple[Json, Json, Json]) -> None:
    found = rules[1]
    alerted = {fired["log_index"] for fired in found["rules"]}
    flagged = {each["log_index"] for each in found["anomalies"]}
    assert found["rule_agreement"] == {
        "both": len(alerted & flagged),
        "rules_only": len(alerted - flagged),
        "model_only": len(flagged - alerted),
    }


def test_static_rules_on_an_empty_batch_are_empty(rules: tuple[Json, Json, Json]) -> None:
    assert rules[2]["rules"] == [] and rules[2]["rule_agreement"]["both"] == 0


@pytest.mark.parametrize("threshold", [-1, -0.9, -0.5, -0.1, 0])
def test_a_threshold_in_the_request_replaces_the_models(
    client: httpx.Client, threshold: float
) -> None:
    options = {"threshold": threshold, "include_scores": True, "update_state": False}
    found = detect(client, ordinary(30, AFTER), **options)
    assert found["threshold"] == threshold
    flagged = [each["log_index"] for each in found["anomalies"]]
    assert flagged == [i for i, score in enumerate(found["scores"]) if score < threshold]


@pytest.mark.parametrize("threshold", ["-0.5", 0.01, -1.01, True, [], math.nan, math.inf])
def test_a_threshold_that_is_no_score_is_refused(client: httpx.Client, threshold: Any) -> None:
    body = json.dumps({"logs": [], "threshold": threshold})
    response = client.post("/detect", content=body)
    assert_refused(response, 422, "validation_error")
    assert response.json()["detail"][0]["loc"] == ["body", "threshold"]


def test_update_state_false_gives_the_same_scores_and_remembers_nothing(fresh: Serve) -> None:
    logs = attack(12)
    with fresh() as client:
        before = get_status(client)["memory"]["entities"]
        first = scores(client, logs, update_state=False)
        second = scores(client, logs, update_state=False)
        assert get_status(client)["memory"]["entities"] == before
        remembered = scores(client, logs)
        later = scores(client, logs)
    assert first == second == remembered
    assert later != first


@settings(
    max_examples=6, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(cuts=st.sets(st.integers(1, 39)), data=st.data())
def test_one_request_gives_the_scores_of_any_division_into_requests(
    fresh: Serve, cuts: set[int], data: st.DataObject
) -> None:
    logs = data.draw(st.permutations(ordinary(28, AFTER) + attack(12, AFTER + 60)))
    with fresh() as client:
        together = scores(client, logs)
    with fresh(INLINE_LOGS="5") as client:
        edges = [0, *sorted(cuts), 40]
        parts = [logs[first:last] for first, last in zip(edges, edges[1:], strict=False)]
        divided = [score for part in parts for score in scores(client, part)]
    assert divided == together


def test_one_request_with_n_logs_gives_the_scores_of_n_requests(fresh: Serve) -> None:
    logs = ordinary(40, AFTER) + attack(10, AFTER + 100)
    with fresh() as client:
        together = scores(client, logs)
    with fresh() as client:
        single = [score for log in logs for score in scores(client, [log])]
    assert single == together


def test_a_restart_and_loading_the_model_change_no_score(folder: Path) -> None:
    batch = ordinary(20, AFTER) + attack(10, AFTER + 140)
    found = []
    for _ in range(2):
        with serving(folder) as client:
            found.append(scores(client, batch, update_state=False))
            assert client.post("/load-model").status_code == 200
            found.append(scores(client, batch, update_state=False))
    assert found[0] == found[1] == found[2] == found[3]


# --- Idempotency-Key ----------------------------------------------------------------------------


def test_a_retry_with_the_same_key_gets_the_same_response_and_is_scored_once(
    fresh: Serve,
) -> None:
    body = {"logs": attack(6), "include_scores": True}
    with fresh() as client:
        first, retry, other = (
            client.post("/detect", json=body, headers={"Idempotency-Key": key}) for key in "aab"
        )
        text = client.get("/metrics").text
    assert first.content == retry.content
    assert "idempotency-replayed" not in first.headers
    assert retry.headers["idempotency-replayed"] == "true"
    assert other.json()["scores"] != first.json()["scores"]
    assert "logs_scored_total 12.0" in text


def test_simultaneous_retries_are_scored_once(fresh: Serve) -> None:
    body = json.dumps({"logs": ordinary(3_000, AFTER), "include_scores": True}).encode()
    headers = {"Idempotency-Key": "simultaneous"}
    with fresh() as client, ThreadPoolExecutor(4) as threads:
        sent = [
            threads.submit(client.post, "/detect", content=body, headers=headers) for _ in range(4)
        ]
        contents = {request.result().content for request in sent}
        text = client.get("/metrics").text
    assert len(contents) == 1
    assert "logs_scored_total 3000.0" in text


def test_a_key_that_was_used_with_another_body_is_refused(client: httpx.Client) -> None:
    headers = {"Idempotency-Key": "one-body-only"}
    client.post("/detect", json={"logs": ordinary(1, AFTER)}, headers=headers)
    response = client.post("/detect", json={"logs": ordinary(2, AFTER)}, headers=headers)
    assert_refused(response, 422, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_an_empty_or_too_long_key_is_refused(client: httpx.Client, key: str) -> None:
    response = client.post("/detect", json={"logs": []}, headers={"Idempotency-Key": key})
    assert_refused(response, 422, "validation_error")


# --- GET /status and POST /load-model -----------------------------------------------------------


def test_status_without_a_model_is_null(empty: httpx.Client) -> None:
    status = get_status(empty)
    assert (status["is_trained"], status["feature_count"]) == (False, 0)
    for field in ("training_date", "model_accuracy", "model_version", "threshold"):
        assert status[field] is None


def test_status_describes_the_model(client: httpx.Client) -> None:
    status = get_status(client)
    assert (status["is_trained"], status["training_samples"]) == (True, 500)
    assert 0 <= status["model_accuracy"] <= 1
    assert status["feature_count"] > 0 and -1 <= status["threshold"] < 0
    assert status["alert_budget"] == 0.01
    assert status["model_version"] in status["versions"]
    assert_utc(status["training_date"])


def test_status_describes_the_memory(client: httpx.Client) -> None:
    memory = get_status(client)["memory"]
    assert memory["entities"]["actors"] > 0 and memory["capacity"] == 2000


def test_load_model_without_a_model_is_a_404(empty: httpx.Client) -> None:
    assert_refused(empty.post("/load-model"), 404, "model_not_found")


def test_a_changed_model_file_is_refused_and_the_served_model_stays(folder: Path) -> None:
    with serving(folder) as client:
        before = scores(client, ordinary(5, AFTER), update_state=False)
        file = (folder / "models" / "scaler.pkl").resolve()
        file.write_bytes(file.read_bytes() + b"\0")
        assert_refused(client.post("/load-model"), 409, "model_not_trusted")
        assert get_status(client)["is_trained"] is True
        assert scores(client, ordinary(5, AFTER), update_state=False) == before


def test_load_model_keeps_the_memory(fresh: Serve) -> None:
    with fresh() as client:
        scores(client, attack(10))
        before = get_status(client)
        response = client.post("/load-model").json()
        after = get_status(client)
    assert response["status"] == "success" and response["message"]
    assert response["model_version"] == before["model_version"]
    assert after["memory"]["entities"] == before["memory"]["entities"]


# --- POST /feedback -----------------------------------------------------------------------------


def give(client: httpx.Client, verdict: str, *anomaly_ids: str, **more: Any) -> Json:
    """The response to `verdict` on some anomalies."""
    items = [{"anomaly_id": anomaly_id, "verdict": verdict} for anomaly_id in anomaly_ids]
    response = client.post("/feedback", json={"items": items} | more)
    assert response.status_code == 200, response.text
    found: Json = response.json()
    return found


def last_anomaly(client: httpx.Client) -> str:
    """The id of the last anomaly of an attack of 30 logs."""
    anomaly_id: str = anomalies(client, attack(30))[-1]["anomaly_id"]
    return anomaly_id


@pytest.fixture(scope="module")
def false_positive(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Json:
    """An attack of 30 logs, the last of which is a false positive, and then 4 more logs of it."""
    found: Json = {}
    for name in ("with", "without"):
        folder = tmp_path_factory.mktemp(name) / "service"
        shutil.copytree(trained, folder, symlinks=True)
        with serving(folder) as client:
            found["anomaly"] = anomalies(client, attack(30))[-1]
            if name == "with":
                found["response"] = give(client, "false_positive", found["anomaly"]["anomaly_id"])
            found[name] = anomalies(client, attack(4, AFTER + 6))
            if name == "with":
                found["status"] = get_status(client)["feedback"]
                found["metrics"] = client.get("/metrics").text
    return found


def test_after_a_false_positive_the_same_pattern_of_the_user_is_no_anomaly(
    false_positive: Json,
) -> None:
    assert len(false_positive["without"]) == 4
    assert false_positive["with"] == []


def test_feedback_answers_with_the_scores_before_and_after(false_positive: Json) -> None:
    anomaly = false_positive["anomaly"]
    (item,) = false_positive["response"]["items"]
    assert item["anomaly_id"] == anomaly["anomaly_id"] and item["was"] is None
    assert item["score_before"] == pytest.approx(anomaly["anomaly_score"])
    assert (item["anomaly_before"], item["anomaly"]) == (True, False)


def test_feedback_answers_with_counts_and_times(false_positive: Json) -> None:
    response = false_positive["response"]
    assert response["status"] == "success" and response["message"]
    assert response["counted"] == {"new": 1, "changed": 0, "repeated": 0}
    assert response["active"] == {"false_positive": 1, "true_positive": 0}
    assert_utc(response["effective_from"])
    assert_utc(response["expires"])


def test_feedback_is_in_the_status(false_positive: Json) -> None:
    status = false_positive["status"]
    assert status["active"] == {"false_positive": 1, "true_positive": 0}
    assert (status["quieted"], status["raised"], status["users"]) == (4, 0, 1)
    assert status["last_change"] == false_positive["response"]["effective_from"]


@pytest.mark.parametrize(
    "sample",
    [
        'feedback_total{verdict="false_positive"} 1.0',
        'feedback_active{verdict="false_positive"} 1.0',
        'feedback_moved_logs_total{direction="quieted"} 4.0',
    ],
)
def test_feedback_is_in_the_metrics(false_positive: Json, sample: str) -> None:
    assert sample in false_positive["metrics"]


def test_a_false_positive_of_one_user_leaves_the_same_attack_of_another_found(
    fresh: Serve,
) -> None:
    other = {"user_id": "another", "ip_address": "203.0.113.7"}
    with fresh() as client:
        found = anomalies(client, attack(30))
        give(client, "false_positive", *(each["anomaly_id"] for each in found))
        of_another = anomalies(client, [log | other for log in attack(30, AFTER + 10)])
    assert len(of_another) >= 10


def test_a_missed_log_with_a_true_positive_is_found_from_then_on(fresh: Serve) -> None:
    *before, missed = ordinary(60, AFTER)
    with fresh() as client:
        anomalies(client, before)
        assert not detect(client, [missed], update_state=False)["anomalies"]
        body = {"items": [{"log": missed, "verdict": "true_positive"}]}
        (item,) = client.post("/feedback", json=body).json()["items"]
        (found,) = anomalies(client, [missed])
        status = get_status(client)["feedback"]
    assert (item["anomaly_before"], item["anomaly"]) == (False, True)
    assert item["anomaly_score"] == found["anomaly_score"] < item["score_before"]
    assert found["anomaly_id"] == item["anomaly_id"]
    assert status["active"]["true_positive"] == status["raised"] == 1


def test_feedback_on_a_log_does_not_change_the_memory(fresh: Serve) -> None:
    batch = ordinary(10, AFTER)
    with fresh() as with_feedback, fresh() as without:
        body = {"items": [{"log": log, "verdict": "true_positive"} for log in attack(5)]}
        assert with_feedback.post("/feedback", json=body).status_code == 200
        entities = [get_status(c)["memory"]["entities"] for c in (with_feedback, without)]
        assert scores(with_feedback, batch) == scores(without, batch)
    assert entities[0] == entities[1]


def test_a_verdict_can_be_repeated(fresh: Serve) -> None:
    with fresh() as client:
        anomaly_id = last_anomaly(client)
        give(client, "false_positive", anomaly_id)
        repeated = give(client, "false_positive", anomaly_id)
    assert repeated["counted"] == {"new": 0, "changed": 0, "repeated": 1}


def test_a_later_verdict_replaces_the_earlier_one(fresh: Serve) -> None:
    with fresh() as client:
        anomaly_id = last_anomaly(client)
        give(client, "false_positive", anomaly_id)
        changed = give(client, "true_positive", anomaly_id)
        found = anomalies(client, attack(5, AFTER + 6))
        status = get_status(client)["feedback"]
    assert changed["counted"] == {"new": 0, "changed": 1, "repeated": 0}
    assert changed["items"][0]["was"] == "false_positive"
    assert changed["active"] == status["active"] == {"false_positive": 0, "true_positive": 1}
    assert status["replaced"] == 1 and len(found) == 5


def test_verdicts_survive_a_restart_loading_and_training(folder: Path) -> None:
    with serving(folder) as client:
        give(client, "false_positive", last_anomaly(client))
    with serving(folder) as client:
        assert get_status(client)["feedback"]["active"]["false_positive"] == 1
        assert not anomalies(client, attack(1, AFTER + 6))
        assert client.post("/load-model").status_code == 200
        assert not anomalies(client, attack(1, AFTER + 6.2))
        assert client.post("/train", json={"logs": ordinary(500)}).status_code == 200
        assert not anomalies(client, attack(1, AFTER + 6.4))


def test_status_says_how_many_verdicts_the_model_was_trained_with(fresh: Serve) -> None:
    with fresh() as client:
        give(client, "true_positive", last_anomaly(client))
        assert get_status(client)["feedback"]["trained_on"] == 0
        assert client.post("/train", json={"logs": ordinary(500)}).status_code == 200
        assert get_status(client)["feedback"]["trained_on"] == 1
        assert client.post("/load-model").status_code == 200
        assert get_status(client)["feedback"]["trained_on"] == 1


def test_feedback_on_an_anomaly_is_possible_after_a_restart(folder: Path) -> None:
    with serving(folder) as client:
        anomaly_id = last_anomaly(client)
    with serving(folder) as client:
        assert give(client, "false_positive", anomaly_id)["counted"]["new"] == 1
        assert not anomalies(client, attack(1, AFTER + 6))


def test_feedback_with_an_unknown_anomaly_is_refused_as_a_whole(fresh: Serve) -> None:
    with fresh(FEEDBACK_ANOMALIES="10") as client:
        found = [each["anomaly_id"] for each in anomalies(client, attack(30))]
        known, forgotten = (
            {"anomaly_id": anomaly_id, "verdict": "false_positive"}
            for anomaly_id in (found[-1], found[0])
        )
        response = client.post("/feedback", json={"items": [known, forgotten, forgotten]})
        status = get_status(client)["feedback"]
    assert_refused(response, 422, "anomaly_unknown")
    assert [each["loc"] for each in response.json()["detail"]] == [
        ["body", "items", index, "anomaly_id"] for index in (1, 2)
    ]
    assert status["active"] == {"false_positive": 0, "true_positive": 0}
    assert status["anomalies_remembered"] == 10 and status["last_change"] is None


def test_the_faults_of_feedback_name_the_item_and_the_field(client: httpx.Client) -> None:
    log = ordinary(1, AFTER)[0]
    invalid: list[tuple[Json, list[str]]] = [
        ({"verdict": "false_positive"}, []),
        ({"verdict": "true_positive", "log": log, "anomaly_id": "x"}, []),
        ({"verdict": "maybe", "log": log}, ["verdict"]),
        ({"log": log}, ["verdict"]),
        ({"verdict": "true_positive", "log": log | {"status_code": 1}}, ["log", "status_code"]),
        ({"verdict": "true_positive", "anomaly_id": 7}, ["anomaly_id"]),
    ]
    response = client.post("/feedback", json={"items": [item for item, _ in invalid]})
    assert_refused(response, 422, "validation_error")
    assert [each["loc"] for each in response.json()["detail"]] == [
        ["body", "items", index, *field] for index, (_, field) in enumerate(invalid)
    ]


def test_too_many_feedback_items_are_refused(fresh: Serve) -> None:
    item = {"verdict": "true_positive", "log": ordinary(1, AFTER)[0]}
    with fresh(MAX_FEEDBACK_ITEMS="6") as client:
        response = client.post("/feedback", json={"items": [item] * 7})
    assert_refused(response, 413, "batch_too_large")


def test_feedback_without_items_is_answered_with_zeros(client: httpx.Client) -> None:
    response = client.post("/feedback", json={"items": []}).json()
    assert response["items"] == []
    assert response["counted"] == {"new": 0, "changed": 0, "repeated": 0}


def test_feedback_for_another_model_version_is_taken_and_says_so(fresh: Serve) -> None:
    with fresh() as client:
        anomaly_id = last_anomaly(client)
        other = give(client, "false_positive", anomaly_id, model_version="another")
        same = give(client, "false_positive", anomaly_id, model_version=other["model_version"])
        served = get_status(client)["model_version"]
    assert other["model_version"] == same["judged_model_version"] == served
    assert other["judged_model_version"] == "another"
    assert "another model" in other["message"] and "another model" not in same["message"]


def test_without_a_model_feedback_is_refused(empty: httpx.Client) -> None:
    body = {"items": [{"log": ordinary(1)[0], "verdict": "true_positive"}]}
    assert_refused(empty.post("/feedback", json=body), 400, "model_not_trained")


def test_a_retry_of_feedback_gets_the_first_response_and_has_its_own_keys(fresh: Serve) -> None:
    key = {"Idempotency-Key": "one"}
    with fresh() as client:
        body = {"logs": attack(30)}
        first = client.post("/detect", json=body, headers=key).json()["anomalies"]
        item = {"anomaly_id": first[-1]["anomaly_id"], "verdict": "false_positive"}
        given = [client.post("/feedback", json={"items": [item]}, headers=key) for _ in range(2)]
        status = get_status(client)["feedback"]
    assert given[0].json() == given[1].json()
    assert given[1].headers["idempotency-replayed"] == "true"
    assert status["replaced"] == 0


# --- invalid bodies -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/detect", "/train"])
def test_a_fault_names_the_log_and_the_field(client: httpx.Client, path: str) -> None:
    logs = ordinary(4)
    logs[1]["user_id"] = 17
    logs[3]["response_time"] = math.nan
    response = client.post(path, content=json.dumps({"logs": logs}))
    assert_refused(response, 422, "validation_error")
    assert [fault["loc"] for fault in response.json()["detail"]] == [
        ["body", "logs", 1, "user_id"],
        ["body", "logs", 3, "response_time"],
    ]
    assert "NaN" not in response.text


def test_a_hundred_faults_are_listed_and_the_others_counted(client: httpx.Client) -> None:
    response = client.post("/detect", json={"logs": [{}] * 1_000})
    assert_refused(response, 422, "validation_error")
    assert (len(response.json()["detail"]), response.json()["more"]) == (100, 3_900)


@pytest.mark.parametrize(
    ("sent", "returned"),
    [
        ({"timestamp": AFTER}, {}),
        ({"timestamp": "2023-11-15T00:00:00"}, {"timestamp": "2023-11-15T00:00:00+00:00"}),
        ({"user_id": None}, {"user_id": None}),
        ({"ip_address": None}, {"ip_address": None}),
        ({"ip_address": "2001:db8::1"}, {}),
        ({"status_code": "404"}, {"status_code": 404}),
        ({"method": "get"}, {"method": "GET"}),
        ({"response_time": -1}, {"response_time": None}),
        ({"response_time": None, "request_size": None, "response_size": -1}, {}),
        ({"user_agent": None}, {}),
        ({"user_agent": "x" * 100_000}, {}),
        ({"label": 1}, {}),
        ({"unknown": {"nested": [1, 2]}}, {}),
    ],
)
def test_the_values_that_the_contract_allows_are_taken(
    client: httpx.Client, sent: Json, returned: Json
) -> None:
    log = ordinary(1, AFTER)[0] | sent
    (anomaly,) = detect(client, [log], threshold=0, update_state=False)["anomalies"]
    assert anomaly | returned == anomaly


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_the_content_type_does_not_matter(client: httpx.Client, kind: str) -> None:
    response = client.post("/detect", content=b'{"logs": []}', headers={"Content-Type": kind})
    assert response.status_code == 200


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


any_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
any_logs = st.dictionaries(
    st.sampled_from([*ordinary(1)[0], "label", "unknown"]), any_values, max_size=4
).map(lambda changed: ordinary(1, AFTER)[0] | changed)
any_items = st.fixed_dictionaries(
    {},
    optional={
        "log": any_logs | any_values,
        "anomaly_id": any_values | st.sampled_from(["", "0" * 24, "\ud800", "x" * 65]),
        "verdict": any_values | st.sampled_from(["false_positive", "true_positive", "maybe"]),
    },
)
OPTIONS = ("threshold", "include_scores", "include_rules", "update_state", "test_size")
any_bodies = st.one_of(
    st.binary(max_size=100),
    st.text(max_size=100).map(lambda text: text.encode("utf-8", "surrogatepass")),
    any_values.map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"logs": st.lists(any_logs | any_values, max_size=4)},
        optional={name: any_values for name in OPTIONS},
    ).map(lambda value: json.dumps(value).encode()),
    st.fixed_dictionaries(
        {"items": st.lists(any_items | any_values, max_size=4)},
        optional={"model_version": any_values},
    ).map(lambda value: json.dumps(value).encode()),
)
any_headers = st.dictionaries(
    st.sampled_from(["Content-Encoding", "Content-Type", "Idempotency-Key", "X-Request-ID"]),
    st.sampled_from(["", "gzip", "br", "identity", "application/json", "x" * 300, "é"]),
).map(lambda headers: [(name, value.encode()) for name, value in headers.items()])


@settings(max_examples=150, deadline=None)
@given(
    path=st.sampled_from(["/detect", "/train", "/feedback"]), body=any_bodies, headers=any_headers
)
def test_no_body_and_no_header_causes_a_server_error(
    client: httpx.Client, path: str, body: bytes, headers: list[tuple[str, bytes]]
) -> None:
    response = client.post(path, content=body, headers=headers)
    if response.status_code != 200:
        assert 400 <= response.status_code < 500, response.text
        assert response.json()["code"] and response.json()["detail"]


# --- encodings and limits -----------------------------------------------------------------------

GZIP = {"Content-Encoding": "gzip"}


def test_a_gzip_body_is_answered_as_the_plain_one(client: httpx.Client) -> None:
    body = json.dumps({"logs": ordinary(50, AFTER), "update_state": False}).encode()
    plain = client.post("/detect", content=body)
    compressed = client.post("/detect", content=gzip.compress(body), headers=GZIP)
    assert compressed.status_code == 200
    assert compressed.json() == plain.json()


@pytest.mark.parametrize(
    ("encoding", "status", "code"),
    [("gzip", 400, "broken_encoding"), ("br", 415, "unsupported_encoding")],
)
def test_a_body_that_is_not_gzip_and_other_encodings_are_refused(
    client: httpx.Client, encoding: str, status: int, code: str
) -> None:
    response = client.post("/detect", content=b"{}", headers={"Content-Encoding": encoding})
    assert_refused(response, status, code)


@pytest.fixture(scope="module")
def limited(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A service with small limits."""
    folder = tmp_path_factory.mktemp("limited") / "service"
    shutil.copytree(trained, folder, symlinks=True)
    limits = {"MAX_BODY_BYTES": "20000", "MAX_TRAINING_BODY_BYTES": "40000"}
    limits |= {"MAX_BATCH_LOGS": "10", "MAX_TRAINING_LOGS": "30"}
    with serving(folder, **limits) as client:
        yield client


@pytest.mark.parametrize(
    ("path", "content", "headers"),
    [
        ("/detect", b" " * 20_001, {}),
        ("/train", b" " * 40_001, {}),
        ("/detect", gzip.compress(b" " * 100_000), GZIP),
        ("/train", gzip.compress(b" " * 50_000_000)[:39_000], GZIP),
    ],
    ids=["detect", "train", "detect gzip", "train gzip"],
)
def test_bytes_beyond_the_limit_are_refused_as_sent_and_decompressed(
    limited: httpx.Client, path: str, content: bytes, headers: dict[str, str]
) -> None:
    assert_refused(limited.post(path, content=content, headers=headers), 413, "body_too_large")


def test_bytes_beyond_the_limit_are_refused_in_chunks(limited: httpx.Client) -> None:
    chunks = (b" " * 1_000 for _ in range(30))
    assert_refused(limited.post("/detect", content=chunks), 413, "body_too_large")


@pytest.mark.parametrize(("path", "most"), [("/detect", 10), ("/train", 30)])
def test_logs_beyond_the_limit_are_refused(limited: httpx.Client, path: str, most: int) -> None:
    logs = ordinary(most + 1)
    assert_refused(limited.post(path, json={"logs": logs}), 413, "batch_too_large")
    assert limited.post(path, json={"logs": logs[:most]}).status_code == 200


@pytest.mark.parametrize(("method", "path"), [("GET", "/nowhere"), ("POST", "/detect/")])
def test_an_unknown_path_is_a_404(client: httpx.Client, method: str, path: str) -> None:
    assert_refused(client.request(method, path), 404, "not_found")


def test_another_method_is_a_405_that_names_the_allowed_one(client: httpx.Client) -> None:
    response = client.get("/detect")
    assert_refused(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"


def test_the_openapi_document_has_every_endpoint(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    paths = {"/train", "/detect", "/feedback", "/status", "/health", "/metrics", "/load-model"}
    assert paths <= set(document["paths"])


# --- main.py ------------------------------------------------------------------------------------


def test_main_serves_until_it_is_interrupted(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    statuses: list[int] = []

    def request_and_interrupt() -> None:
        transport = httpx.HTTPTransport(retries=8)  # with growing pauses, a minute in all
        try:
            with httpx.Client(transport=transport) as client:
                statuses.append(client.get(f"http://127.0.0.1:{port}/health").status_code)
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    with environment(tmp_path, HOST="127.0.0.1", PORT=str(port)):
        thread = threading.Thread(target=request_and_interrupt)
        thread.start()
        runpy.run_path(str(Path(__file__).with_name("main.py")), run_name="__main__")
        thread.join()
    assert statuses == [200]


def test_an_invalid_setting_ends_main_with_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="PORT is 'http', but must be a whole number"):
        main_app(tmp_path, PORT="http")
