"""The command, end to end: real simulations and files in, report, figures and picture out."""

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.quality import plan as plans
from benchmarks.quality.command import main
from benchmarks.quality.goals import GOALS
from benchmarks.quality.plan import CLEAN, CLEAN_WEEKS, Plan, Source, carry_out
from benchmarks.quality.report import as_json, as_markdown, made_on
from api_anomaly.simulator.scenario import Scenario
from api_anomaly.simulator.simulation import Traffic, simulate
from api_anomaly.simulator.writer import write_logs
from tests.support.paths import ROOT


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory, traffic: Traffic) -> Path:
    path = tmp_path_factory.mktemp("logs") / "little.ndjson.gz"
    write_logs(traffic, path)
    return path


def test_a_file_is_measured_and_written_down(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "docs"
    arguments = ["--quick", "--seeds", "0", "--processes", "1", "--train-share", "0.6"]
    assert main([*arguments, "--check", "--data", str(file), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    report = (out / "quality.md").read_text(encoding="utf-8")
    assert printed.out.strip() == report.strip()
    assert "little, trained on the first 60 %" in report and "path_scanning" in report
    assert str(tmp_path) not in report and "$" not in report
    figures = json.loads((out / "quality.json").read_text(encoding="utf-8"))
    assert set(figures) == {"made", "goals", "promises", "data"}
    assert (out / "quality.png").read_bytes().startswith(b"\x89PNG")
    assert "of 3: little" in printed.err


def test_several_processes_measure_what_one_does(scenario: Scenario) -> None:
    little = replace(scenario, days=2, training_days=1)
    calm = Source(CLEAN_WEEKS, replace(little, attackers=0))
    todo = Plan([Source(CLEAN, little)], [calm], budgets=(0.01,), replicates=10)
    told: list[str] = []
    executor, alone = carry_out(todo, 2, told.append), carry_out(todo, 1, told.append)
    assert (
        len(told) == 4
        and set(executor.groups) == {CLEAN}
        and set(executor.promises) == {CLEAN_WEEKS}
    )
    made = made_on(todo, "a test")
    assert as_json(executor, made) == as_json(alone, made)
    report = as_markdown(executor, made, "quality.png")
    assert all(goal.text in report for goal in GOALS)


def test_the_full_plan_is_ten_seeds_twice_and_every_file_twice() -> None:
    full = plans.plan(10, [Path("a.ndjson"), Path("b.ndjson")])
    assert len(full.compared) == 24 and len(full.promised) == 12
    assert [source.group for source in full.compared[20:22]] == [
        "a, trained on the first 40 %",
        "a, trained on the first 60 %",
    ]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", "0", "--data"], "nothing to measure"),
        (["--seeds", "0", "--data", "absent.ndjson"], "absent.ndjson"),
    ],
)
def test_what_cannot_be_measured_is_said(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--quick", "--processes", "1", *arguments]) == 1
    assert said in capsys.readouterr().err


def test_the_script_is_executable_and_explains_itself(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "quality"
    assert os.access(script, os.X_OK)
    answer = subprocess.run(
        [sys.executable, script, "--help"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "--quick" in answer.stdout and "--check" in answer.stdout


def test_simulated_traffic_is_what_the_source_says(scenario: Scenario) -> None:
    loaded = Source("a group", scenario).load()
    assert loaded.name == "a group, seed 4" and len(loaded) == len(simulate(scenario))
