"""Rules on live traffic: the batch evaluator's answers, however logs are cut, in bounded room."""

from __future__ import annotations

import tracemalloc
from collections import defaultdict
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_anomaly.rules import RuleError, RuleLogs, RuleSet, RuleStream, SentLogs
from api_anomaly.rules.stream import JUMP

RULES = RuleSet.load("""
rules:
  - {id: many, description: many, counts: every log, per: actor, window: 10 s,
     threshold: at least 4}
  - {id: errors, description: errors, counts: {status: 400-499}, per: actor, window: 60 s,
     threshold: more than 1}
  - {id: place, description: a busy place, counts: every log, per: endpoint, window: 5 s,
     threshold: at least 3}
  - {id: host, description: a busy host, counts: {method: POST}, per: address, window: 30 s,
     threshold: at least 2}
  - {id: any_5xx, description: an error, fires_on: {status: 500-599}}
""")
Row = tuple[float, str | None, str | None, int, str, str]

ROWS = st.lists(
    st.tuples(
        st.integers(0, 90).map(lambda tick: tick / 2.0),
        st.sampled_from(["ann", "bob", None, "x" * 300]),
        st.sampled_from(["192.0.2.1", "192.0.2.2", None]),
        st.sampled_from([200, 404, 401, 503]),
        st.sampled_from(["GET", "POST"]),
        st.sampled_from(["/a", "/b"]),
    ),
    max_size=60,
)


def sent(rows: list[Row]) -> SentLogs:
    """Rows as they were sent."""
    return SentLogs.of(*columns(rows))


def columns(rows: list[Row]) -> Any:
    time, user, address, status, method, endpoint = zip(*rows, strict=True) if rows else [()] * 6
    actor = [u or a for u, a in zip(user, address, strict=True)]
    unknown = [None] * len(rows)
    return time, actor, address, status, method, unknown, endpoint, unknown


def naive(rows: list[Row]) -> np.ndarray:
    """Every rule at every log, from the whole past of its key in event time."""
    fired = np.zeros((len(rows), len(RULES.rules)), np.bool_)
    for column, rule in enumerate(RULES.rules):
        hits = rule.match.rows(sent(rows))
        if rule.window is None:
            fired[:, column] = hits
            continue
        counted: dict[str, list[float]] = defaultdict(list)
        latest: dict[str, float] = {}
        for row, key in enumerate(rule.keys(sent(rows))):
            if key is None:
                continue
            now = latest[key] = max(latest.get(key, -np.inf), rows[row][0])
            counted[key] += [rows[row][0]] if hits[row] else []
            inside = sum(now - rule.window <= time <= now for time in counted[key])
            fired[row, column] = inside >= rule.at_least
    return fired


@settings(max_examples=150)
@given(rows=ROWS)
def test_in_time_order_it_fires_what_the_batch_evaluator_fires(rows: list[Row]) -> None:
    rows = sorted(rows, key=lambda row: row[0])
    expected = RULES.evaluate(RuleLogs.of(*columns(rows)))
    told = RuleStream(RULES).fired(sent(rows))
    assert told.rule_ids == expected.rule_ids
    assert (told.matrix == expected.matrix).all()


@settings(max_examples=150)
@given(rows=ROWS)
def test_late_logs_are_judged_by_where_their_actor_stands(rows: list[Row]) -> None:
    assert (RuleStream(RULES).fired(sent(rows)).matrix == naive(rows)).all()


@settings(max_examples=150)
@given(rows=ROWS, cuts=st.lists(st.integers(0, 60), max_size=6), keys=st.integers(1, 3))
def test_it_does_not_matter_how_logs_are_cut_into_calls(
    rows: list[Row], cuts: list[int], keys: int
) -> None:
    whole = RuleStream(RULES, max_keys=keys, max_times=5)
    stream = RuleStream(RULES, max_keys=keys, max_times=5)
    edges = sorted({0, len(rows), *(min(cut, len(rows)) for cut in cuts)})
    parts = [stream.fired(sent(rows[a:b])).matrix for a, b in pairwise(edges)]
    expected = whole.fired(sent(rows)).matrix
    assert (np.concatenate([*parts, expected[:0]]) == expected).all()
    assert stream.remembered == whole.remembered


@settings(max_examples=100)
@given(past=ROWS, looked_at=ROWS, later=ROWS)
def test_a_look_tells_the_same_and_leaves_no_trace(
    past: list[Row], looked_at: list[Row], later: list[Row]
) -> None:
    stream, other = RuleStream(RULES), RuleStream(RULES)
    stream.fired(sent(past)), other.fired(sent(past))
    look = stream.fired(sent(looked_at), remember=False).matrix
    assert stream.remembered == other.remembered
    assert (stream.fired(sent(later)).matrix == other.fired(sent(later)).matrix).all()
    third = RuleStream(RULES)
    third.fired(sent(past))
    assert (look == third.fired(sent(looked_at)).matrix).all()


def one(time: float, who: str = "ann", status: int = 404) -> Row:
    return (time, who, None, status, "GET", f"/{time}")


def test_a_jumped_clock_does_not_blind_the_rules_for_ever() -> None:
    stream = RuleStream(RULES)
    stream.fired(sent([one(1e11)]))
    told = stream.fired(sent([one(0.0), one(1.0)]))
    assert told.by_rule()["errors"] == 1
    nearly = stream.fired(sent([one(2.0 + JUMP), one(2.0), one(3.0)]))
    assert nearly.by_rule()["errors"] == 0  # late by less: older than the window


def test_the_room_is_bounded_by_keys_and_by_times() -> None:
    stream = RuleStream(RULES, max_keys=10, max_times=12)
    for i in range(500):
        stream.fired(sent([one(i / 100.0, f"user-{i % 37}") for _ in range(3)]))
        keys, times = stream.remembered["actor"]
        assert keys <= 10 and times <= 12
    assert stream.remembered["endpoint"][0] <= 10


def test_who_was_forgotten_starts_from_zero() -> None:
    stream = RuleStream(RULES, max_keys=1)
    assert stream.fired(sent([one(0.0), one(0.1)])).by_rule()["errors"] == 1
    rows = [one(0.2, "bob"), one(0.3), one(0.4)]
    assert stream.fired(sent(rows)).matrix[:, 1].tolist() == [False, False, True]


def test_twenty_thousand_strangers_with_long_names_take_little_room() -> None:
    stream = RuleStream(RuleSet.default(), max_keys=2_000)
    tracemalloc.start()
    for start in range(0, 20_000, 1_000):
        rows = [one(i / 10.0, f"{i}-" + "x" * 250) for i in range(start, start + 1_000)]
        stream.fired(sent(rows))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert stream.remembered["actor"][0] == 2_000
    assert held < 2_000 * 1_200


def test_logs_of_nobody_and_no_logs_are_fine() -> None:
    stream = RuleStream(RULES)
    assert stream.fired(sent([])).matrix.shape == (0, 5)
    assert not stream.fired(sent([(0.0, None, None, 404, "POST", "/a")] * 2)).matrix.any()


def test_bounds_that_cannot_work_are_refused() -> None:
    with pytest.raises(ValueError, match="max_keys"):
        RuleStream(RULES, max_keys=0)
    with pytest.raises(RuleError, match="'many'.*highest threshold"):
        RuleStream(RULES, max_times=3)


def test_sent_logs_still_need_columns_that_fit() -> None:
    with pytest.raises(ValueError, match="differ in length"):
        SentLogs.of([0.0], [], [], [], [], [], [], [])
    with pytest.raises(ValueError, match="finite"):
        SentLogs.of([float("inf")], ["a"], ["a"], [200], ["GET"], [None], ["/"], [None])
