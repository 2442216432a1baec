"""The memory: a bounded record for each user, address and endpoint, and what all traffic shares.

One writer adds logs (see `extract`); the layouts are those of `records`. A memory is written as
named sections and restored from them, and takes the newer records of another one (`merge_newer`;
counts are not added up).

An actor or endpoint that the bound pushed out (the least recently seen first) is new when it comes
back. Texts are not kept, only 64-bit keys; nothing is encrypted.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from api_anomaly.features.lru_table import (
    EVICTIONS,
    USED,
    Table,
    copy_records,
    empty_table,
    insert_records,
    remove,
    set_order,
)
from api_anomaly.features.records import ACTOR, ENDPOINT, TRAFFIC, TRANSITIONS

_LEAST_ACTORS, _LEAST_ENDPOINTS = 16, 1_024
_ACTORS_PER_ENDPOINT = 16


class State(NamedTuple):
    """The arrays that the extraction reads and writes: two tables, the one record of all traffic
    (1,), and the cells (TRANSITIONS,) of `peers`.
    """

    actors: Table
    endpoints: Table
    traffic: NDArray[Any]
    cells: NDArray[np.float64]


class Memory:
    """At most `entities` actors, and a sixteenth as many endpoints."""

    #: Digest of the records' layout; a snapshot of another layout cannot be restored.
    schema = hashlib.sha256(
        repr((ACTOR.descr, ENDPOINT.descr, TRAFFIC.descr, TRANSITIONS)).encode()
    ).hexdigest()[:16]
    #: Records in a section, and what is copied at a time: a few megabytes.
    _CHUNK = 16_384

    def __init__(self, state: State) -> None:
        self.state = state

    @classmethod
    def empty(cls, entities: int = 1_000_000) -> Self:
        """A memory without records. The arrays are zero pages until they are used."""
        actors = empty_table(ACTOR, max(_LEAST_ACTORS, entities))
        endpoints = empty_table(ENDPOINT, max(_LEAST_ENDPOINTS, entities // _ACTORS_PER_ENDPOINT))
        return cls(State(actors, endpoints, np.zeros(1, TRAFFIC), np.zeros(TRANSITIONS)))

    @property
    def entities(self) -> dict[str, int]:
        """How many actors (users and addresses) and endpoints are remembered."""
        return {
            "actors": int(self.state.actors.state[USED]),
            "endpoints": int(self.state.endpoints.state[USED]),
        }

    @property
    def capacity(self) -> int:
        """How many actors can be remembered."""
        return len(self.state.actors.records)

    @property
    def evictions(self) -> int:
        """How many actors and endpoints the bound has pushed out."""
        return int(self.state.actors.state[EVICTIONS] + self.state.endpoints.state[EVICTIONS])

    def copy_of(self, actors: NDArray[np.uint64], endpoints: NDArray[np.uint64]) -> "Memory":
        """A small memory with copies of the records of the given keys; O(keys + TRANSITIONS)."""
        copy = Memory(
            State(
                empty_table(ACTOR, max(16, len(actors))),
                empty_table(ENDPOINT, max(16, len(endpoints))),
                self.state.traffic.copy(),
                self.state.cells.copy(),
            )
        )
        copy_records(self.state.actors, copy.state.actors, actors)
        copy_records(self.state.endpoints, copy.state.endpoints, endpoints)
        return copy

    def sections(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Named copies of all arrays, a chunk of records at a time; logs may be added meanwhile."""
        for name, table in (("actors", self.state.actors), ("endpoints", self.state.endpoints)):
            start = 0
            while start < table.state[USED]:
                stop = min(start + self._CHUNK, int(table.state[USED]))
                yield f"{name}.{start // self._CHUNK}", table.records[start:stop].copy()
                start = stop
        yield "traffic", self.state.traffic.copy()
        yield "cells", self.state.cells.copy()

    @classmethod
    def restore(
        cls, sections: Iterable[tuple[str, NDArray[Any]]], entities: int = 1_000_000
    ) -> Self:
        """A memory from `sections`; where they hold more than `entities`, the latest seen stay.

        Each section is copied before the next one is taken, so that no two need to exist at once.
        Raises ValueError for a section with an unknown name and when one of all traffic is missing.
        """
        memory = cls.empty(entities)
        state, missing = memory.state, {"traffic", "cells"}
        for name, rows in sections:
            kind = name.partition(".")[0]
            if kind in ("actors", "endpoints"):
                _insert(getattr(state, kind), rows)
            elif kind in missing:
                getattr(state, kind)[:] = rows
                missing.remove(kind)
            else:
                raise ValueError(f"unknown section of a memory: {name}")
        if missing:
            raise ValueError(f"sections missing: {missing}")
        _order(state.actors)
        _order(state.endpoints)
        return memory

    def forget(self, actors: NDArray[np.uint64]) -> int:
        """Remove the records of actors (users and addresses) with the given keys (m,), which
        `extract.subject_keys` makes of a text. Returns how many there were. O(m).

        They are then as new as one who was never seen. What their logs added to others stays: the
        sums of endpoints, of peers and of all traffic, and their 64-bit keys in the sketches of
        their counterparts (that a user came from an address is kept with the address, too). Such
        sums cannot be undone; they decay, or end with the next training.
        """
        return sum(bool(remove(self.state.actors, key)) for key in actors)

    def merge_newer(self, other: "Memory") -> None:
        """Take from `other` each actor and endpoint that it saw later than this memory did.

        Where both hold more than fits, the latest seen stay. This memory keeps its own traffic-wide
        baselines; an endpoint of `other` keeps its share of all traffic.
        """
        mine, theirs = self.state, other.state
        for rows in _chunks_that_fit(mine.actors, theirs.actors, self._CHUNK):
            insert_records(mine.actors, rows)
        for rows in _chunks_that_fit(mine.endpoints, theirs.endpoints, self._CHUNK):
            rows["total"] *= mine.traffic["weight"] / theirs.traffic["weight"]
            insert_records(mine.endpoints, rows)


def _insert(table: Table, rows: NDArray[Any]) -> None:
    """Insert `rows`, in any order, into `table`, whose order is to be set afterwards (`_order`)."""
    # The same dtype object and not an equal one: compiled kernels know it by identity, and
    # comparing dozens of fields would cost every later call microseconds.
    rows = rows.view(table.records.dtype)
    if table.state[USED] + len(rows) > len(table.records):
        _order(table)
        rows = rows[np.argsort(rows["last"], kind="stable")]
        rows = rows[_fits(table, rows["key"], rows["last"])]
    insert_records(table, rows)


def _order(table: Table) -> None:
    """Order the records of `table` by their last logs."""
    last = table.records["last"][: table.state[USED]]
    set_order(table, np.argsort(last, kind="stable"))


def _chunks_that_fit(mine: Table, theirs: Table, size: int) -> Iterator[NDArray[Any]]:
    """Copies of records of `theirs`, oldest first and at most `size` at a time, without those that
    would not stay in `mine`.
    """
    rows = theirs.records[: theirs.state[USED]]
    order = np.argsort(rows["last"], kind="stable")
    if mine.state[USED] + len(rows) > len(mine.records):
        order = order[_fits(mine, rows["key"], rows["last"])[order]]
    for start in range(0, len(order), size):
        yield rows[order[start : start + size]]


def _fits(table: Table, keys: NDArray[Any], last: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of records with `keys` and `last` (m,) are in `table` or stay in it when only the
    latest seen of all do.
    """
    held = table.records[: table.state[USED]]
    new = ~np.isin(keys, held["key"])
    surplus = len(held) + int(new.sum()) - len(table.records)
    if surplus <= 0:
        return np.ones(len(keys), np.bool_)
    seen = np.concatenate([held["last"], last[new]])
    too_old = np.partition(seen, surplus - 1)[surplus - 1]
    stays: NDArray[np.bool_] = ~new | (last > too_old)
    return stays
