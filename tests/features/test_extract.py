"""What the extraction promises about order, calls, other actors, late logs and extreme values."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_anomaly.features.extract import actor_keys, extract
from api_anomaly.features.table import FEATURES, NAMES, to_units
from api_anomaly.features.decay import HALF_LIVES
from api_anomaly.features.memory import Memory
from api_anomaly.features.records import ACTOR, COUNT_COLUMNS, COUNT_STARTS, Count
from tests.support.records import contents, record
from tests.support.streams import START, YEAR_1, YEAR_9999, columns, plain, streams, traffic

Logs = list[dict[str, Any]]

#: The features of a user that depend on what others do: how rare endpoints, statuses and methods
#: are in all traffic, how surprising transitions and novelties are, what peers do.
SHARED_FEATURES = {
    "status_surprise",
    "method_surprise",
    "endpoint_surprise",
    "transition_surprise",
    "user_new_endpoint_surprise",
    "user_new_address_surprise",
    "user_new_network_surprise",
    "user_new_user_agent_surprise",
    *(f"{who}_transition_surprise_mean" for who in ("user", "address")),
    *(row.name for row in FEATURES if row.family in ("peers", "endpoint_traffic")),
}


def column(rows: np.ndarray, name: str) -> np.ndarray:
    """One feature in its unit."""
    return to_units(rows)[:, NAMES.index(name)]


@given(streams(), st.data())
@settings(max_examples=30)
def test_any_division_into_calls_gives_the_same_rows_and_the_same_memory(
    logs: Logs, data: st.DataObject
) -> None:
    cuts = data.draw(st.lists(st.integers(0, len(logs)), max_size=3).map(sorted))
    whole, parts = Memory.empty(16), Memory.empty(16)
    expected = extract(whole, columns(logs))
    edges = [0, *cuts, len(logs)]
    pieces = [columns(logs[a:b]) for a, b in zip(edges, edges[1:], strict=False)]
    extractions = [extract(parts, piece) for piece in pieces]
    assert np.array_equal(np.concatenate([part.rows for part in extractions]), expected.rows)
    assert np.array_equal(np.concatenate([part.history for part in extractions]), expected.history)
    assert contents(parts) == contents(whole)


def test_single_logs_give_what_one_batch_gives() -> None:
    logs = traffic(200)
    whole, single = Memory.empty(100), Memory.empty(100)
    rows = [extract(single, columns([log])).rows for log in logs]
    assert np.array_equal(np.concatenate(rows), extract(whole, columns(logs)).rows)
    assert contents(single) == contents(whole)


@given(streams(most=30), streams(most=30))
@settings(max_examples=25)
def test_without_remember_the_rows_are_the_same_and_the_memory_stays(
    past: Logs, logs: Logs
) -> None:
    memory = Memory.empty(100)
    extract(memory, columns(past))
    before = contents(memory)
    forgotten = extract(memory, columns(logs), remember=False)
    assert contents(memory) == before
    remembered = extract(memory, columns(logs))
    assert np.array_equal(forgotten.rows, remembered.rows)
    assert np.array_equal(forgotten.history, remembered.history)


def test_other_users_change_only_the_shared_features_of_a_user() -> None:
    own, others = traffic(300, seed=1, site="a-"), traffic(900, seed=2, site="bb-", users=40)
    both = sorted(own + others, key=lambda log: log["time"])
    mine = np.array([log["user_id"].startswith("a-") for log in both])
    alone = extract(Memory.empty(200), columns(own)).rows
    among = extract(Memory.empty(200), columns(both)).rows[mine]
    differ = {
        name for name, same in zip(NAMES, (alone == among).all(axis=0), strict=True) if not same
    }
    assert differ <= SHARED_FEATURES
    assert {
        "status_surprise",
        "endpoint_surprise",
        "transition_surprise",
        "user_transition_surprise_mean",
    } <= differ


@given(streams(most=40))
@settings(max_examples=40)
def test_all_values_are_finite(logs: Logs) -> None:
    memory = Memory.empty(16)
    rows = extract(memory, columns(logs)).rows
    after = extract(memory, columns([plain(START + i, user_id=None) for i in range(3)])).rows
    assert np.isfinite(rows).all() and np.isfinite(after).all()
    assert np.isfinite(to_units(rows)).all()


def test_extreme_sizes_and_times_are_forgotten() -> None:
    extreme = {"response_time": 1e300, "request_size": 1e300, "response_size": 1e300}
    logs = [plain(START, **extreme), plain(START + 1.0, **extreme)]
    logs += [plain(START + 30 * 86_400.0 + i) for i in range(5)]
    rows = extract(Memory.empty(16), columns(logs)).rows
    assert np.isfinite(rows).all()
    assert column(rows, "user_response_kilobytes_1d")[-1] < 1e5


INDEPENDENT_OF_ORDER = (
    Count.client_errors,
    Count.denied,
    Count.not_found,
    Count.server_errors,
    Count.writes,
    Count.failed_writes,
    Count.response_kilobytes,
    Count.server_seconds,
)


@given(st.permutations(range(40)), st.integers(0, 5))
@settings(max_examples=40)
def test_late_log_counts_as_if_in_time(order: list[int], seed: int) -> None:
    logs = [log | {"user_id": "ann"} for log in traffic(40, seed=seed, pace=900.0)]
    for at, status in ((3, 401), (9, 403), (17, 500), (30, 404)):
        logs[at] |= {"status_code": status, "method": "DELETE"}
    assert logs[-1]["time"] - logs[0]["time"] < 86_400.0
    key = actor_keys(columns(logs[:1]))[0]
    records = []
    for stream in (logs, [logs[i] for i in order]):
        memory = Memory.empty(100)
        extract(memory, columns(stream))
        records.append(record(memory.state.actors, key))
    in_time, late = records
    assert in_time["last"] == late["last"]
    assert np.allclose(in_time["requests"], late["requests"], rtol=1e-4)
    for count in INDEPENDENT_OF_ORDER:
        kept = COUNT_COLUMNS[count][COUNT_COLUMNS[count] >= 0]
        assert np.allclose(in_time["counts"][kept], late["counts"][kept], rtol=1e-4), count


@pytest.mark.parametrize("skewed", [YEAR_9999, YEAR_1, 0.0, START + 400 * 86_400.0])
def test_a_log_from_another_year_does_not_hide_a_later_burst(skewed: float) -> None:
    burst = [plain(START + 1_000.0 + 0.1 * i, status_code=403) for i in range(60)]
    past = [plain(START + i) for i in range(30)]
    without = extract(Memory.empty(16), columns([*past, *burst])).rows
    rows = extract(Memory.empty(16), columns([*past, plain(skewed), *burst])).rows
    for name in ("user_requests_10s", "user_requests_3m", "user_denied_3m", "address_denied_1d"):
        expected, got = column(without, name)[-1], column(rows, name)[-1]
        assert abs(got - expected) <= 1.0 + 0.01 * expected, name


def test_a_first_log_from_the_year_9999_does_not_hide_a_later_burst() -> None:
    logs = [plain(YEAR_9999)] + [plain(START + 0.1 * i, method="POST") for i in range(60)]
    rows = extract(Memory.empty(16), columns(logs)).rows
    assert column(rows, "user_writes_3m")[-1] > 50.0
    assert column(rows, "user_gap")[-1] == pytest.approx(0.1, rel=1e-3)


def test_a_log_without_a_user_counts_for_its_address_and_the_reverse() -> None:
    actor = [
        name[5:] for name in NAMES if name.startswith("user_") and f"address_{name[5:]}" in NAMES
    ]
    for missing in ("user_id", "ip_address"):
        logs = [log | {"user_id": "ann", "ip_address": "192.0.2.1"} for log in traffic(100)]
        rows = extract(Memory.empty(16), columns([log | {missing: None} for log in logs])).rows
        for name in actor:
            same = column(rows, f"user_{name}") == column(rows, f"address_{name}")
            assert same.all(), name


def test_a_missing_address_is_new_once() -> None:
    logs = [plain(START + i, ip_address=None) for i in range(30)]
    rows = extract(Memory.empty(16), columns(logs)).rows
    present = extract(Memory.empty(16), columns([plain(START + i) for i in range(30)])).rows
    for name in ("user_new_addresses_1d", "user_new_address_surprise", "user_new_network_surprise"):
        assert np.array_equal(column(rows, name), column(present, name)), name


def test_without_latency_and_sizes_nothing_is_in_excess() -> None:
    nothing = {"response_time": None, "request_size": None, "response_size": None}
    logs = [*traffic(100), *(plain(START + 1e5 + i, **nothing) for i in range(3))]
    rows = extract(Memory.empty(100), columns(logs)).rows[-3:]
    for name in ("latency_excess", "request_size_excess", "response_size_excess"):
        assert (column(rows, name) == 0.0).all()


def test_only_changing_numbers_are_sequential() -> None:
    for number in (2**53, 2**53 + 2, 10**17):
        logs = [plain(START + i, endpoint=f"/orders/{number}") for i in range(20)]
        rows = extract(Memory.empty(16), columns(logs)).rows
        assert column(rows, "user_sequential_share")[-1] == 0.0
    logs = [plain(START + i, endpoint=f"/orders/{10**9 + i}") for i in range(40)]
    assert column(extract(Memory.empty(16), columns(logs)).rows, "user_sequential_share")[-1] > 0.95


def test_history_is_the_larger_of_the_logs_of_user_and_address() -> None:
    logs = [plain(START + i) for i in range(5)]
    logs += [plain(START + 9.0, user_id="new"), plain(START + 10.0, user_id="new", ip_address=None)]
    assert extract(Memory.empty(16), columns(logs)).history.tolist() == [0, 1, 2, 3, 4, 5, 1]


def test_an_empty_batch_gives_no_rows() -> None:
    memory = Memory.empty(16)
    for remember in (True, False):
        extraction = extract(memory, columns([]), remember)
        assert extraction.rows.shape == (0, len(NAMES)) and extraction.history.shape == (0,)


def test_every_count_has_its_own_column_for_each_half_life_that_is_read() -> None:
    kept = COUNT_COLUMNS[COUNT_COLUMNS >= 0]
    assert sorted(kept.tolist()) == list(range(ACTOR["counts"].shape[0]))
    for h in range(len(HALF_LIVES)):
        columns_of_h = COUNT_COLUMNS[:, h][COUNT_COLUMNS[:, h] >= 0]
        assert columns_of_h.tolist() == list(range(COUNT_STARTS[h], COUNT_STARTS[h + 1]))
    for count in Count:
        assert tuple(np.flatnonzero(COUNT_COLUMNS[count] >= 0)) == count.half_lives


def test_the_count_of_logs_of_an_actor_does_not_overflow() -> None:
    memory, logs = Memory.empty(16), [plain(START + i) for i in range(3)]
    extract(memory, columns(logs[:1]))
    key = actor_keys(columns(logs[:1]))[0]
    record(memory.state.actors, key)["seen"] = 2**32 - 2
    assert extract(memory, columns(logs[1:])).history.tolist() == [2**32 - 2, 2**32 - 1]
    assert record(memory.state.actors, key)["seen"] == 2**32 - 1
