"""The service's own log, after a busy run: useful, rotated, and about nobody."""

import json
import os
import time
from pathlib import Path

from api_anomaly.service.journal import Journal

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


def test_the_log_begins_anew_each_day_and_thirty_days_are_kept(tmp_path: Path) -> None:
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
