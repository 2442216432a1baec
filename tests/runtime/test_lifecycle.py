"""A service's life: starts with what is on disk, keeps what it learns, says little about anyone."""

import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from api_anomaly.settings import SAMPLE_TOKEN, variables
from tests.support.paths import ROOT


def journal(folder: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (folder / "logs" / "journal.log").read_text().splitlines()]


def events(folder: Path) -> list[object]:
    return [entry["event"] for entry in journal(folder)]


def scores(client: httpx.Client, batch: list[dict[str, object]]) -> object:
    answer = client.post("/detect", json={"logs": batch, "include_scores": True})
    assert answer.status_code == 200, answer.text
    return answer.json()["scores"]


def test_a_restart_brings_model_and_memory_back(serve, logs, tmp_path: Path) -> None:
    batch = logs(60, start=1_700_010_000.0, seed=3)
    with serve() as client:
        version = client.post("/train", json={"logs": logs(300)}).json()["model_version"]
        scores(client, batch[:30])
        expected = client.post(
            "/detect", json={"logs": batch[30:], "include_scores": True, "update_state": False}
        ).json()["scores"]
    with serve() as client:
        status = client.get("/status").json()
        assert status["model_version"] == version
        assert status["training_samples"] == 300
        assert status["memory"]["snapshot_age_seconds"] >= 0
        assert scores(client, batch[30:]) == expected
    assert events(tmp_path).count("started") == 1


def test_the_memory_is_kept_soon_after_a_training_and_then_every_so_often(
    serve, logs, tmp_path: Path
) -> None:
    with serve(snapshot_seconds=0.01) as client:
        client.post("/train", json={"logs": logs(100)})
        for _ in range(5_000):
            text = client.get("/metrics").text
            if int(re.search(r'snapshots_total\{outcome="success"\} (\d+)', text)[1]) >= 3:
                break
        else:
            pytest.fail("the memory was not kept again")
        assert (tmp_path / "models" / "memory.snapshot").exists()
        assert client.get("/status").json()["memory"]["snapshot_age_seconds"] < 60


def test_a_tampered_model_is_named_and_the_service_starts_without(
    serve, logs, tmp_path: Path
) -> None:
    with serve() as client:
        client.post("/train", json={"logs": logs(100)})
    forest = (tmp_path / "models" / "isolation_forest.pkl").resolve()
    forest.write_bytes(forest.read_bytes()[:-1])
    with serve() as client:
        assert client.get("/health").json()["model_loaded"] is False
        assert client.post("/load-model").json()["code"] == "model_not_trusted"
        assert client.post("/train", json={"logs": logs(100)}).status_code == 200
    assert "model not loaded" in events(tmp_path)


def test_a_damaged_snapshot_is_named_and_the_service_starts_with_an_empty_memory(
    serve, logs, tmp_path: Path
) -> None:
    with serve() as client:
        client.post("/train", json={"logs": logs(100)})
    (tmp_path / "models" / "memory.snapshot").write_bytes(b"damaged")
    with serve() as client:
        memory = client.get("/status").json()["memory"]
        assert memory["entities"]["actors"] == 0
        assert memory["snapshot_age_seconds"] is None
    assert "memory not restored" in events(tmp_path)


def test_a_snapshot_that_cannot_be_written_is_named_and_nothing_else_happens(
    serve, logs, tmp_path: Path
) -> None:
    (tmp_path / "models" / ".memory.snapshot.part").mkdir(parents=True)
    with serve() as client:
        client.post("/train", json={"logs": logs(100)})
        assert client.post("/detect", json={"logs": logs(5)}).status_code == 200
    assert "memory not kept" in events(tmp_path)
    assert not (tmp_path / "models" / "memory.snapshot").exists()


def test_no_token_is_the_default_one_is_made_and_shown_once(
    serve, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with serve(auth_token=()) as client:
        token = (tmp_path / "models" / "auth_token").read_text().strip()
        assert client.get("/status").status_code == 401
        accepted = client.get("/status", headers={"Authorization": f"Bearer {token}"})
        assert accepted.status_code == 200
        assert capsys.readouterr().out.count(token) == 1
    with serve(auth_token=()) as client:
        accepted = client.get("/status", headers={"Authorization": f"Bearer {token}"})
        assert accepted.status_code == 200
        assert token not in "".join(capsys.readouterr())
    assert token not in (tmp_path / "logs" / "journal.log").read_text()


def test_the_documents_sample_token_works_with_a_warning(serve, tmp_path: Path) -> None:
    with serve(auth_token=(SAMPLE_TOKEN,)) as client:
        accepted = client.get("/status", headers={"Authorization": f"Bearer {SAMPLE_TOKEN}"})
        assert accepted.status_code == 200
    warnings = [entry for entry in journal(tmp_path) if entry["level"] == "WARNING"]
    assert "sample value" in str(warnings[0]["event"])
    assert SAMPLE_TOKEN not in (tmp_path / "logs" / "journal.log").read_text()


def test_a_signing_key_of_ones_own_is_used_and_none_is_made(serve, logs, tmp_path: Path) -> None:
    with serve(model_signing_key=("a key of the operator",)) as client:
        client.post("/train", json={"logs": logs(50)})
    assert not (tmp_path / "models" / "signing_key").exists()
    with serve(model_signing_key=("another key of the operator",)) as client:
        assert client.post("/load-model").json()["code"] == "model_not_trusted"


def test_a_training_that_cannot_be_stored_is_a_507_with_the_reason(
    serve, logs, tmp_path: Path
) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "models" / "versions").write_text("a file where the folder should be")
    with serve() as client:
        answer = client.post("/train", json={"logs": logs(50)})
        assert (answer.status_code, answer.json()["code"]) == (507, "storage_failed")
        assert "could not be stored" in answer.json()["detail"]
        assert client.get("/health").json()["model_loaded"] is False


def test_a_models_folder_that_cannot_be_written_still_serves(serve, tmp_path: Path) -> None:
    (tmp_path / "models").write_text("a file where the folder should be")
    with serve(model_path=tmp_path / "models" / "m.pkl") as client:
        assert client.get("/health").status_code == 200
    assert "signing key not kept: models on disk will not verify" in events(tmp_path)


def test_nothing_about_anyone_is_in_the_journal(serve, logs, tmp_path: Path) -> None:
    marks = {
        "user_id": "mark-user",
        "endpoint": "/mark-path?mark-query",
        "ip_address": "203.0.113.77",
        "user_agent": "mark-agent",
        "method": "MARKMETHOD",
    }
    odd = [log | marks for log in logs(40, start=1_700_050_000.0)]
    with serve(log_level="TRACE", auth_token=("mark-token", "a-token-of-the-tests")) as client:
        client.post("/train", json={"logs": logs(200) + odd})
        client.post("/detect", json={"logs": odd, "threshold": 0.0})
        client.post("/detect", json={"logs": odd}, headers={"Idempotency-Key": "mark-key"})
        client.post("/detect", json={"logs": [marks]}, headers={"X-Request-ID": "mark-id"})
        client.post("/detect", content=b'{"mark-body')
        client.post("/detect", content=b"mark", headers={"Content-Encoding": "gzip"})
        client.post("/detect", content=b"mark", headers={"Content-Encoding": "mark-encoding"})
        client.get("/mark-path?mark-query")
        client.get("/status", headers={"Authorization": "Bearer mark-token"})
        client.get("/status", headers={"Authorization": "Bearer mark-wrong"})
        client.post("/load-model")
    text = (tmp_path / "logs" / "journal.log").read_text()
    assert len(text.splitlines()) > 10
    assert "anomalies found" in text
    assert "mark" not in text.lower()
    for secret in ("203.0.113.77", "127.0.0.1", "a-token-of-the-tests"):
        assert secret not in text


@contextmanager
def process(folder: Path, **environ: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """`python main.py` in `folder`, listening; killed at the end if it still runs."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    command = [sys.executable, str(ROOT / "main.py")]
    settings = {"HOST": "127.0.0.1", "PORT": port, "MEMORY_ENTITIES": "500"} | environ
    inherited = {name: value for name, value in os.environ.items() if name not in variables()}
    with subprocess.Popen(
        command, cwd=folder, env=inherited | settings, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stderr is not None
        for line in server.stderr:
            if "started" in line:
                break
        yield server, f"http://127.0.0.1:{port}"
        if server.poll() is None:
            server.kill()


def answered(url: str, headers: dict[str, str]) -> httpx.Client:
    """A client of a server that has begun to listen: the kernel queues us until it accepts."""
    transport = httpx.HTTPTransport(retries=8)
    return httpx.Client(base_url=url, headers=headers, transport=transport, timeout=300)


def test_sigterm_keeps_the_memory(logs, tmp_path: Path) -> None:
    headers = {"Authorization": "Bearer token"}
    with process(tmp_path, AUTH_TOKEN="token") as (server, url):
        with answered(url, headers) as client:
            assert client.post("/train", json={"logs": logs(100)}).status_code == 200
            stranger = logs(1, start=1_700_020_000.0)[0] | {"user_id": "a stranger"}
            assert client.post("/detect", json={"logs": [stranger]}).status_code == 200
            actors = client.get("/status").json()["memory"]["entities"]["actors"]
        server.send_signal(signal.SIGTERM)
        assert server.wait(20) in (0, -signal.SIGTERM)
    assert (tmp_path / "models" / "memory.snapshot").exists()
    entries = [
        json.loads(line)
        for line in (tmp_path / "logs" / "anomaly_detection.log").read_text().splitlines()
    ]
    assert entries[-1]["event"] == "stopped"
    assert actors == 17


@pytest.mark.parametrize(
    ("variable", "value"), [("PORT", "http"), ("WEB_CONCURRENCY", "4"), ("SSL_KEYFILE", "key.pem")]
)
def test_a_bad_setting_ends_main_with_one_sentence(
    tmp_path: Path, variable: str, value: str
) -> None:
    ended = subprocess.run(
        [sys.executable, str(ROOT / "main.py")],
        cwd=tmp_path,
        env={**os.environ, variable: value},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 1
    assert variable in ended.stderr
    assert len(ended.stderr.splitlines()) == 1
    assert not (tmp_path / "models").exists()


def test_tls_is_spoken_when_a_certificate_is_given(tmp_path: Path) -> None:
    if shutil.which("openssl") is None:
        pytest.skip("openssl makes the certificate of this test")
    subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=IP:127.0.0.1"]
    files = ["-keyout", "key.pem", "-out", "cert.pem"]
    make = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    subprocess.run(
        [*make, "-nodes", "-days", "1", *files, *subject],
        cwd=tmp_path,
        check=True,
        capture_output=True,
    )
    with process(tmp_path, AUTH_TOKEN="t", SSL_CERTFILE="cert.pem", SSL_KEYFILE="key.pem") as (
        _,
        url,
    ):
        import ssl

        trusted = ssl.create_default_context(cafile=str(tmp_path / "cert.pem"))
        transport = httpx.HTTPTransport(verify=trusted, retries=8)
        with httpx.Client(transport=transport) as client:
            assert client.get(url.replace("http", "https") + "/health").status_code == 200
