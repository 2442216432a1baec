"""The memory: bounded, least recently seen out first, kept and restored whole, merged by time."""

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_anomaly.features.extract import extract
from api_anomaly.features.memory import Memory
from tests.support.reference_log_record import read
from tests.support.records import assert_sound, contents, newest_first, record
from tests.support.streams import START, columns, plain, streams, traffic

Logs = list[dict[str, Any]]
LATER = START + 1e6


def remembering(logs: Logs, entities: int = 1_000) -> Memory:
    memory = Memory.empty(entities)
    extract(memory, columns(logs))
    return memory


def visitors(names: list[int], start: float = START) -> Logs:
    """One log each of so many users, each at an address of its own."""
    return [
        plain(start + i, user_id=f"user-{name}", ip_address=f"10.0.{name // 256}.{name % 256}")
        for i, name in enumerate(names)
    ]


@given(st.lists(st.integers(0, 20), max_size=120))
@settings(max_examples=60)
def test_the_least_recently_seen_actor_makes_room(names: list[int]) -> None:
    logs = visitors(names)
    memory, model, fallen = remembering(logs, entities=16), OrderedDict[int, None](), 0
    for log in map(read, logs):
        for key in (log.user, log.address):
            if key not in model and len(model) == 16:
                model.popitem(last=False)
                fallen += 1
            model[key] = None
            model.move_to_end(key)
    assert newest_first(memory.state.actors) == list(model)[::-1]
    assert memory.entities["actors"] == len(model) <= memory.capacity == 16
    assert memory.evictions == fallen
    assert_sound(memory.state.actors)


def test_endpoints_are_bounded_too() -> None:
    logs = [plain(START + i, endpoint=f"/{'x' * (i % 3_000 + 1)}") for i in range(3_000)]
    memory = remembering(logs, entities=16)
    assert memory.entities["endpoints"] == 1_024
    assert memory.evictions == 2 * 3_000 + 1 - 1_024
    assert_sound(memory.state.endpoints)


def test_there_is_always_room_for_a_few_actors() -> None:
    assert Memory.empty(0).capacity == 16


def test_who_was_forgotten_is_new_again() -> None:
    memory = remembering([plain(START + i, user_id="ann") for i in range(30)], entities=16)
    extract(memory, columns(visitors(list(range(30)), LATER)))
    back = extract(memory, columns([plain(LATER + 100.0, ip_address=None)]))
    assert back.history.tolist() == [0]


@given(streams(most=40), streams(most=20))
@settings(max_examples=25)
def test_a_restored_memory_gives_the_rows_that_the_kept_one_gives(past: Logs, logs: Logs) -> None:
    memory = remembering(past, entities=100)
    restored = Memory.restore(memory.sections(), entities=100)
    kept, again = contents(memory), contents(restored)
    for name in ("actors", "endpoints", "traffic", "cells"):
        assert kept[name] == again[name]
    assert np.array_equal(
        extract(memory, columns(logs)).rows, extract(restored, columns(logs)).rows
    )


def test_restoring_into_a_smaller_memory_keeps_the_latest_seen() -> None:
    logs = visitors(list(range(40)))
    whole = remembering(logs)
    restored = Memory.restore(whole.sections(), entities=16)
    latest = {key for log in map(read, logs[-8:]) for key in (log.user, log.address)}
    assert set(newest_first(restored.state.actors)) == latest
    assert_sound(restored.state.actors)


@given(st.permutations(range(12)), st.integers(1, 9), st.integers(16, 60))
@settings(max_examples=30)
def test_sections_in_any_order_and_of_any_size_restore_the_same(
    order: list[int], size: int, entities: int
) -> None:
    whole = remembering(visitors(list(range(25))))
    pieces = [
        (f"{name}.{start}", rows[start : start + size])
        for name, rows in whole.sections()
        for start in range(0, len(rows), size)
        if name.startswith("actors")
    ]
    pieces = sorted(pieces, key=lambda piece: order[int(piece[0].split(".")[1]) % 12])
    rest = [section for section in whole.sections() if not section[0].startswith("actors")]
    restored = Memory.restore(pieces + rest, entities)
    seen = [newest_first(memory.state.actors) for memory in (whole, restored)]
    last = [record(whole.state.actors, key)["last"] for key in seen[1]]
    assert last == sorted(last, reverse=True)  # a user and its address are seen at one time
    assert set(seen[1][: entities // 2 * 2]) == set(seen[0][: entities // 2 * 2])
    assert_sound(restored.state.actors)


def test_an_actor_that_moved_while_its_memory_was_kept_is_restored_once() -> None:
    early, late = remembering(visitors([1, 2])), remembering(visitors([1], LATER))
    (_, old), *rest = early.sections()
    (_, new), *_ = late.sections()
    for sections in (
        [("actors.0", old), ("actors.1", new)],
        [("actors.0", new), ("actors.1", old)],
    ):
        restored = Memory.restore([*sections, *rest], 16)
        assert restored.entities["actors"] == 4
        assert record(restored.state.actors, new[0]["key"])["last"] == LATER
        assert new[0]["key"] in newest_first(restored.state.actors)[:2]
        assert_sound(restored.state.actors)


def test_what_is_no_whole_memory_is_not_restored() -> None:
    sections = list(Memory.empty(16).sections())
    with pytest.raises(ValueError, match="cells"):
        Memory.restore(sections[:1])
    with pytest.raises(ValueError, match="unknown section of a memory: traffic"):
        Memory.restore([*sections, sections[0]])
    with pytest.raises(ValueError, match=r"unknown section of a memory: thing\.0"):
        Memory.restore([("thing.0", np.zeros(3)), *sections])


def test_an_empty_memory_is_kept_and_restored() -> None:
    sections = dict(Memory.empty(16).sections())
    assert set(sections) == {"traffic", "cells"}
    assert Memory.restore(sections.items(), 16).entities == {"actors": 0, "endpoints": 0}


def test_sections_come_in_bounded_chunks_that_later_logs_do_not_change() -> None:
    many = Memory.empty(50_000)
    names = range(20_000)
    logs = [plain(START + i, user_id=f"u{i}", ip_address=None) for i in names]
    extract(many, columns(logs))
    sections = dict(many.sections())
    chunks = [section for name, section in sections.items() if name.startswith("actors.")]
    assert [len(chunk) for chunk in chunks] == [16_384, 16_384, 7_232]
    before = {name: section.tobytes() for name, section in sections.items()}
    extract(many, columns(logs[:100]))
    assert {name: section.tobytes() for name, section in sections.items()} == before


def test_merging_keeps_the_later_record_of_each_actor_and_endpoint() -> None:
    one = remembering(traffic(300, seed=1, users=10) + [plain(LATER, user_id="ann")])
    other = remembering(traffic(600, seed=2, users=20))
    mine, theirs = contents(one)["actors"], contents(other)["actors"]
    state = one.state
    one.merge_newer(other)
    merged = contents(one)["actors"]
    assert set(merged) == set(mine) | set(theirs)
    for key, kept in merged.items():
        versions = [
            np.frombuffer(rows[key], state.actors.records.dtype)[0]
            for rows in (mine, theirs)
            if key in rows
        ]
        latest = max(versions, key=lambda version: version["last"])
        assert kept == latest.tobytes()
    assert read(plain(LATER, user_id="ann")).user in merged
    for table in (state.actors, state.endpoints):
        assert_sound(table)


def test_merging_leaves_the_other_memory_and_ones_own_shared_past_as_they_were() -> None:
    one, other = remembering(traffic(50, seed=1)), remembering(traffic(80, seed=2))
    shared, before = one.state.traffic.copy(), contents(other)
    one.merge_newer(other)
    assert contents(other) == before
    assert one.state.traffic == shared


def test_an_endpoint_brings_its_share_of_all_voices_along() -> None:
    busy = [
        plain(START + 7.0 * i, user_id=f"u{i}", endpoint=f"/{'ab'[i % 2]}") for i in range(2_000)
    ]
    one, other = remembering(visitors(list(range(50)))), remembering(busy, entities=10_000)
    key = read(busy[0]).place
    share = record(other.state.endpoints, key)["total"] / other.state.traffic[0]["weight"]
    one.merge_newer(other)
    merged = record(one.state.endpoints, key)["total"] / one.state.traffic[0]["weight"]
    assert np.isclose(merged, share) and np.isclose(share, 0.5)


def test_merging_with_too_little_room_keeps_the_latest_seen_of_both() -> None:
    late, early = visitors(list(range(6)), LATER), visitors(list(range(10, 30)), START)
    latest = {key for log in map(read, late + early[-2:]) for key in (log.user, log.address)}
    for first, second in ((late, early), (early, late)):
        one = remembering(first, entities=16)
        one.merge_newer(remembering(second))
        assert set(newest_first(one.state.actors)) == latest
        assert_sound(one.state.actors)


def test_merging_an_empty_memory_changes_nothing_and_into_an_empty_one_takes_all() -> None:
    one = remembering(traffic(50))
    before = contents(one)
    one.merge_newer(Memory.empty(16))
    assert contents(one) == before
    fresh = Memory.empty(1_000)
    fresh.merge_newer(one)
    assert contents(fresh)["actors"] == before["actors"]


def test_a_memory_of_another_layout_has_another_schema() -> None:
    assert len(Memory.schema) == 16
