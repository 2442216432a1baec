"""When rules fire: sliding windows against a slow naive twin, memory, and single conditions."""

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_anomaly.rules import Match, Rule, RuleError, RuleLogs, RuleSet
from api_anomaly.rules.state import window_counts


class Log(NamedTuple):
    gap: float
    actor: str | None = "ann"
    address: str | None = "192.0.2.1"
    status: int = 200
    method: str = "GET"
    size: float | None = 100
    endpoint: str = "/a"
    agent: str | None = "curl/8"


# Quarters of a second are exact in binary, so that both sides of a window's edge are met.
LOGS = st.lists(
    st.builds(
        Log,
        gap=st.integers(0, 40).map(lambda quarters: quarters / 4),
        actor=st.sampled_from(["ann", "bob", "cy", None]),
        address=st.sampled_from(["192.0.2.1", "192.0.2.2", None]),
        status=st.sampled_from([200, 401, 404, 500]),
        method=st.sampled_from(["GET", "POST"]),
        size=st.sampled_from([None, 10, 5_000_000, 5_000_001]),
        endpoint=st.sampled_from(["/a", "/B/login"]),
        agent=st.sampled_from([None, "curl/8", "Nikto"]),
    ),
    max_size=60,
)
MATCHES = st.builds(
    Match,
    status=st.sampled_from([(), ((400, 499),), ((404, 404), (500, 599))]),
    method=st.sampled_from([(), ("POST",)]),
    endpoint=st.sampled_from([(), ("login",)]),
    agent=st.sampled_from([(), ("nikto", "sqlmap")]),
    size_over=st.sampled_from([None, 5_000_000]),
)
RULES = st.lists(
    st.builds(
        Rule,
        id=st.uuids().map(str),
        description=st.just("drawn"),
        match=MATCHES,
        per=st.sampled_from(["actor", "address", "endpoint"]),
        window=st.sampled_from([None, 1.0, 5.0, 60.0]),
        at_least=st.integers(1, 6),
    ),
    min_size=1,
    max_size=4,
).map(lambda rules: RuleSet(tuple(rules)))


def logs_of(logs: list[Log]) -> RuleLogs:
    columns = list(zip(*logs, strict=True)) or [()] * len(Log._fields)
    time = np.cumsum(np.array(columns[0], dtype=np.float64)).tolist()
    return RuleLogs.of(time, *columns[1:])


def naive_match(match: Match, log: Log) -> bool:
    agent, endpoint = (log.agent or "").lower(), log.endpoint.lower()
    return (
        (not match.status or any(low <= log.status <= high for low, high in match.status))
        and (not match.method or log.method in match.method)
        and (not match.endpoint or any(part in endpoint for part in match.endpoint))
        and (not match.agent or any(part in agent for part in match.agent))
        and (match.size_over is None or (log.size is not None and log.size > match.size_over))
    )


def naive_fires(rule: Rule, logs: list[Log], place: int) -> bool:
    """The promise word for word: count again, from the first log, at every log."""
    if rule.window is None:
        return naive_match(rule.match, logs[place])
    times = np.cumsum([log.gap for log in logs])
    key = getattr(logs[place], rule.per)
    if key is None:
        return False
    counted = [
        other
        for other in range(place + 1)
        if getattr(logs[other], rule.per) == key
        and times[other] >= times[place] - rule.window
        and naive_match(rule.match, logs[other])
    ]
    return len(counted) >= rule.at_least


@given(LOGS, RULES)
@settings(max_examples=150)
def test_rules_fire_exactly_where_the_naive_twin_does(logs: list[Log], rules: RuleSet) -> None:
    expected = [
        [naive_fires(rule, logs, place) for rule in rules.rules] for place in range(len(logs))
    ]
    fired = rules.evaluate(logs_of(logs))
    assert fired.matrix.shape == (len(logs), len(rules.rules))
    assert fired.matrix.tolist() == expected


@given(LOGS, RULES, st.lists(st.integers(0, 60), max_size=5), st.integers(1, 4))
@settings(max_examples=100)
def test_many_calls_fire_what_one_call_fires(
    logs: list[Log], rules: RuleSet, cuts: list[int], actors: int
) -> None:
    columns, state = logs_of(logs), rules.new_state(actors)
    whole = rules.evaluate(columns, rules.new_state(actors)).matrix
    edges = [0, *sorted(cuts), len(logs)]
    parts = [
        rules.evaluate(columns[begin:end], state).matrix
        for begin, end in zip(edges, edges[1:], strict=False)
    ]
    assert np.concatenate(parts).tolist() == whole.tolist()
    assert max(state.remembered().values()) <= actors


@given(LOGS, RULES)
@settings(max_examples=100)
def test_exact_counts_agree_with_the_streaming_windows(logs: list[Log], rules: RuleSet) -> None:
    columns = logs_of(logs)
    fired = rules.evaluate(columns).matrix
    for place, rule in enumerate(rules.rules):
        if rule.window is not None:
            counts = window_counts(columns, rule, rule.match.rows(columns))
            assert (counts >= rule.at_least).tolist() == fired[:, place].tolist()


def evaluate(logs: list[Log], rule: str) -> npt.NDArray[np.bool_]:
    rules = RuleSet.default()
    return rules.evaluate(logs_of(logs)).matrix[:, rules.ids.index(rule)]


def test_the_sixty_first_request_within_a_minute_is_too_many() -> None:
    fired = evaluate([Log(1.0) for _ in range(70)], "request_rate")
    assert fired.tolist() == [False] * 60 + [True] * 10


def test_a_log_exactly_one_window_old_still_counts() -> None:
    edge = [Log(0, status=404)] + [Log(15, status=404) for _ in range(4)]
    late = [Log(0, status=404)] + [Log(15.25, status=404) for _ in range(4)]
    assert evaluate(edge, "client_errors")[-1] and not evaluate(late, "client_errors")[-1]


def test_while_the_threshold_is_reached_every_log_of_the_actor_fires() -> None:
    logs = [Log(1, method="POST") for _ in range(5)] + [Log(1), Log(1, actor="bob")]
    assert evaluate(logs, "posts").tolist() == [False] * 4 + [True, True, False]


def test_an_unknown_size_is_not_a_large_one() -> None:
    logs = [Log(0, size=None), Log(0, size=5_000_000), Log(0, size=5_000_001)]
    assert evaluate(logs, "large_response").tolist() == [False, False, True]


def test_agents_are_found_whatever_their_case_and_an_unknown_one_is_fine() -> None:
    logs = [Log(0, agent="NIKTO/2"), Log(0, agent=None), Log(0, agent="CURL/8")]
    assert evaluate(logs, "scanner_agent").tolist() == [True, False, False]
    assert evaluate(logs, "script_agent").tolist() == [False, False, True]


def test_an_actor_forgotten_for_lack_of_room_starts_from_zero() -> None:
    rules = RuleSet.default()
    state = rules.new_state(max_actors=1)
    logs = [Log(1, method="POST") for _ in range(4)]
    rules.evaluate(logs_of([*logs, Log(1, actor="bob")]), state)
    assert state.evictions == 1
    later = logs_of([Log(6, method="POST")])
    assert not rules.evaluate(later, state).matrix[:, rules.ids.index("posts")].any()


def test_memory_stays_bounded_however_many_actors_come() -> None:
    rules = RuleSet.default()
    state = rules.new_state(max_actors=50)
    rules.evaluate(logs_of([Log(0.25, actor=f"user-{i}") for i in range(500)]), state)
    assert state.remembered()["actor"] == 50 and state.evictions == 450


def test_time_does_not_go_back_between_calls() -> None:
    rules = RuleSet.default()
    state = rules.new_state()
    rules.evaluate(logs_of([Log(9)]), state)
    with pytest.raises(RuleError, match="older"):
        rules.evaluate(logs_of([Log(8)]), state)


def test_a_state_serves_only_the_rules_that_it_was_made_for() -> None:
    rules = RuleSet.default()
    with pytest.raises(RuleError, match="other rules"):
        rules.without("posts").evaluate(logs_of([Log(0)]), rules.new_state())
    with pytest.raises(ValueError, match="max_actors"):
        rules.new_state(0)


def test_what_fired_can_be_counted_by_log_and_by_rule() -> None:
    fired = RuleSet.default().evaluate(logs_of([Log(0, status=500), Log(0, agent="x")]))
    assert fired.any().tolist() == [True, False]
    assert fired.by_rule()["server_error"] == 1 and fired.by_rule()["posts"] == 0


def test_no_logs_fire_nothing() -> None:
    fired = RuleSet.default().evaluate(logs_of([]))
    assert fired.matrix.shape == (0, 8) and fired.any().tolist() == []


def test_logs_in_the_contracts_form_are_understood() -> None:
    log = {"timestamp": "1970-01-01T00:01:00", "endpoint": "/", "method": "get"}
    records: list[dict[str, Any]] = [
        {**log, "status_code": "404", "user_id": None, "ip_address": "192.0.2.7"},
        {**log, "status_code": 200, "user_id": "ann", "timestamp": 61, "response_size": -1},
        {**log, "status_code": 200, "user_id": "ann", "timestamp": "1970-01-01T02:01:02+02:00"},
    ]
    logs = RuleLogs.of_records(records)
    assert logs.time.tolist() == [60, 61, 62]
    assert list(logs.actor) == ["192.0.2.7", "ann", "ann"]
    assert logs.status.tolist() == [404, 200, 200] and logs.method[0] == "GET"
    assert np.isnan(logs.response_size).all()


def test_logs_out_of_order_or_out_of_shape_are_refused() -> None:
    one, two = logs_of([Log(1)]), logs_of([Log(1), Log(1)])
    with pytest.raises(ValueError, match="length"):
        replace(one, time=two.time)
    with pytest.raises(ValueError, match="time order"):
        replace(two, time=two.time[::-1])
    with pytest.raises(ValueError, match="finite"):
        replace(one, time=one.time * np.nan)
