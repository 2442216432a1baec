"""docker-compose.yml, brought up for real: the service, Prometheus, Alertmanager.

By Docker's own docker-compose, for which podman stands in as the engine, and by podman-compose.
Grafana's server cannot be had from Debian or PyPI, so it is left out by name.
"""

import json
import os
import re
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.deployment.conftest import (
    ROOT,
    TOKEN,
    Image,
    Output,
    RealParts,
    Spawn,
    answers,
    caller,
    free_port,
    until,
)

pytestmark = pytest.mark.slow
STACK = ("api", "prometheus", "alertmanager")
PORTS = {"api": 8000, "prometheus": 9090, "alertmanager": 9093}


class Stack:
    """A copy of the project's compose file, with free ports and a name of its own."""

    def __init__(self, parts: RealParts, folder: Path, command: tuple[str | Path, ...]) -> None:
        self.parts = parts
        self.folder = folder
        self.command = command
        self.ports = {name: free_port() for name in PORTS}
        self.name = f"stack-{self.ports['api']}"
        shutil.copytree(ROOT / "monitoring", folder / "monitoring")
        # The stand-ins of scripts/slow_parts have the images' names, never their digests.
        text = re.sub("@sha256:[0-9a-f]{64}", "", (ROOT / "docker-compose.yml").read_text())
        for name, port in PORTS.items():
            text = text.replace(f":{port}:{port}", f":{self.ports[name]}:{port}")
        (folder / "docker-compose.yml").write_text(text)

    def compose(self, *arguments: str, check: bool = True, **environment: str) -> Output:
        """A finished command; AUTH_TOKEN only as given."""
        normalize = {name: value for name, value in os.environ.items() if name != "AUTH_TOKEN"}
        named = {"COMPOSE_PROJECT_NAME": self.name} | environment
        parts = self.parts._replace(environment=normalize | self.parts.environment | named)
        return parts.run(*self.command, *arguments, check=check, cwd=self.folder)

    def container(self, name: str) -> str:
        return f"{self.name}_{name}_1"

    def inspected(self, name: str) -> dict[str, dict[str, int]]:
        shown = self.parts.podman("inspect", self.container(name)).stdout
        return dict(json.loads(shown)[0])


@pytest.fixture
def engine(parts: RealParts, spawn: Spawn, tmp_path: Path) -> RealParts:
    """Parts whose DOCKER_HOST is a socket behind which podman understands Docker's words."""
    address = f"unix://{tmp_path}/docker.sock"
    spawn("podman", "system", "service", "--time=0", address, env=parts.environment)
    until((tmp_path / "docker.sock").exists, "podman listens")
    return parts._replace(environment=parts.environment | {"DOCKER_HOST": address})


@pytest.fixture(params=["docker-compose", "podman-compose"])
def stack(
    request: pytest.FixtureRequest, engine: RealParts, image: Image, tmp_path: Path
) -> Iterator[Stack]:
    """The stack, taken down with its volumes at the end."""
    commands: dict[str, tuple[str | Path, ...]] = {
        "docker-compose": ("docker-compose",),
        "podman-compose": (engine.tools / "podman-compose", "--in-pod=0"),
    }
    (tmp_path / "stack").mkdir()
    made = Stack(engine, tmp_path / "stack", commands[request.param])
    engine.podman("tag", image.name, "localhost/api-anomaly-detection:latest")
    yield made
    made.compose("down", "--volumes", "--timeout=5", check=False, AUTH_TOKEN=TOKEN)


def test_it_refuses_to_start_without_a_token_and_says_so(stack: Stack) -> None:
    done = stack.compose("up", "--detach", "api", check=False)
    assert done.returncode != 0
    assert "Set AUTH_TOKEN" in done.stdout + done.stderr


def test_stack_starts_with_limits_and_monitoring_and_restarts_after_a_kill(
    stack: Stack, logs
) -> None:
    stack.compose("up", "--detach", "--no-build", *STACK, AUTH_TOKEN=TOKEN)
    with caller(stack.ports["api"]) as client:
        until(lambda: answers(client), "the service answers")
        assert client.post("/train", json={"logs": logs(500)}).status_code == 200
    they_find_each_other(stack)
    for name in STACK:
        # No systemd, no timers: what they would run is run here.
        assert stack.parts.podman("healthcheck", "run", stack.container(name)).returncode == 0
    host = stack.inspected("api")["HostConfig"]
    assert (host["Memory"], host["NanoCpus"]) == (4 * 1024**3, 2 * 10**9)
    os.kill(stack.inspected("api")["State"]["Pid"], signal.SIGKILL)
    with caller(stack.ports["api"]) as client:
        until(lambda: answers(client, "/status"), "it was started again")
        assert client.get("/status").json()["is_trained"]


def they_find_each_other(stack: Stack) -> None:
    """Prometheus scrapes the service and knows rules and Alertmanager, which is ready."""
    with httpx.Client(base_url=f"http://127.0.0.1:{stack.ports['prometheus']}") as prometheus:
        until(lambda: answers(prometheus, "/-/ready"), "Prometheus is ready")

        def scraped() -> bool:
            found = prometheus.get("/api/v1/query", params={"query": "model_loaded == 1"}).json()
            return bool(found["data"]["result"])

        until(scraped, "the service is scraped by its name")
        groups = prometheus.get("/api/v1/rules").json()["data"]["groups"]
        assert sum(len(group["rules"]) for group in groups) > 20
        found = prometheus.get("/api/v1/alertmanagers").json()["data"]
        assert [one["url"] for one in found["activeAlertmanagers"]] == [
            "http://alertmanager:9093/api/v2/alerts"
        ]
    with httpx.Client(base_url=f"http://127.0.0.1:{stack.ports['alertmanager']}") as alertmanager:
        until(lambda: answers(alertmanager, "/-/ready"), "Alertmanager is ready")
