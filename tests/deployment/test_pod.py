"""k8s/, run as one real pod by `podman kube play`, and checked against Kubernetes' own schema.

Probes, disruption budget, ingress and network policy need a cluster and are only checked in form.
"""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from tests.deployment.conftest import ROOT, Image, RealParts, answers, caller, free_port, until

pytestmark = pytest.mark.slow
PLAYED = ("ConfigMap", "PersistentVolumeClaim", "Deployment")


@pytest.fixture
def pod(
    parts: RealParts, image: Image, kept_secret: None, tmp_path: Path
) -> Iterator[httpx.Client]:
    """The Deployment with its ConfigMap, volume claim and a Secret; the port is published."""
    files = sorted((ROOT / "k8s").glob("*.yaml"))
    objects = [one for file in files for one in yaml.safe_load_all(file.read_text())]
    played = [one for one in objects if one["kind"] in PLAYED]
    port = free_port()
    container = played[-1]["spec"]["template"]["spec"]["containers"][0]
    container["ports"][0] |= {"hostPort": port, "hostIP": "127.0.0.1"}
    container["image"] = image.name
    file = tmp_path / "pod.yaml"
    file.write_text(yaml.safe_dump_all(played))
    try:
        parts.podman("kube", "play", file)
        with caller(port) as client:
            until(lambda: answers(client), "the pod answers")
            yield client
    finally:
        parts.podman("kube", "down", file, check=False)
        parts.podman("pod", "rm", "--force", "--time=0", "api-anomaly-detection-pod-0", check=False)
        parts.podman("volume", "rm", "--force", "api-anomaly-detection-models", check=False)


def test_the_pod_serves_with_the_settings_and_the_secret_of_the_manifests(
    parts: RealParts, pod: httpx.Client, logs
) -> None:
    assert pod.post("/train", json={"logs": logs(500)}).status_code == 200
    assert pod.get("/status", headers={"Authorization": "Bearer wrong"}).status_code == 401
    names = parts.podman("ps", "--format", "{{.Names}}").stdout
    (name,) = re.findall(r"\S*api-anomaly-detection\S*-api\b", names)
    seen = parts.podman(
        "exec",
        name,
        "sh",
        "-c",
        "id -u; id -g; touch /tmp/x; printenv MEMORY_ENTITIES",
        check=False,
    )
    assert seen.stdout.split() == ["10001", "10001", "1000000"]
    assert "Read-only file system" in seen.stderr


def test_all_manifests_follow_kubernetes_schema(parts: RealParts, tmp_path: Path) -> None:
    validate = parts.tools / "kubernetes-validate"
    files = [*sorted((ROOT / "k8s").glob("*.yaml")), ROOT / "k8s" / "secret.yaml.example"]
    for file in files:
        parts.run(validate, "--strict", "-k", "1.32", file)


def test_both_environments_render_and_follow_the_schema(parts: RealParts, tmp_path: Path) -> None:
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    for environment in ("staging", "production"):
        rendered = parts.run("kubectl", "kustomize", ROOT / "k8s-overlays" / environment).stdout
        file = tmp_path / f"{environment}.yaml"
        file.write_text(rendered)
        parts.run(parts.tools / "kubernetes-validate", "--strict", "-k", "1.32", file)
        kinds = [one["kind"] for one in yaml.safe_load_all(rendered)]
        assert kinds.count("Deployment") == 1
        assert "NetworkPolicy" in kinds
