"""The scripts that users start."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.paths import ROOT

SCRIPTS = ROOT / "scripts"


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.mark.parametrize("script", sorted(p.name for p in SCRIPTS.iterdir() if p.is_file()))
def test_every_script_is_executable(script):
    assert os.access(SCRIPTS / script, os.X_OK)
    assert (SCRIPTS / script).read_bytes().startswith(b"#!/usr/bin/env ")


@pytest.mark.parametrize("command", ["demo", "replay", "simulate"])
def test_a_command_runs_from_any_folder(tmp_path, command):
    if Path(sys.prefix).resolve() != (ROOT / ".venv").resolve():
        pytest.skip("the script would make .venv: run the tests by scripts/test")
    (tmp_path / "api_anomaly.py").write_text("raise SystemExit('the wrong module')")
    done = run([SCRIPTS / command, "--help"], cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"usage: api-anomaly {command} " in done.stdout


def test_without_a_python_the_setup_says_what_to_install(tmp_path):
    for name in ("bash", "dirname", "basename", "cmp", "grep"):
        (tmp_path / name).symlink_to(next(find_on_path(name)))
    copy = tmp_path / "project"
    (copy / "scripts").mkdir(parents=True)
    (copy / "requirements.txt").write_text("")
    (copy / "scripts" / "setup").write_bytes((SCRIPTS / "setup").read_bytes())
    done = run(["bash", copy / "scripts" / "setup"], env={"PATH": str(tmp_path)})
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr
    assert not (copy / ".venv").exists()


def find_on_path(name):
    return (
        Path(folder) / name
        for folder in os.environ["PATH"].split(":")
        if (Path(folder) / name).exists()
    )
