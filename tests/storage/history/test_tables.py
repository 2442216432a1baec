"""Parquet files of the history: every log is in them once, and other tools read them."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from api_anomaly.logs.column_logs import ColumnLogs
from api_anomaly.logs.columns import Columns
from api_anomaly.storage.history import tables, worker
from api_anomaly.storage.history.entry import Entry, decode, encode, other_methods
from api_anomaly.storage.history.journal import LogJournal
from tests.support.traffic import as_columns, ordinary_logs


@pytest.fixture
def entry() -> Entry:
    logs = ordinary_logs(500, start=1_700_000_000.0)
    logs[3] |= {"method": "PROPFIND", "user_id": "jürgen", "ip_address": "2001:db8::5"}
    logs[4] |= {"user_agent": None, "response_time": None, "request_size": None}
    columns = as_columns(logs)
    methods = other_methods(columns, [str(log["method"]) for log in logs])
    return Entry("ingest", 1.7e9, columns, b"k", b"d", {"rejected": 1}, methods)


def equal(first: Columns, second: Columns) -> bool:
    return all(
        (
            np.array_equal(a.data, b.data) and np.array_equal(a.offsets, b.offsets)
            if hasattr(a, "offsets")
            else np.allclose(
                a, b, rtol=0, atol=1e-6, equal_nan=True
            )  # times are kept in microseconds
        )
        for a, b in ((getattr(first, n), getattr(second, n)) for n in Columns.__dataclass_fields__)
    )


def test_an_entry_is_decoded_as_it_was_encoded(entry: Entry) -> None:
    again = decode(encode(entry))
    assert equal(again.columns, entry.columns)
    assert again._replace(columns=entry.columns) == entry
    part = entry._replace(columns=entry.columns.between(10, 20))  # a view, not from 0
    assert equal(decode(encode(part)).columns, entry.columns.take(np.arange(10, 20)))


def compact(folder: Path, entries: list[Entry]) -> None:
    journal = LogJournal(folder / "journal")
    for entry in entries:
        journal.append(encode(entry))
    journal.roll()
    for segment in journal.closed:
        worker.compact(tables.Store.at(str(folder / "history")), str(segment.path))


def test_all_logs_come_back_by_hour_and_in_time_order(tmp_path: Path, entry: Entry) -> None:
    compact(tmp_path, [entry])
    store = tables.Store.at(str(tmp_path / "history"))
    (tmp_path / "out").mkdir()
    assert worker.export(store, str(tmp_path / "out"), 0.0, 10_000) == {"logs": 500}
    from api_anomaly.runtime.history import _load_columns

    assert equal(_load_columns(tmp_path / "out"), entry.columns.take(entry.columns.in_time_order()))
    times = entry.columns.time
    found = worker.count(store)
    assert found == {"logs": 500, "first": found["first"], "last": found["last"]}
    assert np.allclose(
        [found["first"], found["last"]], [times.min(), times.max()], rtol=0, atol=1e-6
    )
    hours = {tables.hour_of(info.path) for info in store.paths()}
    assert hours == {pd.Timestamp(t, unit="s").strftime("%Y-%m-%d/%H") for t in times}


def test_a_repeated_compaction_adds_nothing(tmp_path: Path, entry: Entry) -> None:
    compact(tmp_path, [entry])
    (segment,) = (tmp_path / "journal").iterdir()
    store = tables.Store.at(str(tmp_path / "history"))
    worker.compact(store, str(segment))
    assert worker.count(store)["logs"] == 500


def test_pandas_reads_the_folder_as_one_table(tmp_path: Path, entry: Entry) -> None:
    compact(tmp_path, [entry])
    frame = pd.read_parquet(tmp_path / "history")
    assert len(frame) == 500 and {"date", "hour", "user_id"} <= set(frame.columns)
    odd = frame[frame["method"] == "PROPFIND"].iloc[0]
    assert (odd["user_id"], odd["ip_address"]) == ("jürgen", "2001:db8::5")
    expected = ColumnLogs(entry.columns, entry.methods)[3]
    assert odd["endpoint"] == expected.endpoint and odd["timestamp"] == expected.timestamp


def test_a_subject_is_removed_from_every_hour(tmp_path: Path, entry: Entry) -> None:
    compact(tmp_path, [entry])
    store = tables.Store.at(str(tmp_path / "history"))
    assert worker.remove(store, "jürgen") == {"logs": 1}
    assert worker.remove(store, "jürgen") == {"logs": 0}
    assert worker.count(store)["logs"] == 499
    address = ColumnLogs(entry.columns, {})[0].ip_address
    removed = worker.remove(store, str(address))["logs"]
    assert removed > 0 and worker.count(store)["logs"] == 499 - removed


def test_old_hours_and_hours_beyond_the_size_are_deleted(tmp_path: Path, entry: Entry) -> None:
    early = entry.columns.time - 100 * 3600.0
    old = Columns(
        **{n: getattr(entry.columns, n) for n in Columns.__dataclass_fields__} | {"time": early}
    )
    compact(tmp_path, [entry._replace(columns=old), entry])
    store = tables.Store.at(str(tmp_path / "history"))
    assert worker.expire(store, float(entry.columns.time.min()), 1e18)["files"] > 0
    assert worker.count(store)["logs"] == 500
    assert worker.expire(store, 0.0, 1.0)["files"] > 0
    assert worker.count(store)["logs"] == 0


def test_an_error_of_the_worker_is_one_line(tmp_path: Path) -> None:
    request: dict[str, Any] = {"url": str(tmp_path), "segment": str(tmp_path / "none")}
    run = subprocess.run(
        [sys.executable, "-m", "api_anomaly.storage.history.worker", "compact"],
        input=json.dumps(request),
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1 and len(run.stderr.splitlines()) == 1
