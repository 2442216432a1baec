"""A table behaves as an ordered dictionary that drops the least recently seen key."""

from collections import OrderedDict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_anomaly.features.lru_table import (
    EVICTIONS,
    USED,
    Table,
    copy_records,
    empty_table,
    find,
    insert_records,
    remove,
    see,
)
from api_anomaly.features.records import ENDPOINT
from tests.support.records import assert_sound, newest_first

# Keys whose positions in an index of 8 to 16 collide, wrap round the end, or both.
KEYS = st.builds(
    lambda low, high: low + (high << 20), st.sampled_from((0, 1, 7, 14, 15)), st.integers(0, 4)
)


def seen(table: Table, key: int, last: float = 0.0) -> int:
    """See `key` and write into its record."""
    slot = int(see(table, np.uint64(key)))
    table.records[slot]["last"], table.records[slot]["seen"] = last, table.records[slot]["seen"] + 1
    return slot


def model_see(model: OrderedDict[int, int], key: int, capacity: int) -> int:
    """The same on an OrderedDict; 1 if another key was dropped."""
    dropped = key not in model and len(model) == capacity
    if dropped:
        model.popitem(last=False)
    model[key] = model.get(key, 0) + 1
    model.move_to_end(key)
    return int(dropped)


@given(st.integers(1, 7), st.lists(KEYS, max_size=80))
@settings(max_examples=200)
def test_it_holds_exactly_the_latest_seen(capacity: int, keys: list[int]) -> None:
    table, model, evictions = empty_table(ENDPOINT, capacity), OrderedDict[int, int](), 0
    for key in keys:
        seen(table, key)
        evictions += model_see(model, key, capacity)
    assert newest_first(table) == list(model)[::-1]
    assert {key: int(table.records[find(table, np.uint64(key))]["seen"]) for key in model} == model
    assert all(find(table, np.uint64(key)) == -1 for key in set(keys) - set(model))
    assert [int(table.state[i]) for i in (USED, EVICTIONS)] == [len(model), evictions]
    assert_sound(table)


@given(st.integers(1, 7), st.lists(st.tuples(KEYS, st.booleans()), max_size=80))
@settings(max_examples=200)
def test_a_removed_key_is_gone_and_the_others_stay_in_order(
    capacity: int, steps: list[tuple[int, bool]]
) -> None:
    table, model, evictions = empty_table(ENDPOINT, capacity), OrderedDict[int, int](), 0
    for key, is_removal in steps:
        if is_removal:
            assert remove(table, np.uint64(key)) == (model.pop(key, None) is not None)
        else:
            seen(table, key)
            evictions += model_see(model, key, capacity)
    assert newest_first(table) == list(model)[::-1]
    assert {key: int(table.records[find(table, np.uint64(key))]["seen"]) for key in model} == model
    assert [int(table.state[i]) for i in (USED, EVICTIONS)] == [len(model), evictions]
    assert not table.records[len(model) :].tobytes().strip(b"\0")
    assert_sound(table)


def test_removing_a_key_from_a_cluster_keeps_the_others_reachable() -> None:
    table = empty_table(ENDPOINT, 4)  # an index of 8 positions
    for key in (6, 14, 22, 7):  # 14 and 22 are pushed past their positions, 7 past the end
        seen(table, key)
    seen(table, 30)  # 6 is dropped, and the keys behind it move up
    assert find(table, np.uint64(6)) == -1
    assert newest_first(table) == [30, 7, 22, 14]
    assert_sound(table)


def test_a_new_key_gets_a_blank_record_in_a_used_slot() -> None:
    table = empty_table(ENDPOINT, 1)
    table.records[seen(table, 1, 5.0)]["total"] = 9.0
    record = table.records[int(see(table, np.uint64(2)))]
    assert record["key"] == 2
    assert all(np.all(record[name] == 0) for name in ENDPOINT.names or () if name != "key")


def test_finding_a_key_does_not_change_the_order() -> None:
    table = empty_table(ENDPOINT, 2)
    seen(table, 1)
    seen(table, 2)
    assert find(table, np.uint64(1)) >= 0
    seen(table, 3)
    assert newest_first(table) == [3, 2]


@pytest.mark.parametrize("capacity", [1, 2, 16, 17, 1_000])
def test_the_index_is_never_more_than_half_full(capacity: int) -> None:
    table = empty_table(ENDPOINT, capacity)
    assert len(table.index) >= 2 * capacity
    assert len(table.index) & (len(table.index) - 1) == 0


@given(st.lists(st.tuples(KEYS, st.integers(-5, 5)), max_size=30))
@settings(max_examples=60)
def test_of_inserted_records_with_one_key_the_later_one_stays(rows: list[tuple[int, int]]) -> None:
    records = np.zeros(len(rows), ENDPOINT)
    for i, (key, last) in enumerate(rows):
        records[i]["key"], records[i]["last"], records[i]["seen"] = key, last, 1
        records[i]["total"] = i
    table = empty_table(ENDPOINT, 64)
    insert_records(table, records)
    for key in {key for key, _ in rows}:
        last, i = max((last, i) for i, (k, last) in enumerate(rows) if k == key)
        record = table.records[find(table, np.uint64(key))]
        assert (record["last"], record["total"]) == (last, i)
    assert_sound(table)


def test_only_held_keys_are_copied_and_the_source_stays() -> None:
    source, target = empty_table(ENDPOINT, 4), empty_table(ENDPOINT, 16)
    for key in (1, 2, 3):
        seen(source, key, float(key))
    order = newest_first(source)
    copy_records(source, target, np.array([9, 1, 3], np.uint64))
    assert sorted(newest_first(target)) == [1, 3]
    assert target.records[find(target, np.uint64(3))]["last"] == 3.0
    assert newest_first(source) == order
