"""docker-compose.yml, brought up for real by podman-compose: the service, Prometheus, Alertmanager.

Grafana's server cannot be had from Debian or PyPI, so it is left out by name.
"""

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.shipping.conftest import ROOT, TOKEN, Image, Parts, answers, caller, free_port, until

pytestmark = pytest.mark.slow
STACK = ("api", "prometheus", "alertmanager")
PORTS = {"api": 8000, "prometheus": 9090, "alertmanager": 9093}


class Stack:
    """A copy of the project's compose file, with free ports and a name of its own."""

    def __init__(self, parts: Parts, folder: Path) -> None:
        self.parts = parts
        self.folder = folder
        self.ports = {name: free_port() for name in PORTS}
        shutil.copytree(ROOT / "monitoring", folder / "monitoring")
        # The stand-ins of scripts/slow_parts have the images' names, never their digests.
        text = re.sub("@sha256:[0-9a-f]{64}", "", (ROOT / "docker-compose.yml").read_text())
        for name, port in PORTS.items():
            text = text.replace(f":{port}:{port}", f":{self.ports[name]}:{port}")
        compose = yaml.safe_load(text)
        self.name = compose["name"] = f"stack-{self.ports['api']}"
        (folder / "docker-compose.yml").write_text(yaml.safe_dump(compose))

    def compose(self, *arguments: str, check: bool = True, **environment: str):
        """A finished podman-compose command; AUTH_TOKEN only as given."""
        command = (self.parts.tools / "podman-compose", "--in-pod=0", *arguments)
        clean = {name: value for name, value in os.environ.items() if name != "AUTH_TOKEN"}
        parts = self.parts._replace(environment=clean | self.parts.environment | environment)
        return parts.run(*command, check=check, cwd=self.folder)


@pytest.fixture
def stack(parts: Parts, image: Image, tmp_path: Path) -> Iterator[Stack]:
    """The stack, taken down with its volumes at the end."""
    made = Stack(parts, tmp_path)
    parts.podman("tag", image.name, "localhost/api-anomaly-detection:latest")
    yield made
    made.compose("down", "--volumes", "--timeout=5", check=False, AUTH_TOKEN=TOKEN)


def test_it_refuses_to_start_without_a_token_and_says_so(stack: Stack) -> None:
    done = stack.compose("up", "--detach", "api", check=False)
    assert done.returncode != 0
    assert "Set AUTH_TOKEN" in done.stdout + done.stderr


def test_the_service_prometheus_and_alertmanager_find_each_other(stack: Stack, logs) -> None:
    stack.compose("up", "--detach", "--no-build", *STACK, AUTH_TOKEN=TOKEN)
    with caller(stack.ports["api"]) as client:
        until(lambda: answers(client), "the service answers")
        assert client.post("/train", json={"logs": logs(500)}).status_code == 200
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
    for name in STACK:
        # No systemd, no timers: what they would run is run here.
        container = f"{stack.name}_{name}_1"
        assert stack.parts.podman("healthcheck", "run", container).returncode == 0
