"""The compiled extraction gives what the slow, plain one gives, on any logs."""

import gzip
import json
from collections import Counter
from datetime import datetime
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings

from api_anomaly.features.extract import actor_keys, extract
from api_anomaly.features.lru_table import empty_table
from api_anomaly.features.memory import Memory, State
from api_anomaly.features.records import ACTOR, ENDPOINT, TRAFFIC, TRANSITIONS
from api_anomaly.features.table import NAMES
from api_anomaly.simulator.scenario import Scenario
from api_anomaly.simulator.simulation import simulate
from tests.support.paths import DATA
from tests.support.records import record
from tests.support.reference_features import ReferenceExtractor
from tests.support.reference_log_record import parse
from tests.support.streams import START, columns, plain, streams, traffic

Logs = list[dict[str, Any]]


def memory_of(actors: int, endpoints: int) -> Memory:
    tables = empty_table(ACTOR, actors), empty_table(ENDPOINT, endpoints)
    return Memory(State(*tables, np.zeros(1, TRAFFIC), np.zeros(TRANSITIONS)))


def assert_same(logs: Logs, memory: Memory, reference: ReferenceExtractor) -> None:
    rows, expected = extract(memory, columns(logs)).rows, reference.rows(logs)
    wrong = ~np.isclose(rows, expected, rtol=1e-3, atol=1e-3)
    if wrong.any():
        log, column = np.argwhere(wrong)[0]
        name = f"log {log}, {NAMES[column]}"
        pytest.fail(f"{name}: {rows[log, column]}, expected {expected[log, column]}; {logs[log]}")


@given(streams())
@settings(max_examples=60)
def test_same_rows_for_any_logs(logs: Logs) -> None:
    assert_same(logs, Memory.empty(100), ReferenceExtractor())


@given(streams(most=40))
@settings(max_examples=30)
def test_same_rows_with_a_memory_that_is_far_too_small(logs: Logs) -> None:
    assert_same(logs, memory_of(3, 4), ReferenceExtractor(3, 4))


@given(streams(most=20))
@settings(max_examples=20)
def test_the_key_of_an_actor_is_its_user_or_without_one_its_address(logs: Logs) -> None:
    assert actor_keys(columns(logs)).tolist() == [parse(log).user for log in logs]


def test_same_rows_when_the_weight_of_all_traffic_is_halved() -> None:
    logs = traffic(1_500, users=40, pace=600.0)
    memory, reference = Memory.empty(200), ReferenceExtractor()
    memory.state.traffic["weight"] = reference.traffic.weight = 999_600.0
    memory.state.traffic["settled"] = reference.settled = 999_800.0
    assert_same(logs, memory, reference)
    assert reference.traffic.weight < 600_000.0 and reference.settled < 600_000.0


def test_same_rows_when_the_weight_of_an_endpoint_is_halved() -> None:
    logs = [plain(START + i, user_id=f"user-{i}", ip_address=None) for i in range(500)]
    memory, reference = Memory.empty(2_000), ReferenceExtractor()
    assert_same(logs[:200], memory, reference)
    for key, baseline in reference.endpoints.items():
        held = record(memory.state.endpoints, key)
        held["weight"] += 9_700.0
        held["statuses"][0] += 9_700.0
        baseline.weight += 9_700.0
        baseline.statuses[0] += 9_700.0
    assert_same(logs[200:], memory, reference)
    assert min(baseline.weight for baseline in reference.endpoints.values()) < 5_500.0


def test_same_rows_when_active_hours_are_halved() -> None:
    logs = [plain(START + 3_600.0 * i, status_code=200 + i % 3) for i in range(200)]
    memory, reference = Memory.empty(16), ReferenceExtractor()
    assert_same(logs[:10], memory, reference)
    for key, actor in reference.actors.items():
        held = record(memory.state.actors, key)
        held["hours"], held["days"] = 252, 245
        actor.hours = Counter(dict.fromkeys(range(24), 252))
        actor.days = Counter(dict.fromkeys(range(7), 245))
    assert_same(logs[10:], memory, reference)
    assert reference.actors[parse(logs[0]).user].days.total() < 7 * 245


@pytest.mark.parametrize("name", ["wordpress_blog_2016", "erddap_api"])
def test_same_rows_for_a_real_access_log(name: str) -> None:
    file = DATA / f"{name}.ndjson.gz"
    if not file.exists():
        pytest.skip(f"the real access log {file.name} is not on this machine")
    with gzip.open(file, "rt") as lines:
        logs = [json.loads(line) for _, line in zip(range(2_000), lines, strict=False)]
    assert_same([with_time(log) for log in logs], Memory.empty(100_000), ReferenceExtractor())


def test_same_rows_for_simulated_traffic() -> None:
    simulation = simulate(Scenario(days=2, training_days=1, users=20, attackers=1))
    logs = [with_time(log) for log in simulation.logs()[-2_000:]]
    assert_same(logs, Memory.empty(100_000), ReferenceExtractor())


def with_time(log: dict[str, Any]) -> dict[str, Any]:
    return log | {"time": datetime.fromisoformat(log["timestamp"]).timestamp()}
