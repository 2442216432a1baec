"""scripts/deploy.sh: what it refuses, and what its dry run says."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl here")


def deploy(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = ROOT / "scripts" / "deploy.sh"
    return subprocess.run([script, *arguments], capture_output=True, text=True, timeout=120)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ((), "a tag and an environment are needed"),
        (("1.0.0",), "a tag and an environment are needed"),
        (("latest", "staging"), "latest is not a version"),
        (("1.0.0; reboot", "staging"), "is not a version"),
        (("1.0.0", "prod"), "not prod"),
        (("1.0.0", "staging", "--force"), "unknown option --force"),
        (("1.0.0", "staging", "again"), "too many arguments"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_is_done(
    arguments: tuple[str, ...], words: str
) -> None:
    done = deploy(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""


@needs_kubectl
def test_a_dry_run_names_every_step_and_leaves_nothing_behind() -> None:
    done = deploy("9.9.9", "staging", "--dry-run")
    assert done.returncode == 0, done.stderr
    steps = [line[3:] for line in done.stdout.splitlines() if line.startswith("== ")]
    begins = ["preflight", "tests", "build", "smoke test of the image", "push", "apply", "dry run"]
    assert [step.startswith(begin) for step, begin in zip(steps, begins, strict=True)] == [True] * 7
    assert "kubectl rollout undo" in done.stdout
    assert list(ROOT.glob(".deploy.*")) == []
