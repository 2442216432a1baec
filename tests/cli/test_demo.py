"""`api-anomaly demo`."""

import json
import os
import signal
import subprocess
import sys

import httpx
import pytest
from api_anomaly.cli.demo import SIMULATION_TRAIN_SHARE
from api_anomaly.cli.main import main

from tests.support.paths import ROOT

LINE = '10.0.0.{} - - [01/Feb/2024:00:{:02}:{:02} +0000] "GET /{} HTTP/1.1" 200 5 "-" "c"\n'
DEMO = [sys.executable, "-P", "-m", "api_anomaly", "demo"]


@pytest.fixture
def logfile(tmp_path):
    path = tmp_path / "access.log"
    path.write_text("".join(LINE.format(n % 7, n // 60, n % 60, n % 11) for n in range(600)))
    return path


@pytest.fixture
def environment(tmp_path):
    """Temporary files go into a folder that can be looked at; MODEL_PATH must have no effect."""
    (tmp_path / "temporary").mkdir()
    return {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "TMPDIR": str(tmp_path / "temporary"),
        "MODEL_PATH": "/absent/x",
    }


def test_a_missing_file_is_an_error_before_anything_starts(capsys):
    assert main(["demo", "absent.log"]) == 1
    printed = capsys.readouterr()
    assert "there is no file absent.log" in printed.err
    assert printed.out == ""


def test_the_demo_trains_on_the_days_before_the_planted_attacks(tmp_path):
    logs = tmp_path / "day.ndjson"
    assert main(["simulate", "--preset", "day", "--seed", "1", "--out", str(logs)]) == 0
    with open(logs) as lines:
        labels = [json.loads(line)["label"] for line in lines]
    first_attack = labels.index(1)
    assert 0.9 * first_attack < SIMULATION_TRAIN_SHARE * len(labels) < first_attack


def test_the_demo_runs_from_start_to_end_and_removes_its_files(tmp_path, logfile, environment):
    done = subprocess.run(
        [*DEMO, "access.log", "--once"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Trained on 300 logs" in done.stderr
    assert "logs examined" in done.stdout
    assert list((tmp_path / "temporary").iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["access.log", "temporary"]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_the_service_of_the_demo_runs_on_until_a_signal(
    tmp_path, logfile, environment, number, code
):
    demo = subprocess.Popen(
        [*DEMO, str(logfile)], env=environment, stdout=subprocess.PIPE, text=True
    )
    assert demo.stdout is not None
    printed = []
    for line in demo.stdout:
        printed.append(line.split())
        if "another log" in line:
            break
    words = {line[0]: line[1] for line in printed if len(line) > 1}
    headers = {"Authorization": f"Bearer {words['token']}"}
    assert httpx.get(words["address"] + "/status", headers=headers).json()["is_trained"]
    demo.send_signal(number)
    demo.stdout.close()
    assert demo.wait(60) == code
    with pytest.raises(httpx.ConnectError):
        httpx.get(words["address"] + "/health")
    assert list((tmp_path / "temporary").iterdir()) == []
