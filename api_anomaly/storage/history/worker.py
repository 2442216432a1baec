"""The process that reads and writes Parquet files for the service.

``python -m api_anomaly.storage.history.worker COMMAND`` with a JSON object on standard input prints
a JSON object. A process of its own, because pyarrow takes 60 MB and a compaction seconds of a core,
which the service keeps for requests. An error is one line on standard error, with status 1.
"""

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from api_anomaly.storage.history import tables
from api_anomaly.storage.history.entry import decode
from api_anomaly.storage.history.journal import read_segment


def compact(store: tables.Store, segment: str) -> dict[str, Any]:
    """Write the logs of a segment of the journal to Parquet files."""
    path = Path(segment)
    entries = [decode(payload) for _sequence, payload, _end in read_segment(path)]
    return {"logs": tables.write_hours(store, path.stem, tables.table_of(entries))}


def count(store: tables.Store) -> dict[str, Any]:
    """The number of logs, and the earliest and latest time (Unix seconds)."""
    logs, first, last = 0, None, None
    for info in store.paths():
        times = tables.read_file(store, info)["timestamp"]
        bounds = pc.min_max(pc.cast(times, pa.int64())).as_py()
        logs += len(times)
        if bounds["min"] is not None:
            first = min(first or bounds["min"] / 1e6, bounds["min"] / 1e6)
            last = max(last or bounds["max"] / 1e6, bounds["max"] / 1e6)
    return {"logs": logs, "first": first, "last": last}


def export(store: tables.Store, target: str, since: float, max_logs: int) -> dict[str, Any]:
    """Write the columns of the latest logs, at most `max_logs`, as .npy files into a folder."""
    parts: list[pa.Table] = []
    logs = 0
    for table in tables.newest_first(store, since):
        parts.append(table)
        logs += table.num_rows
        if logs >= max_logs:
            break
    table = pa.concat_tables(parts or [tables.SCHEMA.empty_table()]).sort_by("timestamp")
    columns = tables.to_columns(table.slice(max(0, table.num_rows - max_logs)))
    folder = Path(target)
    for name in columns.__dataclass_fields__:
        field = getattr(columns, name)
        if hasattr(field, "offsets"):
            np.save(folder / f"{name}.npy", field.data)
            np.save(folder / f"{name}.offsets.npy", field.offsets)
        else:
            np.save(folder / f"{name}.npy", field)
    return {"logs": len(columns)}


def expire(store: tables.Store, oldest: float, max_bytes: float) -> dict[str, Any]:
    """Delete what is older than `oldest`, and the oldest hours beyond `max_bytes`."""
    return {"files": tables.expire(store, oldest, max_bytes)}


def remove(store: tables.Store, subject: str) -> dict[str, Any]:
    """Remove the logs of a user or an address."""
    return {"logs": tables.remove_subject(store, subject)}


COMMANDS = {command.__name__: command for command in (compact, count, export, expire, remove)}


def main(arguments: list[str]) -> int:
    """Run one command."""
    options = json.load(sys.stdin)
    try:
        store = tables.Store.at(options.pop("url"))
        print(json.dumps(COMMANDS[arguments[0]](store, **options)))
    except (OSError, pa.ArrowException, ValueError) as error:
        print(f"{type(error).__name__}: {error}".splitlines()[0], file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
