"""scripts/deploy.sh from end to end: a real build, real pods, a real failure, a real way back.

Only the cluster's own programs are missing: pods_for_kubectl.py does with podman what kubectl asks.
"""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.deployment.conftest import (
    ROOT,
    TOKEN,
    Image,
    RealParts,
    answers,
    caller,
    free_port,
    until,
)

pytestmark = pytest.mark.slow
SCRIPT = Path("scripts") / "deploy.sh"
POD = "api-anomaly-detection-pod-0"


class Cluster:
    """kubectl's stand-in first in PATH, and a copy of the tree to deploy from."""

    def __init__(self, parts: RealParts, options: list[str], folder: Path) -> None:
        self.port = free_port()
        self.folder = folder / "cluster"
        self.tree = folder / "tree"
        copied = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True)
        for name in copied.stdout.splitlines():
            (self.tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, self.tree / name, follow_symlinks=False)
        (self.tree / ".venv").symlink_to(sys.prefix)
        kubectl = self.folder / "bin" / "kubectl"
        kubectl.parent.mkdir(parents=True)
        stand_in = ROOT / "tests" / "deployment" / "pods_for_kubectl.py"
        kubectl.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{stand_in}" "$@"\n')
        kubectl.chmod(0o755)
        self.environment = parts.environment | {
            "PATH": f"{kubectl.parent}:{os.environ['PATH']}",
            "ENGINE": "podman",
            "BUILD_OPTIONS": " ".join(options),
            "ROLLOUT_SECONDS": "30",
            "CLUSTER": str(self.folder),
            "HOST_PORT": str(self.port),
            "REAL_KUBECTL": shutil.which("kubectl") or "",
            "TOKEN_OF_SECRET": TOKEN,
        }
        self.environment.pop("AUTH_TOKEN", None)

    def begin(self, version: str, **environment: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [self.tree / SCRIPT, version, "staging", "--tested"],
            env=self.environment | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def deploy(self, version: str, code: int = 0, **environment: str) -> str:
        """What a deployment that ends with `code` printed."""
        process = self.begin(version, **environment)
        output, _ = process.communicate(timeout=500)
        assert process.returncode == code, output
        return output

    @contextmanager
    def broken_setting(self) -> Iterator[None]:
        """A value in the tree's ConfigMap with which the service refuses to start."""
        file = self.tree / "k8s" / "10-configmap.yaml"
        text = file.read_text()
        assert 'ALERT_BUDGET: "0.001"' in text
        file.write_text(text.replace('ALERT_BUDGET: "0.001"', 'ALERT_BUDGET: "everything"'))
        yield
        file.write_text(text)

    @property
    def asked(self) -> str:
        return (self.folder / "asked").read_text()

    @property
    def held(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "state.json").read_text()))


@pytest.fixture(scope="module")
def registry(parts: RealParts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """host:port of a registry on this machine, without TLS."""
    folder, address = tmp_path_factory.mktemp("registry"), f"localhost:{free_port()}"
    settings = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(folder / "images")}},
        "http": {"addr": address},
    }
    (folder / "registry.yml").write_text(yaml.safe_dump(settings))
    command = ["docker-registry", "serve", folder / "registry.yml"]
    with open(folder / "output", "wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    with httpx.Client(base_url=f"http://{address}") as client:
        until(lambda: answers(client, "/v2/"), "the registry answers")
    yield address
    process.terminate()
    process.wait(30)


@pytest.fixture(scope="module")
def cluster(
    parts: RealParts,
    image: Image,
    kept_secret: None,
    build_options: list[str],
    registry: str,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Cluster]:
    """A cluster to which 9.9.7, pushed, and then 9.9.8 were deployed. Each test leaves 9.9.8
    running."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed, and it renders the manifests")
    made = Cluster(parts, build_options, tmp_path_factory.mktemp("deploy"))
    plain = made.folder / "registries.conf"
    plain.write_text(f'[[registry]]\nlocation = "{registry}"\ninsecure = true\n')
    with_registry = {"REGISTRY": registry, "CONTAINERS_REGISTRIES_CONF": str(plain)}
    try:
        output = made.deploy("9.9.7", **with_registry)
        assert output.rstrip().endswith(f"{registry}/api-anomaly-detection:9.9.7 runs in staging")
        output = made.deploy("9.9.8")
        assert output.rstrip().endswith("api-anomaly-detection:9.9.8 runs in staging")
        yield made
    finally:
        parts.podman("pod", "rm", "--force", "--time=0", POD, check=False)
        parts.podman("volume", "rm", "--force", "api-anomaly-detection-models", check=False)


@pytest.fixture
def client(cluster: Cluster) -> Iterator[httpx.Client]:
    """A client of the pod."""
    with caller(cluster.port) as found:
        yield found


def image_of_pod(parts: RealParts) -> str:
    """The image that the pod's own container runs."""
    shown = parts.podman("ps", "--format", "{{.Image}}", "--filter", f"pod={POD}").stdout
    (name,) = [line for line in shown.split() if "api-anomaly-detection" in line]
    return name.rsplit("/", 1)[1]


def test_versions_are_built_tested_run_and_tested_again(
    cluster: Cluster, client: httpx.Client, parts: RealParts
) -> None:
    assert image_of_pod(parts) == "api-anomaly-detection:9.9.8"
    assert client.get("/health").json()["status"] == "healthy"
    assert cluster.held["settings"]["MEMORY_ENTITIES"] == "100000"
    assert "--namespace api-anomaly-detection-staging apply" in cluster.asked
    label = '{{index .Config.Labels "org.opencontainers.image.version"}}'
    built = parts.podman("image", "inspect", "--format", label, "api-anomaly-detection:9.9.8")
    assert built.stdout.strip() == "9.9.8"


def test_with_a_registry_the_image_is_pushed_before_it_is_applied(
    cluster: Cluster, registry: str
) -> None:
    tags = httpx.get(f"http://{registry}/v2/api-anomaly-detection/tags/list").json()
    assert tags == {"name": "api-anomaly-detection", "tags": ["9.9.7"]}
    first, _ = cluster.held["revisions"][:2]
    (container,) = first["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"{registry}/api-anomaly-detection:9.9.7"


def test_failed_start_rolls_back_version_and_settings_and_keeps_the_model(
    cluster: Cluster, client: httpx.Client, parts: RealParts, logs
) -> None:
    model = client.post("/train", json={"logs": logs(500)}).json()["model_version"]
    with cluster.broken_setting():
        output = cluster.deploy("9.9.9", code=1)
    assert "rolled back to api-anomaly-detection:9.9.8" in output
    assert "9.9.9 was not deployed to staging" in output
    assert image_of_pod(parts) == "api-anomaly-detection:9.9.8"
    assert cluster.held["settings"]["ALERT_BUDGET"] == "0.001"
    assert client.get("/status").json()["model_version"] == model


def test_failed_apply_rolls_nothing_back_to_an_older_revision(
    cluster: Cluster, client: httpx.Client, parts: RealParts
) -> None:
    output = cluster.deploy("9.9.9", code=1, REFUSE="Service")
    assert "rolled back to api-anomaly-detection:9.9.8" in output
    assert image_of_pod(parts) == "api-anomaly-detection:9.9.8"
    assert answers(client)


def test_unknown_current_revision_changes_nothing(cluster: Cluster, client: httpx.Client) -> None:
    applied = cluster.asked.count("apply")
    output = cluster.deploy("9.9.9", code=1, REFUSE="get")
    assert "the cluster does not say what runs now; nothing was changed" in output
    assert cluster.asked.count("apply") == applied
    assert answers(client)


def test_cancelled_deployment_is_rolled_back(
    cluster: Cluster, client: httpx.Client, parts: RealParts
) -> None:
    waits = cluster.asked.count("rollout status") + 1
    with cluster.broken_setting():
        process = cluster.begin("9.9.9", ROLLOUT_SECONDS="200")
        until(lambda: cluster.asked.count("rollout status") == waits, "it waits for the pod", 300)
        # To the whole group, as a cancelled CI job does; Ctrl-C is handled alike.
        os.killpg(process.pid, signal.SIGTERM)
        output, _ = process.communicate(timeout=300)
    assert process.returncode == 1, output
    assert "rolled back to api-anomaly-detection:9.9.8" in output
    assert image_of_pod(parts) == "api-anomaly-detection:9.9.8"
    assert answers(client)
