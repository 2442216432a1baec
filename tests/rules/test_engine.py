"""When rules fire: the engine against a slow reference, its limits, and single conditions."""

import tracemalloc
from dataclasses import replace
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_anomaly.rules import Match, Rule, RuleEngine, RuleError, RuleLogs, RuleSet
from api_anomaly.rules.engine import MAX_CLOCK_STEP
from api_anomaly.rules.tuning import window_counts

RULES = RuleSet.load("""
rules:
  - {id: many, description: many, counts: every log, per: actor, window: 10 s,
     threshold: at least 4}
  - {id: errors, description: errors, counts: {status: 400-499}, per: actor, window: 60 s,
     threshold: more than 1}
  - {id: endpoint, description: a busy endpoint, counts: every log, per: endpoint, window: 5 s,
     threshold: at least 3}
  - {id: host, description: a busy host, counts: {method: POST}, per: address, window: 30 s,
     threshold: at least 2}
  - {id: any_5xx, description: an error, fires_on: {status: 500-599}}
""")


class Log(NamedTuple):
    time: float
    actor: str | None = "ann"
    address: str | None = "192.0.2.1"
    status: int = 200
    method: str = "GET"
    size: float | None = 100
    endpoint: str = "/a"
    agent: str | None = "curl/8"


# Quarters of a second are exact in binary, so that logs lie exactly on the edges of windows.
LOGS = st.lists(
    st.builds(
        Log,
        time=st.integers(0, 320).map(lambda quarters: quarters / 4),
        actor=st.sampled_from(["ann", "bob", "x" * 300, None]),
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
DRAWN_RULES = st.lists(
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
    return RuleLogs.of(*(list(zip(*logs, strict=True)) or [()] * len(Log._fields)))


def reference_match(match: Match, log: Log) -> bool:
    agent, endpoint = (log.agent or "").lower(), log.endpoint.lower()
    return (
        (not match.status or any(low <= log.status <= high for low, high in match.status))
        and (not match.method or log.method in match.method)
        and (not match.endpoint or any(part in endpoint for part in match.endpoint))
        and (not match.agent or any(part in agent for part in match.agent))
        and (match.size_over is None or (log.size is not None and log.size > match.size_over))
    )


def reference(rule: Rule, logs: list[Log], row: int) -> bool:
    """Count again from the first log, up to the latest time of the key so far."""
    if rule.window is None:
        return reference_match(rule.match, logs[row])
    key = getattr(logs[row], rule.per)
    if key is None:
        return False
    same = [log for log in logs[: row + 1] if getattr(log, rule.per) == key]
    now = max(log.time for log in same)
    counted = [
        log for log in same if log.time >= now - rule.window and reference_match(rule.match, log)
    ]
    return len(counted) >= rule.at_least


def evaluate(engine: RuleEngine, logs: list[Log]) -> npt.NDArray[np.bool_]:
    return engine.evaluate(logs_of(logs)).matrix


@given(LOGS, DRAWN_RULES, st.booleans())
@settings(max_examples=300)
def test_rules_fire_exactly_where_the_reference_says(
    logs: list[Log], rules: RuleSet, in_time_order: bool
) -> None:
    logs = sorted(logs, key=lambda log: log.time) if in_time_order else logs
    expected = [[reference(rule, logs, row) for rule in rules.rules] for row in range(len(logs))]
    for fired in (rules.evaluate(logs_of(logs)), RuleEngine(rules.rules).evaluate(logs_of(logs))):
        assert fired.matrix.shape == (len(logs), len(rules.rules))
        assert fired.matrix.tolist() == expected
        assert fired.rule_ids == rules.ids


@given(LOGS, st.lists(st.integers(0, 60), max_size=6), st.integers(1, 3))
@settings(max_examples=150)
def test_many_calls_fire_what_one_call_fires(logs: list[Log], cuts: list[int], keys: int) -> None:
    whole = RuleEngine(RULES.rules, max_keys=keys, max_times=5)
    engine = RuleEngine(RULES.rules, max_keys=keys, max_times=5)
    edges = sorted({0, len(logs), *(min(cut, len(logs)) for cut in cuts)})
    parts = [evaluate(engine, logs[begin:end]) for begin, end in pairwise(edges)]
    expected = evaluate(whole, logs)
    assert (np.concatenate([*parts, expected[:0]]) == expected).all()
    assert engine.remembered == whole.remembered


@given(LOGS, LOGS, LOGS)
@settings(max_examples=100)
def test_logs_that_are_not_remembered_change_nothing(
    earlier: list[Log], unremembered: list[Log], later: list[Log]
) -> None:
    engine, same, third = (RuleEngine(RULES.rules) for _ in range(3))
    for each in (engine, same, third):
        evaluate(each, earlier)
    result = engine.evaluate(logs_of(unremembered), remember=False).matrix
    assert engine.remembered == same.remembered
    assert (evaluate(engine, later) == evaluate(same, later)).all()
    assert (result == evaluate(third, unremembered)).all()


@given(LOGS, DRAWN_RULES)
@settings(max_examples=100)
def test_exact_counts_agree_with_the_sliding_windows(logs: list[Log], rules: RuleSet) -> None:
    columns = logs_of(sorted(logs, key=lambda log: log.time))
    fired = rules.evaluate(columns).matrix
    for column, rule in enumerate(rules.rules):
        if rule.window is not None:
            counts = window_counts(columns, rule, rule.match.rows(columns))
            assert (counts >= rule.at_least).tolist() == fired[:, column].tolist()


def fires(logs: list[Log], rule: str) -> list[bool]:
    """Where a default rule fires."""
    rules = RuleSet.default()
    fired: list[bool] = rules.evaluate(logs_of(logs)).matrix[:, rules.ids.index(rule)].tolist()
    return fired


def test_the_sixty_first_request_within_a_minute_is_too_many() -> None:
    logs = [Log(float(second)) for second in range(70)]
    assert fires(logs, "request_rate") == [False] * 60 + [True] * 10


@pytest.mark.parametrize(("step", "fired"), [(15.0, True), (15.25, False)])
def test_a_log_exactly_one_window_old_still_counts(step: float, fired: bool) -> None:
    logs = [Log(step * number, status=404) for number in range(5)]
    assert fires(logs, "client_errors")[-1] is fired


def test_while_the_threshold_is_reached_every_log_of_the_actor_fires() -> None:
    logs = [Log(float(second), method="POST") for second in range(5)]
    assert fires([*logs, Log(5.0), Log(6.0, "bob")], "posts") == [False] * 4 + [True, True, False]


def test_an_unknown_size_is_not_a_large_one() -> None:
    logs = [Log(0, size=None), Log(0, size=5_000_000), Log(0, size=5_000_001)]
    assert fires(logs, "large_response") == [False, False, True]


def test_agents_match_in_any_case_and_an_unknown_agent_matches_nothing() -> None:
    logs = [Log(0, agent="NIKTO/2"), Log(0, agent=None), Log(0, agent="CURL/8")]
    assert fires(logs, "scanner_agent") == [True, False, False]
    assert fires(logs, "script_agent") == [False, False, True]


def error(time: float, actor: str | None = "ann") -> Log:
    return Log(time, actor, None, 404, endpoint=f"/{time}")


def test_rules_fire_again_after_a_wrong_clock_was_set_back() -> None:
    engine = RuleEngine(RULES.rules)
    evaluate(engine, [error(1e11)])
    corrected = engine.evaluate(logs_of([error(0.0), error(1.0)]))
    assert corrected.by_rule()["errors"] == 1
    late = [error(2.0 + MAX_CLOCK_STEP), error(2.0), error(3.0)]
    assert engine.evaluate(logs_of(late)).by_rule()["errors"] == 0


def test_memory_is_limited_by_keys_and_by_times() -> None:
    engine = RuleEngine(RULES.rules, max_keys=10, max_times=12)
    for number in range(500):
        evaluate(engine, [error(number / 100.0, f"user-{number % 37}") for _ in range(3)])
        keys, times = engine.remembered["actor"]
        assert keys <= 10 and times <= 12
    assert engine.remembered["endpoint"][0] <= 10


def test_a_key_that_was_dropped_starts_from_zero() -> None:
    engine = RuleEngine(RULES.rules, max_keys=1)
    assert engine.evaluate(logs_of([error(0.0), error(0.1)])).by_rule()["errors"] == 1
    again = evaluate(engine, [error(0.2, "bob"), error(0.3), error(0.4)])
    assert again[:, 1].tolist() == [False, False, True]


def test_twenty_thousand_long_names_take_little_memory() -> None:
    engine = RuleEngine(RuleSet.default().rules, max_keys=2_000)
    tracemalloc.start()
    for start in range(0, 20_000, 1_000):
        names = range(start, start + 1_000)
        evaluate(engine, [error(number / 10.0, f"{number}-" + "x" * 250) for number in names])
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert engine.remembered["actor"][0] == 2_000
    assert held < 2_000 * 1_200


def test_logs_without_a_key_are_not_counted_and_no_logs_fire_nothing() -> None:
    engine = RuleEngine(RULES.rules)
    assert evaluate(engine, []).shape == (0, 5)
    assert not evaluate(engine, [Log(0.0, None, None, 404, "POST")] * 2).any()


def test_limits_that_cannot_work_are_rejected() -> None:
    with pytest.raises(ValueError, match="max_keys"):
        RuleEngine(RULES.rules, max_keys=0)
    with pytest.raises(RuleError, match="'many'.*highest threshold"):
        RuleEngine(RULES.rules, max_times=3)


def test_fired_rules_are_counted_by_log_and_by_rule() -> None:
    fired = RuleSet.default().evaluate(logs_of([Log(0, status=500), Log(0, agent="x")]))
    assert fired.any().tolist() == [True, False]
    assert fired.by_rule()["server_error"] == 1 and fired.by_rule()["posts"] == 0


def test_logs_with_the_field_names_of_the_contract_are_read() -> None:
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


def test_columns_of_different_length_and_infinite_times_are_rejected() -> None:
    one, two = logs_of([Log(1)]), logs_of([Log(1), Log(1)])
    with pytest.raises(ValueError, match="length"):
        replace(one, time=two.time)
    with pytest.raises(ValueError, match="finite"):
        replace(one, time=one.time * np.inf)
