"""scripts/deploy.sh from end to end, with real podman.

No cluster can be had, so a stand-in answers in kubectl's place and keeps a list of what it was
asked; its port-forward is a container of the image.
"""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.shipping.conftest import ROOT, TOKEN, Image, Parts

pytestmark = pytest.mark.slow
OLD = "api-anomaly-detection:0.0.9"
STAND_IN = """#!/usr/bin/env bash
echo "$*" >> "$ASKED"
case "$*" in
    kustomize*) exec "$REAL_KUBECTL" "$@" ;;
    *"get deployment"*) echo "$OLD" ;;
    *"get configmap"*) echo '{"LOG_LEVEL":"INFO"}' ;;
    *"get secret"*jsonpath*) printf %s "$AUTH_TOKEN_OF_SECRET" | base64 ;;
    *"apply"*) cat > "$ASKED.applied" ;;
    *"rollout status"*) [ "$ROLLS_OUT" = yes ] || grep -q "rollout undo" "$ASKED" ;;
    *"port-forward"*)
        port="${5%%:*}"
        trap 'podman rm --force --time 0 "forward-$port" >/dev/null' EXIT
        podman run --rm --name "forward-$port" --env "AUTH_TOKEN=$AUTH_TOKEN_OF_SECRET" \\
            --publish "127.0.0.1:$port:8000" "api-anomaly-detection:$VERSION" >/dev/null 2>&1 &
        trap 'exit 0' TERM
        wait
        ;;
esac
"""


class Deployment:
    """Runs the script with the stand-in first in PATH."""

    def __init__(self, parts: Parts, options: list[str], folder: Path) -> None:
        self.asked = folder / "asked"
        stand_in = folder / "bin" / "kubectl"
        stand_in.parent.mkdir()
        stand_in.write_text(STAND_IN)
        stand_in.chmod(0o755)
        self.environment = parts.environment | {
            "PATH": f"{stand_in.parent}:{os.environ['PATH']}",
            "ENGINE": "podman",
            "BUILD_OPTIONS": " ".join(options),
            "REAL_KUBECTL": shutil.which("kubectl") or "",
            "ASKED": str(self.asked),
            "OLD": OLD,
            "AUTH_TOKEN_OF_SECRET": TOKEN,
        }
        self.environment.pop("AUTH_TOKEN", None)

    def run(self, version: str, rolls_out: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [ROOT / "scripts" / "deploy.sh", version, "staging", "--tested"],
            env=self.environment | {"VERSION": version, "ROLLS_OUT": rolls_out},
            capture_output=True,
            text=True,
            timeout=500,
        )


@pytest.fixture
def deployment(parts: Parts, image: Image, build_options: list[str], tmp_path: Path) -> Deployment:
    """A deployment that comes as far as the cluster."""
    if shutil.which("kubectl") is None:
        pytest.skip("kubectl is not installed")
    return Deployment(parts, build_options, tmp_path)


def test_a_version_is_built_tested_applied_and_tested_again(
    deployment: Deployment, parts: Parts
) -> None:
    done = deployment.run("9.9.8", rolls_out="yes")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().endswith("api-anomaly-detection:9.9.8 runs in staging")
    assert "skipped: REGISTRY is unset" in done.stdout
    applied = Path(f"{deployment.asked}.applied").read_text()
    assert "image: api-anomaly-detection:9.9.8" in applied
    assert "namespace: api-anomaly-detection-staging" in applied
    assert "rollout undo" not in deployment.asked.read_text()
    left = parts.podman("ps", "--all", "--format", "{{.Names}}", "--filter", "name=forward-")
    assert left.stdout.strip() == ""
    label = '{{index .Config.Labels "org.opencontainers.image.version"}}'
    built = parts.podman("image", "inspect", "--format", label, "api-anomaly-detection:9.9.8")
    assert built.stdout.strip() == "9.9.8"


def test_a_version_that_does_not_start_is_taken_back_with_its_settings(
    deployment: Deployment,
) -> None:
    done = deployment.run("9.9.8", rolls_out="no")
    assert done.returncode == 1
    assert f"rolled back to {OLD}" in done.stdout
    assert "was not deployed to staging" in done.stderr
    asked = deployment.asked.read_text()
    assert "patch configmap api-anomaly-detection" in asked
    assert '"value": {"LOG_LEVEL":"INFO"}' in asked
    assert asked.index("patch configmap") < asked.index("rollout undo")
