"""Labelled logs, split in time into a training part and a test part."""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from api_anomaly.logs.columns import Columns, columns_of
from api_anomaly.rules import RuleLogs
from api_anomaly.rules.logs import unix_seconds
from api_anomaly.simulator.simulation import Traffic

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Log: TypeAlias = Mapping[str, Any]

UNKNOWN = -1
DAY = 86_400.0


class UnreadableData(ValueError):
    """Not labelled NDJSON. The message names the file, the line and the fault."""


@dataclass(frozen=True)
class Dataset:
    """n logs in time order; the first `cut` are the training part, the others the test part.

    name      for the tables
    columns   the logs as the detector sees them
    rules     the logs as the rules see them
    label     int64 (n,)  1 attack, 0 benign, UNKNOWN: scored, and left out of all figures
    family    n texts or None: the attack family
    kind      n texts: for benign logs the hard case or else the role, where the data says so
    entity    int64 (n,)  number of the actor where the data says so, else of the user, else of
              the address
    cut       number of logs in the training part
    """

    name: str
    columns: Columns
    rules: RuleLogs
    label: Ints
    family: Sequence[str | None]
    kind: Sequence[str | None]
    entity: Ints
    cut: int

    def __len__(self) -> int:
        return len(self.label)

    @cached_property
    def training(self) -> Columns:
        return self.columns.take(np.arange(self.cut))

    @cached_property
    def test(self) -> Columns:
        return self.columns.take(np.arange(self.cut, len(self)))

    @property
    def known(self) -> Flags:
        """bool (test logs,): the logs that have a label."""
        known: Flags = self.label[self.cut :] != UNKNOWN
        return known

    @property
    def days(self) -> float:
        """Length of the test part in days, at least one second."""
        time = self.columns.time
        return float(max(1.0, time[-1] - time[self.cut])) / DAY


def of_records(
    name: str, records: Sequence[Log], train_share: float, split: float | None = None
) -> Dataset:
    """A data set of log entries with the field names of the contract and `label`, in any order.

    The training part is what came before `split` (Unix seconds), else the first `train_share`.
    Raises KeyError for a record that lacks a field, ValueError for an invalid value or for a split
    that leaves either part empty.
    """
    times = np.array([unix_seconds(record["timestamp"]) for record in records])
    order = np.argsort(times, kind="stable")
    records, times = [records[row] for row in order.tolist()], times[order]
    early = int(train_share * len(records))
    cut = early if split is None else int(np.searchsorted(times, split))
    if not 0 < cut < len(records):
        raise ValueError("the training part and the test part need at least one log each")
    labels = [record["label"] for record in records]
    return Dataset(
        name=name,
        columns=_columns(times, records),
        rules=RuleLogs.of_records(records),
        label=np.array([UNKNOWN if label is None else int(label) for label in labels]),
        family=[record.get("attack") for record in records],
        kind=[record.get("case") or record.get("role") for record in records],
        entity=_numbered([_entity(record) for record in records]),
        cut=cut,
    )


def of_traffic(name: str, traffic: Traffic) -> Dataset:
    """Simulated traffic, split where its scenario says."""
    return of_records(name, traffic.logs(), 0.0, traffic.scenario.split)


def read_ndjson(path: Path, train_share: float, name: str | None = None) -> Dataset:
    """A labelled NDJSON file, gzipped when its name ends in .gz.

    Raises OSError if it cannot be read, UnreadableData for other content.
    """
    opened = gzip.open(path, "rt", encoding="utf-8") if path.suffix == ".gz" else path.open()
    records: list[Log] = []
    with opened as lines:
        for number, line in enumerate(lines, start=1):
            records.append(_record(line, f"{path.name}, line {number}"))
    try:
        return of_records(name or path.name.split(".")[0], records, train_share)
    except (KeyError, ValueError) as error:
        raise UnreadableData(f"{path.name}: {error}") from error


def _record(line: str, where: str) -> Log:
    """One log with its label; missing fields are reported by `of_records`."""
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        raise UnreadableData(f"{where}: not JSON: {error}") from error
    if not isinstance(record, dict) or record.get("label", "") not in (0, 1, None):
        raise UnreadableData(f"{where}: needs a label of 0, 1 or null")
    return record


def _columns(times: Floats, records: Sequence[Log]) -> Columns:
    def field(name: str) -> list[Any]:
        return [record.get(name) for record in records]

    return columns_of(
        times.tolist(),
        field("user_id"),
        field("endpoint"),
        [str(record["method"]).upper() for record in records],
        [int(record["status_code"]) for record in records],
        [_known_value(value) for value in field("response_time")],
        field("ip_address"),
        field("user_agent"),
        [_known_value(value) for value in field("request_size")],
        [_known_value(value) for value in field("response_size")],
    )


def _known_value(value: float | None) -> Any:
    # A negative value means unknown in the contract.
    return None if value is None or value < 0 else value


def _entity(record: Log) -> str:
    names = (record.get(field) for field in ("actor", "user_id", "ip_address"))
    return next((name for name in names if name), "")


def _numbered(names: Sequence[str]) -> Ints:
    """int64 (n,): equal names have equal numbers, from 0 in the order of first appearance."""
    numbers: dict[str, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)
