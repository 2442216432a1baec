"""scripts/deploy.sh: what it refuses, and what its dry run says."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from tests.support.paths import ROOT

needs_kubectl = pytest.mark.skipif(shutil.which("kubectl") is None, reason="no kubectl here")


def deploy(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ROOT / "scripts" / "deploy.sh", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
    )


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
def test_invalid_arguments_are_refused_before_any_step(
    arguments: tuple[str, ...], words: str
) -> None:
    done = deploy(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert done.stdout == ""


@needs_kubectl
def test_dry_run_names_every_step_and_changes_nothing() -> None:
    done = deploy("9.9.9", "staging", "--dry-run")
    assert done.returncode == 0, done.stderr
    steps = [line[3:] for line in done.stdout.splitlines() if line.startswith("== ")]
    begins = ["preflight", "tests", "build", "smoke test of the image", "push", "apply", "dry run"]
    assert [step.startswith(begin) for step, begin in zip(steps, begins, strict=True)] == [True] * 7
    assert "kubectl rollout undo" in done.stdout
    assert list(ROOT.glob(".deploy.*")) == []


def test_a_dry_run_without_any_program_it_needs_says_so_and_goes_on(tmp_path: Path) -> None:
    shell = ("bash", "cat", "dirname", "env", "git", "mktemp", "rm", "sed")
    for name in shell:
        (tmp_path / name).symlink_to(str(shutil.which(name)))
    done = deploy("9.9.9", "staging", "--dry-run", PATH=str(tmp_path))
    assert done.returncode == 0, done.stderr
    for what in ("a container engine that works", "kubectl in PATH", "curl in PATH"):
        assert f"missing: {what}" in done.stdout
    assert "would run: kubectl apply" in done.stdout
    refused = deploy("9.9.9", "staging", PATH=str(tmp_path))
    assert refused.returncode == 1
    assert "== build" not in refused.stdout
