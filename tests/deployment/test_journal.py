"""The service's own log, after a busy run: useful, rotated, without personal data."""

import json
import os
import socket
import time
from pathlib import Path

import httpx

from api_anomaly.telemetry.journal import Journal
from tests.deployment.conftest import TOKEN, Running

_DAY = 86_400


def test_a_busy_run_leaves_no_secret_and_no_personal_data_in_the_log(
    serve, logs, tmp_path: Path
) -> None:
    marked = [
        log | {"user_agent": "Marked-Agent/7", "endpoint": f"/secret-path/{log['user_id']}"}
        for log in logs(300)
    ]
    with serve(log_level="TRACE", alert_budget=0.4) as client:
        client.post("/train", json={"logs": marked}).raise_for_status()
        found = client.post("/detect", json={"logs": marked, "threshold": -0.1}).json()
        client.post("/detect", json={"logs": [{"user_id": "user-in-a-broken-log"}]})
        client.post("/detect", content=b'{"logs": "user-in-no-json')
        client.get("/status", headers={"Authorization": "Bearer wrong-token-of-somebody"})
        client.get("/secret-path/user-1?token=query-token")
        client.post("/load-model").raise_for_status()
        token = client.headers["Authorization"].removeprefix("Bearer ")
    assert found["anomaly_count"] > 100
    text = (tmp_path / "logs" / "journal.log").read_text()
    entries = [json.loads(line) for line in text.splitlines()]
    assert len(entries) > 8
    assert all({"time", "level", "event"} <= set(entry) for entry in entries)
    assert sum("request_id" in entry for entry in entries) >= 6
    private = [token, "wrong-token", "query-token", "user-", "192.0.2.", "Marked-Agent", "secret-"]
    key = (tmp_path / "models" / "signing_key").read_text().strip()
    assert [word for word in [*private, key] if word in text] == []


def raw_request(port: int, text: str) -> None:
    """Bytes that no HTTP client would send."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(text.encode())
        connection.recv(1_000)


def busy_hour(client: httpx.Client, logs: list[dict[str, object]], port: int) -> None:
    """All that can be done to a service, with somebody's name in every place that takes one."""
    client.post("/train", json={"logs": logs}).raise_for_status()
    client.post("/train", json={"logs": logs[:2]})
    for number in range(0, 1_000, 100):
        answer = client.post("/detect", json={"logs": logs[number : number + 100]})
        answer.raise_for_status()
    all_flagged = {"logs": logs[:300], "threshold": -0.01, "include_scores": True}
    assert client.post("/detect", json=all_flagged).json()["anomaly_count"] > 200
    keyed = {"Idempotency-Key": "anna-retries", "X-Request-Id": "anna@example.com"}
    for count in (1, 2):
        client.post("/detect", json={"logs": logs[:count]}, headers=keyed)
    client.post("/detect", json={"logs": [logs[0] | {"user_id": "anna", "status_code": "anna"}]})
    client.post("/detect", content=b'{"logs": [{"user_id": "anna"')
    client.post("/detect", content=b"anna", headers={"Content-Encoding": "gzip"})
    client.post("/detect", content=b"anna", headers={"Content-Encoding": "anna"})
    client.post("/load-model").raise_for_status()
    for header in ("Bearer token-of-anna", "Basic YW5uYTpzZWNyZXQ=", "anna"):
        client.get("/status", headers={"Authorization": header, "User-Agent": "Marked-Agent/7"})
    client.get("/users/anna?token=token-of-anna", headers={"Referer": "/anna", "Cookie": "id=anna"})
    client.request("ANNA", "/detect")
    raw_request(port, "GET /anna HTTP/9.9\r\nX: anna\r\n\r\n")
    raw_request(port, "anna anna anna\r\n\r\n")
    raw_request(port, "POST /detect HTTP/1.1\r\nHost: anna\r\nContent-Length: anna\r\n\r\n")


def test_log_and_terminal_of_a_busy_process_hold_no_personal_data(
    running: Running, service: httpx.Client, logs, tmp_path: Path
) -> None:
    who = {"ip_address": "2001:db8::a11a:cafe", "user_agent": "Marked-Agent/7 (anna)"}
    marked = [
        log | who | {"user_id": f"anna.{number % 9}@example.com", "endpoint": f"/anna/{number}"}
        for number, log in enumerate(logs(1_000))
    ]
    busy_hour(service, marked, running.port)
    running.process.popen.terminate()
    running.process.popen.wait(60)
    terminal = running.process.output.read_text()
    text = (tmp_path / "logs" / "journal.log").read_text()
    events = [json.loads(line)["event"] for line in text.splitlines()]
    assert events.count("request") >= 20
    assert {"training ended", "stopped"} <= set(events)
    assert "training ended outcome=success" in terminal
    key = (tmp_path / "models" / "signing_key").read_text().strip()
    private = [TOKEN, key, "anna", "example.com", "2001:db8", "Marked-Agent", "YW5uYTpzZWNyZXQ"]
    private += ["192.0.2.", "a11a:cafe"]
    assert [word for word in private if word.lower() in (text + terminal).lower()] == []


def test_log_rotates_daily_and_keeps_thirty_days(tmp_path: Path) -> None:
    file = tmp_path / "journal.log"
    for name, days in (("journal.log", 2), ("journal.old.log", 40), ("journal.recent.log", 20)):
        (tmp_path / name).write_text("{}\n")
        past = time.time() - days * _DAY
        os.utime(tmp_path / name, (past, past))
    journal = Journal("INFO", file)
    journal.info("a new day")
    journal.close()
    assert [json.loads(line)["event"] for line in file.read_text().splitlines()] == ["a new day"]
    kept = sorted(path.name for path in tmp_path.iterdir())
    assert len(kept) == 3
    assert "journal.old.log" not in kept
    assert "journal.recent.log" in kept
