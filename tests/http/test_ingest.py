"""POST /ingest: lines in, kept and scored, each by itself."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from tests.support.history import kept_logs, wait_until


def combined(log: dict[str, Any]) -> str:
    moment = log["timestamp"]
    if not isinstance(moment, str):
        moment = datetime.fromtimestamp(moment, UTC).isoformat()
    at = datetime.fromisoformat(str(moment)).astimezone(UTC).strftime("%d/%b/%Y:%H:%M:%S +0000")
    return (
        f'{log["ip_address"]} - {log["user_id"]} [{at}]'
        f' "{log["method"]} {log["endpoint"]} HTTP/1.1"'
        f' {log["status_code"]} 100 "-" "{log["user_agent"]}"'
    )


def ingest(client: httpx.Client, body: str | bytes, **headers: str) -> dict[str, Any]:
    response = client.post("/ingest", content=body, headers=headers)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def test_lines_are_kept_before_there_is_a_model(serve, logs, tmp_path: Path) -> None:
    lines = "\n".join(map(combined, logs(100)))
    with serve() as client:
        found = ingest(client, lines)
        assert (found["accepted"], found["scored"], found["rejected"]) == (100, 0, 0)
        assert found["format"] == "combined" and found["model_version"] is None
        status = client.get("/status").json()
        assert status["history"]["logs"] == 100
        assert found["first_training"] == status["first_training"]
        assert status["first_training"]["missing_logs"] == 9_900
        assert status["first_training"]["missing_hours"] > 0
    frame = kept_logs(tmp_path / "models")
    assert len(frame) == 100
    assert set(frame["user_id"]) == {log["user_id"] for log in logs(100)}


def test_a_bad_line_costs_no_other(serve, logs) -> None:
    lines = [combined(log).encode() for log in logs(20)]
    lines[7] = b"no log at all"
    lines[9] = lines[9].replace(b"HTTP/1.1", b"\xff HTTP/1.1")
    with serve() as client:
        found = ingest(client, b"\n".join(lines))
        assert (found["accepted"], found["rejected"]) == (19, 1)
        assert [error["line"] for error in found["errors"]] == [8]
        nothing = client.post("/ingest", content=b"no log\nnor this")
        assert nothing.status_code == 422
        assert nothing.json()["code"] in ("nothing_readable", "format_unknown")
        assert ingest(client, b"")["accepted"] == 0


def test_the_same_body_is_a_retry_and_one_line_is_not(serve, logs) -> None:
    lines = [combined(log) for log in logs(30)]
    with serve() as client:
        first = ingest(client, "\n".join(lines))
        assert ingest(client, "\n".join(lines)) == first
        assert client.get("/status").json()["history"]["logs"] == 30
        for _ in range(2):
            ingest(client, lines[0])
        assert client.get("/status").json()["history"]["logs"] == 32
        keyed = {"Idempotency-Key": "a"}
        for _ in range(2):
            ingest(client, lines[0], **keyed)
        assert client.get("/status").json()["history"]["logs"] == 33
        other = client.post("/ingest", content=lines[1], headers=keyed)
        assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")


def test_the_service_trains_itself_once_the_history_is_long_enough(serve, logs) -> None:
    options = {"first_training_logs": 150, "first_training_hours": 0.0, "forest_trees": 5}
    lines = [json.dumps(log) for log in logs(400)]
    with serve(**options) as client:
        ingest(client, "\n".join(lines[:100]))
        assert client.get("/status").json()["first_training"]["missing_logs"] == 50
        ingest(client, "\n".join(lines[100:300]))
        wait_until(lambda: bool(client.get("/status").json()["is_trained"]))
        status = client.get("/status").json()
        assert status["training_samples"] == 300 and status["first_training"] is None
        found = ingest(client, "\n".join(lines[300:]))
        assert found["scored"] == 100 and found["model_version"] == status["model_version"]


def test_anomalies_are_listed_with_their_lines(serve, logs) -> None:
    with serve(forest_trees=5, alert_budget=0.2) as client:
        client.post("/train", json={"logs": logs(300)})
        attack = [
            log | {"user_id": "mallory", "endpoint": f"/secret/{i}", "status_code": 403}
            for i, log in enumerate(logs(40))
        ]
        body = "not a log\n" + "\n".join(map(combined, attack))
        found = client.post("/ingest?anomalies=true", content=body).json()
        assert found["anomaly_count"] == len(found["anomalies"]) > 0
        for anomaly in found["anomalies"]:
            assert anomaly["endpoint"] == attack[anomaly["line"] - 2]["endpoint"]


def test_formats_are_listed_and_can_be_named(serve, logs, tmp_path: Path) -> None:
    own = tmp_path / "formats.yaml"
    own.write_text("shop: '$remote_addr|$time_iso8601|$request|$status|$request_time'\n")
    with serve(log_formats_file=own) as client:
        names = {row["name"] for row in client.get("/formats").json()["formats"]}
        assert {"combined", "common", "alb"} <= names
        unknown = client.post("/ingest?format=nothing", content="x")
        assert (unknown.status_code, unknown.json()["code"]) == (422, "format_unknown")
        line = "192.0.2.1|2024-06-01T08:22:03+00:00|GET /a HTTP/1.1|200|0.25"
        for query in ({"format": "shop"}, {"log_format": own.read_text()[7:-2]}):
            response = client.post("/ingest", params=query, content=line)
            assert response.json()["accepted"] == 1, response.text


def test_ingest_needs_its_scope_and_late_logs_are_counted(serve, logs) -> None:
    now = datetime.now(UTC).isoformat()
    with serve() as client:
        assert client.post("/ingest", headers={"Authorization": "Bearer x"}).status_code == 401
        body = "\n".join(json.dumps(log) for log in (logs(1)[0], logs(1)[0] | {"timestamp": now}))
        found = ingest(client, body)
        assert (found["accepted"], found["late"]) == (2, 1)


def test_a_proxys_address_on_every_log_is_said(serve, logs) -> None:
    lines = []
    for i, log in enumerate(logs(2_500)):
        crowd = {"user_id": f"user-{i % 300}", "user_agent": f"agent/{i % 40}"}
        endpoint = "/api/" + ("items", "orders", "users", "carts", "search", "stock")[i % 6]
        lines.append(combined(log | crowd | {"ip_address": "192.0.2.10", "endpoint": endpoint}))
    with serve() as client:
        found = [ingest(client, "\n".join(lines[i : i + 500])) for i in range(0, 2_500, 500)]
        assert any("address" in warning for warning in found[-1]["warnings"])
        codes = {warning["code"] for warning in client.get("/status").json()["warnings"]}
        assert "one_address" in codes
