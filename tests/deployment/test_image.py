"""The image: built from the Dockerfile by podman, and run the way an orchestrator would."""

import json

import pytest

from tests.deployment.conftest import Image, RealParts, Start, until

pytestmark = pytest.mark.slow
_MEGABYTE = 1_000_000


def history(logs, count=1_000):
    return {"logs": logs(count)}


def test_the_image_is_below_a_gigabyte_and_says_what_it_is(parts: RealParts, image: Image) -> None:
    assert image.bytes < 1_000 * _MEGABYTE
    (facts,) = json.loads(parts.podman("image", "inspect", image.name).stdout)
    config = facts["Config"]
    assert config["User"] == "10001:10001"
    assert set(config["Volumes"]) == {"/app/models", "/app/logs"}
    assert config["Labels"]["org.opencontainers.image.licenses"] == "MIT"
    assert facts["Healthcheck"]["Test"][-1] == "api_anomaly.http.healthcheck"
    secrets = [entry for entry in config["Env"] if "TOKEN" in entry or "KEY" in entry]
    assert secrets == []


def test_it_serves_with_a_read_only_root_without_root_and_without_capabilities(
    parts: RealParts, start: Start, logs
) -> None:
    with start() as container:
        assert container.client.post("/train", json=history(logs)).status_code == 200
        answer = container.client.post("/detect", json=history(logs, 300))
        assert answer.json()["total_logs"] == 300
        shell = parts.podman(
            "exec", container.name, "sh", "-c", "id -u; grep -E 'CapEff|NoNewPrivs' /proc/1/status"
        )
        assert shell.stdout.split() == ["10001", "CapEff:", "0" * 16, "NoNewPrivs:", "1"]
        written = parts.podman("exec", container.name, "touch", "/tmp/file", check=False)
        assert "Read-only file system" in written.stderr


def test_it_starts_within_seconds_because_its_kernels_are_already_compiled(
    parts: RealParts, start: Start, logs
) -> None:
    with start() as first:
        first.client.post("/train", json=history(logs)).raise_for_status()
        parts.podman("stop", first.name)
    with start() as container:
        assert container.seconds < 15
        answer = container.client.post("/detect", json=history(logs, 1))
        assert answer.status_code == 200
        assert answer.elapsed.total_seconds() < 1
        kept = "from api_anomaly.kernels import cache_folder; print(*cache_folder())"
        folder, writable = parts.podman("exec", container.name, "python", "-c", kept).stdout.split()
        assert folder.startswith("/app/api_anomaly/__pycache__/kernels-")
        assert writable == "False"


def test_model_and_memory_survive_a_new_container(parts: RealParts, start: Start, logs) -> None:
    with start() as container:
        trained = container.client.post("/train", json=history(logs)).json()
        known = container.client.get("/status").json()["memory"]["entities"]
        parts.podman("stop", container.name)
        state = json.loads(parts.podman("inspect", container.name).stdout)[0]["State"]
        assert state["ExitCode"] == 0
    with start() as container:
        status = container.client.get("/status").json()
        assert status["model_version"] == trained["model_version"]
        assert status["memory"]["entities"] == known


def test_its_health_check_sees_a_service_that_is_well_and_one_that_hangs(
    parts: RealParts, start: Start
) -> None:
    with start() as container:
        assert parts.podman("healthcheck", "run", container.name).returncode == 0
        # A stopped process keeps its port open and never answers.
        parts.podman("kill", "--signal=STOP", container.name)
        alive = ("exec", container.name, "python", "-m", "api_anomaly.http.healthcheck")
        until(lambda: parts.podman(*alive, check=False).returncode == 1, "the check fails", 20)
