"""What a stopped service has kept."""

import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd

from api_anomaly.storage.history import tables, worker
from api_anomaly.storage.history.journal import LogJournal


def kept_logs(models: Path) -> pd.DataFrame:
    """All logs of a folder of models, after those of the journal were moved to Parquet files."""
    store = tables.Store.at(str(models / "history"))
    journal = LogJournal(models / "journal")
    for segment in [segment for segment in journal.closed if not segment.compacted]:
        worker.compact(store, str(segment.path))
        journal.mark_compacted(segment)
    return pd.read_parquet(models / "history")


def wait_until(reached: Callable[[], bool], seconds: float = 300.0) -> None:
    """Ask until it is so, for at most `seconds`."""
    end = time.monotonic() + seconds
    while not reached():
        assert time.monotonic() < end
