"""What the scopes of a token allow, and the audit log of it."""

import json
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.server import TOKEN


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_metrics_are_public_unless_a_token_is_set(serve) -> None:
    with serve(metrics_token=("only-metrics",)) as client:
        refused = httpx.get(f"{client.base_url}/metrics")
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        for token in ("only-metrics", TOKEN):
            assert client.get("/metrics", headers=bearer(token)).status_code == 200


def test_a_metrics_token_is_for_metrics_only(serve) -> None:
    with serve(metrics_token=("only-metrics",)) as client:
        assert client.get("/status", headers=bearer("only-metrics")).status_code == 403


@pytest.fixture()
def audit(serve, logs, tmp_path: Path, new_token) -> tuple[list[dict[str, Any]], str, str]:
    """Audit entries of some requests, the whole journal, and the token that was used."""
    token = new_token("night-job", "train")
    with serve(tokens_file=tmp_path / "tokens", log_level="CRITICAL") as client:
        client.post("/train", json={"logs": logs(100)}, headers=bearer(token))
        client.post("/train", json={"logs": logs(3)})
        client.post("/load-model", headers=bearer(token))
        client.post("/load-model", headers=bearer("a wrong token of somebody"))
        client.post("/load-model")
        client.get("/status")
        client.post("/detect", json={"logs": logs(1)})
    text = (tmp_path / "logs" / "journal.log").read_text()
    entries = [json.loads(line) for line in text.splitlines()]
    return [entry for entry in entries if entry["event"] == "audit"], text, token


def test_requests_that_change_the_model_are_audited_at_every_log_level(audit) -> None:
    entries, _, _ = audit
    assert [
        (entry["token"], entry["endpoint"], entry["status"], entry["result"]) for entry in entries
    ] == [
        ("night-job", "/train", 200, "success"),
        ("env-1", "/train", 422, "too_few_logs"),
        ("night-job", "/load-model", 403, "forbidden"),
        (None, "/load-model", 401, "unauthorized"),
        ("env-1", "/load-model", 200, "success"),
    ]
    assert all(entry["time"] and entry["request_id"] for entry in entries)


def test_the_journal_holds_no_token(audit) -> None:
    _, text, token = audit
    assert token not in text and "wrong token" not in text and TOKEN not in text
