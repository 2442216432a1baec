"""Bounded tables of fixed-size records, found by key; the least recently seen makes room.

Open addressing with linear probing over an index twice as large as the capacity, deletion by
backward shift (Knuth, The Art of Computer Programming 3, section 6.4, algorithm R), and an exact
least-recently-seen order as a doubly linked list over slots. Every operation is O(1) expected. The
arrays are zero pages at first: a table costs memory only for the records it holds.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.kernels import kernel

USED, NEWEST, OLDEST, EVICTIONS = range(4)  # columns of `Table.state`
_NONE = np.int64(-1)  # instead of a slot
_NEWER, _OLDER = 0, 1  # columns of `Table.links`


#: Position of a record in a table.
Slot = np.int64


class Table(NamedTuple):
    """`records` (capacity,), an `index` of slot + 1 (its length a power of two), `links`
    (capacity, 2) to the next newer and the next older slot, `state` (4,), and one `blank` record.

    A record's dtype has at least the fields ``key``, ``last`` (time of its last log) and ``seen``
    (logs).
    """

    records: NDArray[Any]
    index: NDArray[np.uint32]  # type: ignore[assignment]  # hides tuple.index, which has no caller
    links: NDArray[np.int32]
    state: NDArray[np.int64]
    blank: NDArray[Any]


def empty_table(dtype: np.dtype[Any], capacity: int) -> Table:
    """A table for at most `capacity` (>= 1) records of `dtype`."""
    size = 1 << int(2 * capacity - 1).bit_length()
    state = np.array([0, _NONE, _NONE, 0], np.int64)
    links = np.zeros((capacity, 2), np.int32)
    return Table(
        np.zeros(capacity, dtype), np.zeros(size, np.uint32), links, state, np.zeros(1, dtype)
    )


@kernel
def find(table: Table, key: np.uint64) -> Slot:
    """The slot of `key`, or -1. The order stays."""
    mask = np.uint64(len(table.index) - 1)
    position = key & mask
    while table.index[position] != 0:
        slot = np.int64(table.index[position]) - 1
        if table.records[slot].key == key:
            return slot
        position = (position + np.uint64(1)) & mask
    return _NONE


@kernel
def see(table: Table, key: np.uint64) -> Slot:
    """The slot of `key`, now the most recently seen; a new key gets a blank record.

    In a full table it takes the slot of the least recently seen.
    """
    slot = find(table, key)
    if slot == _NONE:
        slot = _take_slot(table)
        table.records[slot] = table.blank[0]
        table.records[slot].key = key
        _add_to_index(table, slot)
        _push(table, slot)
    elif table.state[NEWEST] != slot:
        _unlink(table, slot)
        _push(table, slot)
    return slot


@kernel
def _take_slot(table: Table) -> Slot:
    if table.state[USED] < len(table.records):
        table.state[USED] += 1
        unused: Slot = table.state[USED] - 1
        return unused
    slot: Slot = table.state[OLDEST]
    _unlink(table, slot)
    _remove_from_index(table, slot)
    table.state[EVICTIONS] += 1
    return slot


@kernel
def remove(table: Table, key: np.uint64) -> bool:
    """Remove the record of `key` and overwrite its bytes; whether there was one. The last record
    moves into its slot. The order of the others stays."""
    slot = find(table, key)
    if slot == _NONE:
        return False
    _unlink(table, slot)
    _remove_from_index(table, slot)
    last: Slot = table.state[USED] - 1
    if slot != last:
        _move(table, last, slot)
    table.records[last] = table.blank[0]
    table.state[USED] = last
    return True


@kernel
def _move(table: Table, slot: Slot, target: Slot) -> None:
    """Move the record in `slot` to the slot `target`, which is unused, with its place in the
    order."""
    mask, one = np.uint64(len(table.index) - 1), np.uint64(1)
    position = table.records[slot].key & mask
    while table.index[position] != slot + 1:
        position = (position + one) & mask
    table.index[position] = target + 1
    newer, older = table.links[slot, _NEWER], table.links[slot, _OLDER]
    if newer == _NONE:
        table.state[NEWEST] = target
    else:
        table.links[newer, _OLDER] = target
    if older == _NONE:
        table.state[OLDEST] = target
    else:
        table.links[older, _NEWER] = target
    table.links[target, _NEWER], table.links[target, _OLDER] = newer, older
    table.records[target] = table.records[slot]


@kernel
def _push(table: Table, slot: Slot) -> None:
    """Make `slot`, which is in no link, the newest."""
    newest = table.state[NEWEST]
    table.links[slot, _NEWER] = _NONE
    table.links[slot, _OLDER] = newest
    if newest == _NONE:
        table.state[OLDEST] = slot
    else:
        table.links[newest, _NEWER] = slot
    table.state[NEWEST] = slot


@kernel
def _unlink(table: Table, slot: Slot) -> None:
    newer, older = table.links[slot, _NEWER], table.links[slot, _OLDER]
    if newer == _NONE:
        table.state[NEWEST] = older
    else:
        table.links[newer, _OLDER] = older
    if older == _NONE:
        table.state[OLDEST] = newer
    else:
        table.links[older, _NEWER] = newer


@kernel
def _add_to_index(table: Table, slot: Slot) -> None:
    mask = np.uint64(len(table.index) - 1)
    position = table.records[slot].key & mask
    while table.index[position] != 0:
        position = (position + np.uint64(1)) & mask
    table.index[position] = slot + 1


@kernel
def _remove_from_index(table: Table, slot: Slot) -> None:
    """Take `slot` out of the index and shift back what had been pushed past it."""
    mask, one = np.uint64(len(table.index) - 1), np.uint64(1)
    hole = table.records[slot].key & mask
    while table.index[hole] != slot + 1:
        hole = (hole + one) & mask
    position = hole
    while True:
        position = (position + one) & mask
        if table.index[position] == 0:
            break
        home = table.records[np.int64(table.index[position]) - 1].key & mask
        if ((position - home) & mask) >= ((position - hole) & mask):
            table.index[hole] = table.index[position]
            hole = position
    table.index[hole] = 0


@kernel
def insert_records(table: Table, records: NDArray[Any]) -> None:
    """Copy in each of `records` (m,), in order; of two with one key the one with the later last log
    stays.
    """
    for row in range(len(records)):
        slot = see(table, records[row].key)
        if records[row].last >= table.records[slot].last or table.records[slot].seen == 0:
            table.records[slot] = records[row]


@kernel
def set_order(table: Table, slots: NDArray[np.int64]) -> None:
    """Make `slots` (used,), all that are in use, the order of being seen, the oldest first."""
    table.state[NEWEST] = table.state[OLDEST] = _NONE
    for slot in slots:
        _push(table, slot)


@kernel
def copy_records(source: Table, target: Table, keys: NDArray[np.uint64]) -> None:
    """Copy those records of `keys` (m,) that `source` holds into `target`, which can hold m."""
    for row in range(len(keys)):
        slot = find(source, keys[row])
        if slot != _NONE:
            target.records[see(target, keys[row])] = source.records[slot]
