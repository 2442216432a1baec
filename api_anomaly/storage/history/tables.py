"""Parquet: logs by the hour of their own time, `date=2024-06-01/hour=08/SEGMENT.parquet`.

The layout is Hive's, which DuckDB, pandas and Spark read as one table with the columns `date` and
`hour`. The file of a segment in an hour has always the same name, so that repeating a compaction
that was interrupted replaces files instead of adding logs twice. Functions raise OSError and
pyarrow.ArrowException.
"""

import os
import posixpath
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from api_anomaly.logs.column_logs import address_text
from api_anomaly.logs.columns import METHODS, Columns, Texts, columns_of
from api_anomaly.storage.history.entry import Entry

SCHEMA = pa.schema(
    [
        ("timestamp", pa.timestamp("us", tz="UTC")),
        ("user_id", pa.string()),
        ("endpoint", pa.string()),
        ("method", pa.string()),
        ("status_code", pa.int16()),
        ("response_time", pa.float64()),
        ("ip_address", pa.string()),
        ("user_agent", pa.string()),
        ("request_size", pa.int64()),
        ("response_size", pa.int64()),
        ("received", pa.timestamp("us", tz="UTC")),
    ]
)
#: Microseconds of the years 1 to 9999, which every reader of Parquet can show.
_MIN_US, _MAX_US = -62_135_596_800_000_000, 253_402_300_799_999_999

_address_text = lru_cache(maxsize=65_536)(address_text)


class Store(NamedTuple):
    """Where the Parquet files are: a file system and a folder in it."""

    files: fs.FileSystem
    folder: str

    @classmethod
    def at(cls, url: str) -> "Store":
        """The store of a folder or of an address like `s3://bucket/folder`."""
        if "://" in url:
            return cls(*fs.FileSystem.from_uri(url))
        return cls(fs.LocalFileSystem(), str(Path(url).absolute()))

    def paths(self) -> list[fs.FileInfo]:
        """All Parquet files, in order of their hours."""
        selector = fs.FileSelector(self.folder, recursive=True, allow_not_found=True)
        found = (info for info in self.files.get_file_info(selector) if info.is_file)
        parquet = (info for info in found if info.path.endswith(".parquet"))
        return sorted(parquet, key=lambda info: info.path)

    def write(self, path: str, table: pa.Table) -> None:
        """Write a file that appears whole or not at all."""
        self.files.create_dir(posixpath.dirname(path), recursive=True)
        if isinstance(self.files, fs.LocalFileSystem):
            part = posixpath.join(posixpath.dirname(path), f".{posixpath.basename(path)}.part")
            pq.write_table(table, part, compression="zstd")
            with open(part, "rb+") as file:
                os.fsync(file.fileno())
            Path(part).replace(path)
            return
        # Object stores show an object when its upload has ended.
        pq.write_table(table, path, filesystem=self.files, compression="zstd")


def table_of(entries: Sequence[Entry]) -> pa.Table:
    """The logs of entries as one table."""
    return pa.concat_tables([_table(entry) for entry in entries] or [SCHEMA.empty_table()])


def _table(entry: Entry) -> pa.Table:
    columns, logs = entry.columns, len(entry.columns)
    methods = [METHODS[code] for code in columns.method.tolist()]
    for row, name in entry.methods.items():
        methods[row] = name
    values: list[Any] = [
        _times(columns.time),
        _texts(columns.user),
        _texts(columns.endpoint),
        pa.array(methods, pa.string()),
        pa.array(columns.status, pa.int16()),
        pa.array(columns.response_time, from_pandas=True),
        pa.array([_address_text(*words) for words in columns.address.tolist()], pa.string()),
        _texts(columns.agent),
        _sizes(columns.request_size),
        _sizes(columns.response_size),
        _times(np.full(logs, entry.received)),
    ]
    return pa.Table.from_arrays(values, schema=SCHEMA)


def _times(seconds: Any) -> pa.Array:
    micro = np.clip(np.round(seconds * 1e6), float(_MIN_US), float(_MAX_US)).astype(np.int64)
    return pa.array(np.minimum(micro, _MAX_US), pa.timestamp("us", tz="UTC"))


def _sizes(values: Any) -> pa.Array:
    known = ~np.isnan(values)
    whole = np.where(known, np.minimum(values, 2.0**62), 0.0).astype(np.int64)
    return pa.array(whole, pa.int64(), mask=~known)


def _texts(texts: Texts) -> pa.Array:
    data, offsets = texts.data.tobytes(), texts.offsets.tolist()
    pairs = zip(offsets, offsets[1:])
    read = (data[start:end].decode("utf-8", "replace") or None for start, end in pairs)
    return pa.array(read, pa.string())


def write_hours(store: Store, name: str, table: pa.Table) -> int:
    """Write the logs of one segment, a file for each hour; returns the number of logs."""
    hours = pc.cast(pc.floor_temporal(table["timestamp"], unit="hour"), pa.int64())
    for hour in pc.unique(hours).to_pylist():
        part = table.filter(pc.equal(hours, hour)).sort_by("timestamp")
        store.write(posixpath.join(store.folder, hour_folder(hour / 1e6), f"{name}.parquet"), part)
    return int(table.num_rows)


def hour_folder(seconds: float) -> str:
    """The folder of an hour, which contains the Unix time `seconds`."""
    return f"{datetime.fromtimestamp(seconds, UTC):date=%Y-%m-%d/hour=%H}"


def hour_of(path: str) -> str:
    """`2024-06-01/08` of the path of a Parquet file."""
    date, hour = path.split("/")[-3:-1]
    return f"{date.partition('=')[2]}/{hour.partition('=')[2]}"


def read_file(store: Store, info: fs.FileInfo) -> pa.Table:
    """One Parquet file."""
    return pq.read_table(info.path, filesystem=store.files, partitioning=None, schema=SCHEMA)


def to_columns(table: pa.Table) -> Columns:
    """The logs of a table of `SCHEMA`."""
    micro = pc.cast(table["timestamp"], pa.int64()).to_numpy()
    values: dict[str, Any] = {name: table[name].to_pylist() for name in SCHEMA.names[1:-1]}
    return columns_of(micro / 1e6, **values)


def expire(store: Store, oldest: float, max_bytes: float) -> int:
    """Delete files of hours that ended before `oldest` (Unix seconds), and beyond `max_bytes` those
    of the oldest hours; returns how many."""
    infos, limit = store.paths(), f"{datetime.fromtimestamp(max(oldest, 0), UTC):%Y-%m-%d/%H}"
    total, deleted = sum(info.size for info in infos), 0
    for info in infos:
        if hour_of(info.path) >= limit and total <= max_bytes:
            break
        store.files.delete_file(info.path)
        total -= info.size
        deleted += 1
    return deleted


def remove_subject(store: Store, subject: str) -> int:
    """Rewrite the files that have logs of a user or an address; returns the number of logs."""
    removed = 0
    for info in store.paths():
        table = read_file(store, info)
        hit = pc.or_kleene(
            pc.equal(table["user_id"], subject), pc.equal(table["ip_address"], subject)
        )
        kept = table.filter(pc.invert(pc.fill_null(hit, False)))
        if kept.num_rows < table.num_rows:
            removed += table.num_rows - kept.num_rows
            if kept.num_rows:
                store.write(info.path, kept)
            else:
                store.files.delete_file(info.path)
    return removed


def newest_first(store: Store, since: float) -> Iterator[pa.Table]:
    """The tables of all files of hours since `since` (Unix seconds), the newest hour first."""
    limit = f"{datetime.fromtimestamp(max(since, 0), UTC):%Y-%m-%d/%H}"
    for info in reversed(store.paths()):
        if hour_of(info.path) >= limit:
            yield read_file(store, info)
