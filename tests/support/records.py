"""Reading a memory in tests: one record, or all contents in a form that can be compared."""

from typing import Any

import numpy as np

from api_anomaly.features.memory import Memory
from api_anomaly.features.lru_table import EVICTIONS, NEWEST, OLDEST, USED, Table, find


def record(table: Table, key: int) -> Any:
    """The record of `key`; AssertionError without one."""
    slot = find(table, np.uint64(key))
    assert slot >= 0, "no such record"
    return table.records[slot]


def newest_first(table: Table) -> list[int]:
    """The keys, the latest seen first."""
    keys, slot = [], int(table.state[NEWEST])
    while slot >= 0:
        keys.append(int(table.records[slot]["key"]))
        slot = int(table.links[slot, 1])
    return keys


def contents(memory: Memory) -> dict[str, Any]:
    """All arrays of a memory by name."""
    state = memory.state
    tables = {"actors": state.actors, "endpoints": state.endpoints}
    held: dict[str, Any] = {
        "traffic": state.traffic.tobytes(),
        "cells": state.cells.tobytes(),
    }
    for name, table in tables.items():
        used = table.records[: table.state[USED]]
        held[name] = {int(record["key"]): record.tobytes() for record in used}
        held[f"{name} in order"] = newest_first(table)
        held[f"{name} counted"] = [int(table.state[i]) for i in (USED, EVICTIONS)]
    return held


def assert_sound(table: Table) -> None:
    """The links lead through every record both ways, and the index finds each of them."""
    keys = newest_first(table)
    assert len(keys) == len(set(keys)) == int(table.state[USED])
    backwards, slot = [], int(table.state[OLDEST])
    while slot >= 0:
        backwards.append(int(table.records[slot]["key"]))
        slot = int(table.links[slot, 0])
    assert backwards == keys[::-1]
    assert int((table.index != 0).sum()) == len(keys)
    for key in keys:
        assert table.records[find(table, np.uint64(key))]["key"] == key
