"""Bounded tables of fixed-size records, found by key, least recently seen out first.

Open addressing with linear probing over an index twice as large as the capacity, deletion by
backward shift (Knuth, TAOCP 3, 6.4, algorithm R), and an exact least-recently-seen order as a
doubly linked list over slots. Every operation is O(1) expected. The arrays are made of zero pages:
a table costs memory only for the records it holds.
"""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.kernels import kernel

USED, NEWEST, OLDEST, EVICTIONS = range(4)  # places in `Table.state`
_NOWHERE = -1
_BEFORE, _AFTER = 0, 1  # columns of `Table.links`: the next newer and the next older slot


class Table(NamedTuple):
    """`records` (capacity,), an `index` of slot + 1 (a power of two long), `links` (capacity, 2)
    between slots, `state` (4,), and one `blank` record.

    A record's dtype has at least the fields ``key``, ``last`` (time of its last log) and ``seen``
    (logs).
    """

    records: NDArray[Any]
    index: NDArray[np.uint32]  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    links: NDArray[np.int32]
    state: NDArray[np.int64]
    blank: NDArray[Any]


def empty_table(dtype: np.dtype[Any], capacity: int) -> Table:
    """A table for at most `capacity` (>= 1) records of `dtype`."""
    size = 1 << int(2 * capacity - 1).bit_length()
    state = np.array([0, _NOWHERE, _NOWHERE, 0], np.int64)
    links = np.zeros((capacity, 2), np.int32)
    return Table(
        np.zeros(capacity, dtype), np.zeros(size, np.uint32), links, state, np.zeros(1, dtype)
    )


@kernel
def find(table, key):  # type: ignore[no-untyped-def]
    """The slot of `key`, or -1. Does not count as seeing it."""
    mask = np.uint64(len(table.index) - 1)
    place = key & mask
    while table.index[place] != 0:
        slot = np.int64(table.index[place]) - 1
        if table.records[slot].key == key:
            return slot
        place = (place + np.uint64(1)) & mask
    return _NOWHERE


@kernel
def see(table, key):  # type: ignore[no-untyped-def]
    """The slot of `key`, now the most recently seen; a new key gets a blank record.

    In a full table it takes the place of the least recently seen.
    """
    slot = find(table, key)
    if slot == _NOWHERE:
        slot = _take_slot(table)
        table.records[slot] = table.blank[0]
        table.records[slot].key = key
        _enter(table, slot)
        _push(table, slot)
    elif table.state[NEWEST] != slot:
        _unlink(table, slot)
        _push(table, slot)
    return slot


@kernel
def _take_slot(table):  # type: ignore[no-untyped-def]
    if table.state[USED] < len(table.records):
        table.state[USED] += 1
        return table.state[USED] - 1
    slot = table.state[OLDEST]
    _unlink(table, slot)
    _leave(table, slot)
    table.state[EVICTIONS] += 1
    return slot


@kernel
def _push(table, slot):  # type: ignore[no-untyped-def]
    newest = table.state[NEWEST]
    table.links[slot, _BEFORE] = _NOWHERE
    table.links[slot, _AFTER] = newest
    if newest == _NOWHERE:
        table.state[OLDEST] = slot
    else:
        table.links[newest, _BEFORE] = slot
    table.state[NEWEST] = slot


@kernel
def _unlink(table, slot):  # type: ignore[no-untyped-def]
    before, after = table.links[slot, _BEFORE], table.links[slot, _AFTER]
    if before == _NOWHERE:
        table.state[NEWEST] = after
    else:
        table.links[before, _AFTER] = after
    if after == _NOWHERE:
        table.state[OLDEST] = before
    else:
        table.links[after, _BEFORE] = before


@kernel
def _enter(table, slot):  # type: ignore[no-untyped-def]
    mask = np.uint64(len(table.index) - 1)
    place = table.records[slot].key & mask
    while table.index[place] != 0:
        place = (place + np.uint64(1)) & mask
    table.index[place] = slot + 1


@kernel
def _leave(table, slot):  # type: ignore[no-untyped-def]
    """Take `slot` out of the index and shift back whatever had been pushed past it."""
    mask, one = np.uint64(len(table.index) - 1), np.uint64(1)
    hole = table.records[slot].key & mask
    while table.index[hole] != slot + 1:
        hole = (hole + one) & mask
    place = hole
    while True:
        place = (place + one) & mask
        if table.index[place] == 0:
            break
        home = table.records[np.int64(table.index[place]) - 1].key & mask
        if ((place - home) & mask) >= ((place - hole) & mask):
            table.index[hole] = table.index[place]
            hole = place
    table.index[hole] = 0


@kernel
def read_in(table, records):  # type: ignore[no-untyped-def]
    """See every record of `records` (m,) in order and copy it in; of two with one key the one with
    the later last log stays.
    """
    for row in range(len(records)):
        slot = see(table, records[row].key)
        if records[row].last >= table.records[slot].last or table.records[slot].seen == 0:
            table.records[slot] = records[row]


@kernel
def put_in_order(table, slots):  # type: ignore[no-untyped-def]
    """Make `slots` (used,), all that are in use, the order of being seen, the oldest first."""
    table.state[NEWEST] = table.state[OLDEST] = _NOWHERE
    for slot in slots:
        _push(table, slot)


@kernel
def copy_known(source, target, keys):  # type: ignore[no-untyped-def]
    """Copy those records of `keys` (m,) that `source` holds into `target`, which has room for m."""
    for row in range(len(keys)):
        slot = find(source, keys[row])
        if slot != _NOWHERE:
            target.records[see(target, keys[row])] = source.records[slot]
