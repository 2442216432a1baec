"""The doors: help, wrong arguments and missing parts are answered before anything is started."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from tests.support.paths import ROOT

SCRIPTS = ROOT / "scripts"


def run(command, **options):
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.mark.parametrize("door", sorted(p.name for p in SCRIPTS.iterdir() if p.is_file()))
def test_every_door_can_be_opened(door):
    assert os.access(SCRIPTS / door, os.X_OK)
    assert (SCRIPTS / door).read_bytes().startswith(b"#!/usr/bin/env ")


def test_the_demo_explains_itself():
    done = run([SCRIPTS / "demo", "--help"])
    assert done.returncode == 0
    assert "scripts/demo [LOGFILE] [--once]" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--forever"], 2, "unknown option --forever"),
        (["a.log", "b.log"], 2, "only one log file"),
        (["absent.log"], 1, "there is no file absent.log"),
    ],
)
def test_the_demo_says_what_is_wrong_before_it_starts_anything(tmp_path, arguments, code, words):
    done = run([SCRIPTS / "demo", *arguments], cwd=tmp_path)
    assert done.returncode == code
    assert words in done.stderr
    assert done.stdout == ""


def test_without_a_python_the_setup_says_what_to_install(tmp_path):
    for name in ("bash", "dirname", "basename", "cmp", "grep"):
        (tmp_path / name).symlink_to(next(p for p in places(name)))
    copy = tmp_path / "project"
    (copy / "scripts").mkdir(parents=True)
    (copy / "requirements.txt").write_text("")
    (copy / "scripts" / "setup").write_bytes((SCRIPTS / "setup").read_bytes())
    done = run(["bash", copy / "scripts" / "setup"], env={"PATH": str(tmp_path)})
    assert done.returncode == 1
    assert "Python 3.11 or newer is needed" in done.stderr
    assert "apt-get install python3 python3-venv" in done.stderr
    assert not (copy / ".venv").exists()


def places(name):
    return (
        Path(folder) / name
        for folder in os.environ["PATH"].split(":")
        if (Path(folder) / name).exists()
    )


def test_the_demo_trains_on_the_days_before_the_planted_attacks(tmp_path):
    logs = tmp_path / "day.ndjson"
    done = run([SCRIPTS / "simulate", "--preset", "day", "--seed", "1", "--out", logs])
    assert done.returncode == 0, done.stderr
    [share] = re.findall(r"SHARE=(0\.\d+) # of the lines", (SCRIPTS / "demo").read_text())
    with open(logs) as lines:
        labels = [json.loads(line)["label"] for line in lines]
    first_attack = labels.index(1)
    assert 0.9 * first_attack < float(share) * len(labels) < first_attack


def test_the_demo_runs_from_start_to_end_and_leaves_nothing_behind(tmp_path):
    if Path(sys.prefix).resolve() != (ROOT / ".venv").resolve():
        pytest.skip("the demo would build .venv: run the tests by scripts/test")
    line = '10.0.0.{} - - [01/Feb/2024:00:{:02}:{:02} +0000] "GET /{} HTTP/1.1" 200 5 "-" "c"\n'
    logs = (line.format(n % 7, n // 60, n % 60, n % 11) for n in range(600))
    (tmp_path / "access.log").write_text("".join(logs))
    (tmp_path / "temporary").mkdir()
    environment = {**os.environ, "TMPDIR": str(tmp_path / "temporary"), "MODEL_PATH": "/absent/x"}
    done = run([SCRIPTS / "demo", "access.log", "--once"], cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Trained on 300 logs" in done.stderr
    assert "logs examined" in done.stdout
    assert list((tmp_path / "temporary").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["access.log", "temporary"]
