"""What docs/operations.md tells an operator to do, done."""

import json
import os
import re
import shlex
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from api_anomaly.http.healthcheck import serves
from api_anomaly.settings import Settings
from tests.deployment.conftest import ROOT, TOKEN, Running, Spawn, answers, free_port, until

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
OLD_KEY, NEW_KEY = "the old key of the tests", "the new key of the tests"


def trained(client: httpx.Client, logs: Callable[..., list[dict[str, object]]]) -> str:
    """The version of a model that was just trained."""
    return str(client.post("/train", json={"logs": logs(200)}).json()["model_version"])


def served(client: httpx.Client) -> object:
    """The version of the served model."""
    return client.get("/status").json()["model_version"]


def test_going_back_to_an_older_model(serve, logs, tmp_path: Path) -> None:
    with serve() as client:
        older, newer = trained(client, logs), trained(client, logs)
        models = tmp_path / "models"
        (models / "next").symlink_to(f"versions/{older}")
        (models / "next").replace(models / "current")
        assert served(client) == newer
        assert client.post("/load-model").json()["model_version"] == older
        assert served(client) == older


def test_rotating_the_token(serve) -> None:
    with serve(auth_token=("new", "old")) as client:
        for token, status in (("new", 200), ("old", 200), ("other", 401)):
            headers = {"Authorization": f"Bearer {token}"}
            assert client.get("/status", headers=headers).status_code == status


def test_rotating_the_signing_key(serve, logs) -> None:
    with serve(model_signing_key=(OLD_KEY,)) as client:
        before = trained(client, logs)
        entities = client.get("/status").json()["memory"]["entities"]
    with serve(model_signing_key=(NEW_KEY, OLD_KEY)) as client:
        assert served(client) == before
        after = trained(client, logs)
    with serve(model_signing_key=(NEW_KEY,)) as client:
        assert served(client) == after
        assert client.get("/status").json()["memory"]["entities"] == entities


def tar(task: str, *, app: Path, backup: Path) -> int:
    """The code with which the tar of the docs ends, run here instead of in a container."""
    (command,) = re.findall(rf"    api-anomaly-detection ({task} .*)", OPERATIONS)
    here = command.replace("/app", str(app)).replace("/backup", str(backup))
    return subprocess.run(["tar", *shlex.split(here)]).returncode


def test_a_backup_of_the_running_service_restores_model_and_memory(
    serve, logs, tmp_path: Path
) -> None:
    with serve(snapshot_seconds=0.05) as client:
        version = trained(client, logs)
        client.post("/detect", json={"logs": logs(50)}).raise_for_status()
        kept = lambda: client.get("/status").json()["memory"]["snapshot_age_seconds"]  # noqa: E731
        until(lambda: kept() is not None, "a snapshot was kept")
        (tmp_path / "models" / ".a-file-that-is-being-written.part").write_bytes(b"half")
        assert tar("-czf", app=tmp_path, backup=tmp_path) in {0, 1}
        entities = client.get("/status").json()["memory"]["entities"]
    restored = tmp_path / "restored"
    restored.mkdir()
    assert tar("-xzpf", app=restored, backup=tmp_path) == 0
    models = restored / "models"
    assert not list(models.glob(".*.part"))
    paths = {"model_path": models / "isolation_forest.pkl", "scaler_path": models / "scaler.pkl"}
    with serve(**paths) as client:
        assert served(client) == version
        assert client.get("/status").json()["memory"]["entities"] == entities


def certificate(folder: Path) -> ssl.SSLContext:
    """privkey.pem and fullchain.pem from the docs' command, and a client that trusts them."""
    (command,) = re.findall(r"To try it: `openssl (.*?)`", OPERATIONS, re.DOTALL)
    subprocess.run(["openssl", *command.split()], cwd=folder, check=True, capture_output=True)
    return ssl.create_default_context(cafile=folder / "fullchain.pem")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
def test_https_with_certificate_files(spawn: Spawn, tmp_path: Path) -> None:
    trust = certificate(tmp_path)
    port = free_port()
    settings = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "AUTH_TOKEN": TOKEN,
        "SSL_CERTFILE": str(tmp_path / "fullchain.pem"),
        "SSL_KEYFILE": str(tmp_path / "privkey.pem"),
    }
    spawn(sys.executable, ROOT / "main.py", cwd=tmp_path, env=os.environ | settings)
    until(lambda: serves(Settings(**settings)), "the health check is content")
    answer = httpx.get(f"https://localhost:{port}/health", verify=trust)
    assert answer.json()["status"] == "healthy"


@pytest.mark.slow
def test_https_behind_nginx(
    running: Running,
    service: httpx.Client,
    spawn: Spawn,
    program: Callable[[str], str],
    logs,
    tmp_path: Path,
) -> None:
    trust, port = certificate(tmp_path), free_port()
    (server,) = re.findall(r"```nginx\n(.*?)```", OPERATIONS, re.DOTALL)
    for written, here in (
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("api-anomaly.example.com", "localhost"),
        ("/tls", str(tmp_path)),
        (":8000;", f":{running.port};"),
    ):
        assert written in server
        server = server.replace(written, here)
    paths = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    temporary = "".join(f"{name}_temp_path {tmp_path};" for name in paths)
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(
        f"daemon off; master_process off; pid {tmp_path}/nginx.pid; error_log stderr;"
        f"events {{}} http {{ access_log off; {temporary} {server} }}"
    )
    spawn(program("nginx"), "-e", "stderr", "-c", configuration)
    headers = service.headers
    address = f"https://localhost:{port}"
    with httpx.Client(base_url=address, verify=trust, headers=headers, timeout=120) as client:
        until(lambda: answers(client), "nginx passes the question on")
        # More than nginx's own limit of 1 MB.
        history = {"logs": logs(8_000)}
        assert len(json.dumps(history)) > 1_500_000
        assert client.post("/train", json=history).status_code == 200
        assert client.get("/status").json()["is_trained"]
        assert client.get("/metrics").status_code == 404
