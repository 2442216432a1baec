"""Labelled NDJSON is read, and other files are rejected with their name."""

import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.quality.datasets import Dataset, UnreadableData, of_records, read_ndjson
from api_anomaly.simulator.simulation import Traffic
from api_anomaly.simulator.writer import write_logs

LOG = {"timestamp": 0, "endpoint": "/a", "method": "get", "status_code": "200"}


def log(second: int, label: int | None = 0, **fields: Any) -> dict[str, Any]:
    return {**LOG, "timestamp": 1_750_000_000 + second, "label": label, **fields}


def written(path: Path, lines: list[str]) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_logs_are_sorted_by_time_before_they_are_split() -> None:
    data = of_records("x", [log(9, 1), log(1), log(5), log(3), log(7)], 0.4)
    assert (np.diff(data.columns.time) > 0).all()
    assert data.cut == 2 and data.label.tolist() == [0, 0, 0, 0, 1]
    assert len(data.training) == 2 and len(data.test) == 3


def test_unlabelled_logs_are_kept_and_marked() -> None:
    data = of_records("x", [log(1), log(2), log(3, None), log(4, 1)], 0.5)
    assert len(data.test) == 2 and data.known.tolist() == [False, True]


def test_an_entity_is_the_actor_else_the_user_else_the_address() -> None:
    logs = [
        log(1, actor="attacker", user_id="u", ip_address="192.0.2.1"),
        log(2, user_id="u", ip_address="192.0.2.1"),
        log(3, user_id="u", ip_address="192.0.2.2"),
        log(4, ip_address="192.0.2.1"),
        log(5, user_id=None, ip_address="192.0.2.1"),
    ]
    assert of_records("x", logs, 0.4).entity.tolist() == [0, 1, 1, 2, 2]


def test_unknown_sizes_and_latencies_are_unknown_to_all_contenders() -> None:
    data = of_records("x", [log(1, response_size=-1, response_time=None), log(2)], 0.5)
    assert np.isnan(data.columns.response_size).all()
    assert np.isnan(data.columns.response_time).all()
    assert np.isnan(data.rules.response_size).all()


def test_a_simulated_file_is_the_simulated_traffic(
    tmp_path: Path, traffic: Traffic, data: Dataset
) -> None:
    file = tmp_path / "a.ndjson.gz"
    write_logs(traffic, file)
    share = (data.cut + 0.5) / len(data)
    read = read_ndjson(file, share)
    assert read.name == "a" and read.cut == data.cut
    np.testing.assert_array_equal(read.columns.time, data.columns.time)
    np.testing.assert_array_equal(read.entity, data.entity)
    assert read.family == data.family and read.kind == data.kind


@pytest.mark.parametrize(
    ("lines", "fault"),
    [
        (["{"], "line 1: not JSON"),
        (['{"label": 0}', "[]"], "line 2: needs a label"),
        ([json.dumps({**LOG, "label": 2})], "line 1: needs a label"),
        ([json.dumps(LOG)], "line 1: needs a label"),
        ([json.dumps(log(1))], "at least one log each"),
        (['{"label": 0}', '{"label": 0}'], "timestamp"),
        ([json.dumps(log(k, ip_address="nowhere")) for k in (1, 2, 3)], "nowhere"),
    ],
)
def test_a_file_that_is_not_labelled_ndjson_is_rejected_with_its_name(
    tmp_path: Path, lines: list[str], fault: str
) -> None:
    with pytest.raises(UnreadableData, match=fault) as error:
        read_ndjson(written(tmp_path / "invalid.ndjson", lines), 0.5)
    assert "invalid.ndjson" in str(error.value)


def test_a_gzipped_file_is_read_too(tmp_path: Path) -> None:
    file = tmp_path / "packed.ndjson.gz"
    file.write_bytes(gzip.compress("\n".join(json.dumps(log(k)) for k in range(4)).encode()))
    assert len(read_ndjson(file, 0.5)) == 4
