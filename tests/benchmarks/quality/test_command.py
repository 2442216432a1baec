"""The command, end to end: files and simulations in; page, figures and picture out."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from pandas.testing import assert_frame_equal

from benchmarks.quality import plan as plans
from benchmarks.quality.command import main
from benchmarks.quality.contenders import Contender
from benchmarks.quality.datasets import Dataset
from benchmarks.quality.goals import GOALS
from benchmarks.quality.plan import CLEAN_WEEKS, Plan, Source, run
from api_anomaly.simulator.scenario import Scenario
from api_anomaly.simulator.simulation import Traffic, simulate
from api_anomaly.simulator.writer import write_logs
from tests.support.paths import ROOT


@pytest.fixture()
def file(tmp_path: Path, traffic: Traffic) -> Path:
    path = tmp_path / "small.ndjson.gz"
    write_logs(traffic, path)
    return path


def test_a_file_is_measured_and_the_page_is_written(
    file: Path,
    data: Dataset,
    repeaters: tuple[Contender, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(plans, "contenders", lambda: repeaters)
    out, share = file.parent / "docs", (data.cut + 0.5) / len(data)
    arguments = ["--quick", "--seeds", "0", "--processes", "1", "--train-share", str(share)]
    assert main([*arguments, "--check", "--data", str(file), "--out", str(out)]) == 0
    printed = capsys.readouterr()
    page = (out / "quality.md").read_text(encoding="utf-8")
    assert printed.out.strip() == page.strip()
    assert "small, trained on the first" in page and "path_scanning" in page
    assert all(goal.text in page for goal in GOALS)
    assert str(file.parent) not in page and "$" not in page
    assert (out / "quality.png").read_bytes().startswith(b"\x89PNG")
    assert "of 3: small" in printed.err
    assert main(["--page", "--out", str(out)]) == 0
    assert (out / "quality.md").read_text(encoding="utf-8") == page


def test_several_processes_measure_what_one_does(scenario: Scenario) -> None:
    quiet = Source(CLEAN_WEEKS, replace(scenario, days=2, training_days=1, attackers=0))
    todo = Plan([], [quiet], budgets=(0.01, 0.001))
    lines: list[str] = []
    several, one = run(todo, 2, lines.append), run(todo, 1, lines.append)
    assert len(lines) == 4 and list(several) == ["thresholds"]
    assert_frame_equal(several["thresholds"], one["thresholds"])


def test_the_full_plan_is_ten_seeds_twice_and_every_file_twice() -> None:
    full = plans.plan(10, [Path("a.ndjson"), Path("b.ndjson")])
    assert len(full.compared) == 24 and len(full.thresholds) == 12
    assert [source.group for source in full.compared[20:22]] == [
        "a, trained on the first 40 %",
        "a, trained on the first 60 %",
    ]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--seeds", "0", "--data"], "nothing to measure"),
        (["--seeds", "0", "--data", "absent.ndjson"], "absent.ndjson"),
    ],
)
def test_the_error_says_what_cannot_be_measured(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--quick", "--processes", "1", *arguments]) == 1
    assert message in capsys.readouterr().err


def test_the_script_prints_its_options(tmp_path: Path) -> None:
    script = ROOT / "scripts" / "quality"
    assert os.access(script, os.X_OK)
    answer = subprocess.run(
        [sys.executable, script, "--help"], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert "--quick" in answer.stdout and "--check" in answer.stdout


def test_simulated_traffic_is_what_the_source_says(scenario: Scenario) -> None:
    loaded = Source("a group", scenario).load()
    assert loaded.name == "a group, seed 4" and len(loaded) == len(simulate(scenario))
