"""What docs/operations.md tells an operator to do, done."""

import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from api_anomaly.service.alive import serves
from api_anomaly.service.settings import Settings
from tests.shipping.conftest import ROOT, TOKEN, Spawn, free_port, until

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


def test_a_backup_of_the_running_service_restores_model_and_memory(
    serve, logs, tmp_path: Path
) -> None:
    with serve(snapshot_seconds=0.05) as client:
        version = trained(client, logs)
        client.post("/detect", json={"logs": logs(50)}).raise_for_status()
        kept = lambda: client.get("/status").json()["memory"]["snapshot_age_seconds"]  # noqa: E731
        until(lambda: kept() is not None, "a snapshot was kept")
        shutil.copytree(tmp_path / "models", tmp_path / "backup", symlinks=True)
        entities = client.get("/status").json()["memory"]["entities"]
    backup = tmp_path / "backup"
    paths = {"model_path": backup / "isolation_forest.pkl", "scaler_path": backup / "scaler.pkl"}
    with serve(**paths) as client:
        assert served(client) == version
        assert client.get("/status").json()["memory"]["entities"] == entities


@pytest.mark.skipif(shutil.which("openssl") is None, reason="no openssl here")
def test_https_with_certificate_files(spawn: Spawn, tmp_path: Path) -> None:
    command = "req -x509 -newkey rsa:3072 -nodes -days 30 -subj /CN=localhost".split()
    command += ["-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(tmp_path / "privkey.pem"), "-out", str(tmp_path / "fullchain.pem")]
    subprocess.run(["openssl", *command, *files], check=True, capture_output=True)
    port = free_port()
    settings = {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "AUTH_TOKEN": TOKEN,
        "SSL_CERTFILE": str(tmp_path / "fullchain.pem"),
        "SSL_KEYFILE": str(tmp_path / "privkey.pem"),
    }
    spawn(sys.executable, ROOT / "main.py", cwd=tmp_path, env=os.environ | settings)
    until(lambda: serves(Settings.from_environ(settings)), "the health check is content")
    trust = ssl.create_default_context(cafile=tmp_path / "fullchain.pem")
    answer = httpx.get(f"https://localhost:{port}/health", verify=trust)
    assert answer.json()["status"] == "healthy"
