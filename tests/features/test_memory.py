"""The memory: bounded (least recently seen first), written and restored whole, merged by time."""

from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_anomaly.features.extract import extract, subject_keys
from api_anomaly.features.memory import Memory
from tests.support.reference_log_record import parse
from tests.support.records import assert_sound, contents, newest_first, record
from tests.support.streams import START, columns, plain, streams, traffic

Logs = list[dict[str, Any]]
LATER = START + 1e6


def memory_after(logs: Logs, entities: int = 1_000) -> Memory:
    memory = Memory.empty(entities)
    extract(memory, columns(logs))
    return memory


def one_log_each(names: list[int], start: float = START) -> Logs:
    """One log each of so many users, each at an address of its own."""
    return [
        plain(start + i, user_id=f"user-{name}", ip_address=f"10.0.{name // 256}.{name % 256}")
        for i, name in enumerate(names)
    ]


@given(st.lists(st.integers(0, 20), max_size=120))
@settings(max_examples=60)
def test_the_least_recently_seen_actor_is_evicted(names: list[int]) -> None:
    logs = one_log_each(names)
    memory, model, evicted = memory_after(logs, entities=16), OrderedDict[int, None](), 0
    for log in map(parse, logs):
        for key in (log.user, log.address):
            if key not in model and len(model) == 16:
                model.popitem(last=False)
                evicted += 1
            model[key] = None
            model.move_to_end(key)
    assert newest_first(memory.state.actors) == list(model)[::-1]
    assert memory.entities["actors"] == len(model) <= memory.capacity == 16
    assert memory.evictions == evicted
    assert_sound(memory.state.actors)


WHO = {
    "user and address": {},
    "user": {"ip_address": None},
    "address": {"user_id": None},
    "IPv6": {"ip_address": "2001:db8::1"},
    "mapped": {"ip_address": "::ffff:192.0.2.77"},
}


@pytest.mark.parametrize("who", WHO.values(), ids=WHO)
def test_a_forgotten_actor_is_new_and_the_others_are_not(who: dict[str, Any]) -> None:
    log = plain(LATER, user_id="alice", ip_address="192.0.2.77") | who
    others = one_log_each([1, 2, 3])
    memory, without = memory_after([*others, log]), memory_after(others)
    users = [log["user_id"]] if log["user_id"] else []
    addresses = [log["ip_address"]] if log["ip_address"] else []
    assert memory.forget(subject_keys(users, addresses)) == 2
    assert newest_first(memory.state.actors) == newest_first(without.state.actors)
    assert extract(memory, columns([log | {"timestamp": LATER + 1}])).history.tolist() == [0]
    assert_sound(memory.state.actors)


def test_a_forgotten_user_is_not_its_address() -> None:
    log = plain(START, user_id="alice", ip_address="192.0.2.77")
    memory = memory_after([log])
    assert memory.forget(subject_keys(["alice"], [])) == 1
    assert memory.forget(subject_keys(["alice"], [])) == 0
    assert memory.entities["actors"] == 1
    assert memory.forget(subject_keys(["192.0.2.77"], ["192.0.2.77"])) == 1
    assert memory.entities["actors"] == 0


def test_endpoints_are_bounded() -> None:
    logs = [plain(START + i, endpoint=f"/{'x' * (i % 3_000 + 1)}") for i in range(3_000)]
    memory = memory_after(logs, entities=16)
    assert memory.entities["endpoints"] == 1_024
    assert memory.evictions == 2 * 3_000 + 1 - 1_024
    assert_sound(memory.state.endpoints)


def test_the_smallest_memory_holds_16_actors() -> None:
    assert Memory.empty(0).capacity == 16


def test_an_evicted_actor_is_new_again() -> None:
    memory = memory_after([plain(START + i, user_id="ann") for i in range(30)], entities=16)
    extract(memory, columns(one_log_each(list(range(30)), LATER)))
    back = extract(memory, columns([plain(LATER + 100.0, ip_address=None)]))
    assert back.history.tolist() == [0]


@given(streams(most=40), streams(most=20))
@settings(max_examples=25)
def test_a_restored_memory_gives_the_same_rows(past: Logs, logs: Logs) -> None:
    memory = memory_after(past, entities=100)
    restored = Memory.restore(memory.sections(), entities=100)
    before, after = contents(memory), contents(restored)
    for name in ("actors", "endpoints", "traffic", "cells"):
        assert before[name] == after[name]
    assert np.array_equal(
        extract(memory, columns(logs)).rows, extract(restored, columns(logs)).rows
    )


def test_restoring_into_a_smaller_memory_keeps_the_latest_seen() -> None:
    logs = one_log_each(list(range(40)))
    whole = memory_after(logs)
    restored = Memory.restore(whole.sections(), entities=16)
    latest = {key for log in map(parse, logs[-8:]) for key in (log.user, log.address)}
    assert set(newest_first(restored.state.actors)) == latest
    assert_sound(restored.state.actors)


@given(st.permutations(range(12)), st.integers(1, 9), st.integers(16, 60))
@settings(max_examples=30)
def test_sections_in_any_order_and_of_any_size_restore_the_same(
    order: list[int], size: int, entities: int
) -> None:
    whole = memory_after(one_log_each(list(range(25))))
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
    assert last == sorted(last, reverse=True)  # a user and its address are seen at the same time
    assert set(seen[1][: entities // 2 * 2]) == set(seen[0][: entities // 2 * 2])
    assert_sound(restored.state.actors)


def test_an_actor_in_two_sections_is_restored_once() -> None:
    early, late = memory_after(one_log_each([1, 2])), memory_after(one_log_each([1], LATER))
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


def test_missing_unknown_and_repeated_sections_are_refused() -> None:
    sections = list(Memory.empty(16).sections())
    with pytest.raises(ValueError, match="cells"):
        Memory.restore(sections[:1])
    with pytest.raises(ValueError, match="unknown section of a memory: traffic"):
        Memory.restore([*sections, sections[0]])
    with pytest.raises(ValueError, match=r"unknown section of a memory: thing\.0"):
        Memory.restore([("thing.0", np.zeros(3)), *sections])


def test_an_empty_memory_is_restored() -> None:
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
    one = memory_after(traffic(300, seed=1, users=10) + [plain(LATER, user_id="ann")])
    other = memory_after(traffic(600, seed=2, users=20))
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
    assert parse(plain(LATER, user_id="ann")).user in merged
    for table in (state.actors, state.endpoints):
        assert_sound(table)


def test_merging_changes_neither_the_other_memory_nor_the_traffic_wide_baselines() -> None:
    one, other = memory_after(traffic(50, seed=1)), memory_after(traffic(80, seed=2))
    traffic_before, before = one.state.traffic.copy(), contents(other)
    one.merge_newer(other)
    assert contents(other) == before
    assert one.state.traffic == traffic_before


def test_a_merged_endpoint_keeps_its_share_of_all_traffic() -> None:
    busy = [
        plain(START + 7.0 * i, user_id=f"u{i}", endpoint=f"/{'ab'[i % 2]}") for i in range(2_000)
    ]
    one, other = memory_after(one_log_each(list(range(50)))), memory_after(busy, entities=10_000)
    key = parse(busy[0]).template
    share = record(other.state.endpoints, key)["total"] / other.state.traffic[0]["weight"]
    one.merge_newer(other)
    merged = record(one.state.endpoints, key)["total"] / one.state.traffic[0]["weight"]
    assert np.isclose(merged, share) and np.isclose(share, 0.5)


def test_merging_more_than_fits_keeps_the_latest_seen() -> None:
    late, early = one_log_each(list(range(6)), LATER), one_log_each(list(range(10, 30)), START)
    latest = {key for log in map(parse, late + early[-2:]) for key in (log.user, log.address)}
    for first, second in ((late, early), (early, late)):
        one = memory_after(first, entities=16)
        one.merge_newer(memory_after(second))
        assert set(newest_first(one.state.actors)) == latest
        assert_sound(one.state.actors)


def test_merging_with_an_empty_memory() -> None:
    one = memory_after(traffic(50))
    before = contents(one)
    one.merge_newer(Memory.empty(16))
    assert contents(one) == before
    fresh = Memory.empty(1_000)
    fresh.merge_newer(one)
    assert contents(fresh)["actors"] == before["actors"]


def test_a_memory_of_another_layout_has_another_schema() -> None:
    assert len(Memory.schema) == 16
