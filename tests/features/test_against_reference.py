"""The compiled pass gives what the slow, plain one gives, on any logs."""

import gzip
import json
from collections import Counter
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from api_anomaly.features.extract import actor_keys, extract
from api_anomaly.features.table import NAMES
from api_anomaly.features.memory import Memory, State
from api_anomaly.features.records import ACTOR, ENDPOINT, TRAFFIC, TRANSITIONS
from api_anomaly.features.lru_table import empty_table
from api_anomaly.simulator.scenario import Scenario
from api_anomaly.simulator.simulation import simulate
from tests.support.reference_features import Naive
from tests.support.reference_log_record import read
from tests.support.records import record
from tests.support.streams import START, columns, plain, streams, traffic
from tests.support.paths import DATA


def memory_of(actors: int, endpoints: int) -> Memory:
    tables = empty_table(ACTOR, actors), empty_table(ENDPOINT, endpoints)
    return Memory(State(*tables, np.zeros(1, TRAFFIC), np.zeros(TRANSITIONS)))


def assert_same(logs: list[dict[str, Any]], memory: Memory, naive: Naive) -> None:
    rows, expected = extract(memory, columns(logs)).rows, naive.rows(logs)
    wrong = ~np.isclose(rows, expected, rtol=1e-3, atol=1e-3)
    if wrong.any():
        log, place = np.argwhere(wrong)[0]
        row = f"log {log}, {NAMES[place]}: {rows[log, place]}, expected {expected[log, place]}"
        pytest.fail(f"{row}; {logs[log]}")


@given(streams())
@settings(max_examples=60)
def test_behaviours_are_those_of_the_naive_pass_on_any_logs(logs: list[dict[str, Any]]) -> None:
    assert_same(logs, Memory.empty(100), Naive())


@given(streams(most=40))
@settings(max_examples=30)
def test_so_are_they_when_the_memory_is_far_too_small(logs: list[dict[str, Any]]) -> None:
    assert_same(logs, memory_of(3, 4), Naive(3, 4))


@given(streams(most=20))
@settings(max_examples=20)
def test_an_actor_is_its_user_or_without_one_its_address(logs: list[dict[str, Any]]) -> None:
    assert actor_keys(columns(logs)).tolist() == [read(log).user for log in logs]


def test_so_are_they_when_shares_grow_old() -> None:
    logs = traffic(1_500, users=40, pace=600.0)
    memory, naive = Memory.empty(200), Naive()
    memory.state.traffic["weight"] = naive.everybody.weight = 999_600.0
    memory.state.traffic["settled"] = naive.settled = 999_800.0
    assert_same(logs, memory, naive)
    assert naive.everybody.weight < 600_000.0 and naive.settled < 600_000.0


def test_so_are_they_after_ten_thousand_voices_at_one_endpoint() -> None:
    logs = [plain(START + i, user_id=f"user-{i}", ip_address=None) for i in range(500)]
    memory, naive = Memory.empty(2_000), Naive()
    assert_same(logs[:200], memory, naive)
    for key, usual in naive.endpoints.items():
        held = record(memory.state.endpoints, key)
        held["weight"] += 9_700.0
        held["statuses"][0] += 9_700.0
        usual.weight += 9_700.0
        usual.statuses[0] += 9_700.0
    assert_same(logs[200:], memory, naive)
    assert min(usual.weight for usual in naive.endpoints.values()) < 5_500.0


def test_so_are_they_when_an_actors_hours_are_full() -> None:
    logs = [plain(START + 3_600.0 * i, status_code=200 + i % 3) for i in range(200)]
    memory, naive = Memory.empty(16), Naive()
    assert_same(logs[:10], memory, naive)
    for key, actor in naive.actors.items():
        held = record(memory.state.actors, key)
        held["hours"], held["days"] = 252, 245
        actor.hours = Counter(dict.fromkeys(range(24), 252))
        actor.days = Counter(dict.fromkeys(range(7), 245))
    assert_same(logs[10:], memory, naive)
    assert naive.actors[read(logs[0]).user].days.total() < 7 * 245


@pytest.mark.parametrize("name", ["wordpress_blog_2016", "erddap_api"])
def test_so_are_they_on_a_real_access_log(name: str) -> None:
    file = DATA / f"{name}.ndjson.gz"
    if not file.exists():
        pytest.skip(f"the real access log {file.name} is not on this machine")
    with gzip.open(file, "rt") as lines:
        logs = [json.loads(line) for _, line in zip(range(2_000), lines, strict=False)]
    assert_same([timed(log) for log in logs], Memory.empty(100_000), Naive())


def test_so_are_they_on_simulated_traffic() -> None:
    traffic = simulate(Scenario(days=2, training_days=1, users=20, attackers=1))
    logs = traffic.logs()[-2_000:]
    assert_same([timed(log) for log in logs], Memory.empty(100_000), Naive())


def timed(log: dict[str, Any]) -> dict[str, Any]:
    return log | {"time": datetime.fromisoformat(log["timestamp"]).timestamp()}
