"""`api-anomaly simulate`, and the files that it writes."""

import gzip
import json
from pathlib import Path

import pytest

from api_anomaly.cli.main import main
from api_anomaly.simulator.scenario import preset
from api_anomaly.simulator.simulation import CONTRACT_FIELDS, simulate
from api_anomaly.simulator.writer import write_logs

SMALL = ["simulate", "--preset", "week", "--users", "20", "--days", "2", "--seed", "3"]


def test_the_file_holds_the_simulated_logs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "logs.ndjson.gz"
    assert main([*SMALL, "--out", str(out)]) == 0
    with gzip.open(out, "rt") as lines:
        written = [json.loads(line) for line in lines]
    assert written == simulate(preset("week", users=20, days=2, seed=3)).logs()
    captured = capsys.readouterr()
    assert f"wrote {len(written):,} logs with labels" in captured.out
    assert "credential_stuffing" in captured.out and "nightly_job" in captured.out
    assert "writing" in captured.err


def test_without_labels_only_the_contracts_fields_are_written(tmp_path: Path) -> None:
    out = tmp_path / "logs.ndjson"
    assert main([*SMALL, "--no-labels", "--out", str(out)]) == 0
    for line in out.read_text().splitlines():
        assert tuple(json.loads(line)) == CONTRACT_FIELDS


def test_equal_traffic_gives_equal_bytes(tmp_path: Path) -> None:
    traffic = simulate(preset("day", users=20, days=2))
    first, second = tmp_path / "first.ndjson.gz", tmp_path / "second.ndjson.gz"
    assert write_logs(traffic, first) == write_logs(traffic, second)
    assert first.read_bytes() == second.read_bytes()


def test_a_number_out_of_range_is_reported_and_nothing_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "logs.ndjson"
    assert main(["simulate", "--users", "3", "--out", str(out)]) == 1
    assert "users must be at least 20" in capsys.readouterr().err
    assert not out.exists()


def test_a_file_that_cannot_be_written_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*SMALL, "--out", str(tmp_path / "missing" / "logs.ndjson")]) == 1
    assert "cannot write" in capsys.readouterr().err
