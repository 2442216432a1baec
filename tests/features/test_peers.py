"""Traffic-wide baselines stay true shares, however long the service runs."""

from typing import Any

import numpy as np
import pytest

from api_anomaly.features.extract import extract
from api_anomaly.features.table import NAMES, to_units
from api_anomaly.features.memory import Memory
from tests.support.streams import START, columns, plain

LONG = 60_000


def newcomers(count: int, **fields: Any) -> list[dict[str, Any]]:
    """Logs of `count` users seen once each, so that each log has weight 1. `fields` are functions
    of the log's number.
    """
    logs = [plain(START + i, user_id=f"user-{i}", ip_address=None) for i in range(count)]
    for log, i in zip(logs, range(count), strict=True):
        log |= {name: value(i) for name, value in fields.items()}
    return logs


def early_and_late(rows: np.ndarray, name: str, chosen: np.ndarray) -> np.ndarray:
    """The mean of a feature of the chosen logs, after a seventh of all logs and at the end."""
    values = to_units(rows)[:, NAMES.index(name)]
    logs = np.flatnonzero(chosen)
    early = logs[(logs > LONG // 8) & (logs < LONG // 6)]
    late = logs[logs > LONG - LONG // 24]
    return np.array([values[early].mean(), values[late].mean()])


def test_a_popular_endpoint_stays_popular_and_a_rare_method_stays_rare() -> None:
    logs = newcomers(
        LONG,
        endpoint=lambda i: "/" if i % 2 else "/other",
        method=lambda i: "POST" if i % 100 == 1 else "GET",
    )
    memory = Memory.empty(2 * LONG)
    rows = extract(memory, columns(logs)).rows
    other = np.arange(LONG) % 2 == 1
    assert early_and_late(rows, "endpoint_surprise", other) == pytest.approx([1.0, 1.0], abs=0.1)
    rare = np.arange(LONG) % 100 == 1
    assert early_and_late(rows, "method_surprise", rare) == pytest.approx(
        np.log2(50) * np.ones(2), abs=0.2
    )


def test_a_rare_status_stays_a_peer_surprise() -> None:
    logs = newcomers(LONG, status_code=lambda i: 500 if i % 50 == 0 else 200)
    logs = [log | {"user_agent": "client/1.0"} for log in logs]
    memory = Memory.empty(2 * LONG)
    rows = extract(memory, columns(logs)).rows
    failed = np.arange(LONG) % 50 == 0
    # The first log of a user: its count is the surprise of this log beyond two bits.
    early, late = early_and_late(rows, "user_peer_surprise_statuses_3m", failed)
    assert early == pytest.approx(np.log2(50) - 2.0, abs=0.3)
    assert late == pytest.approx(early, abs=0.1)


def test_a_client_that_is_always_active_has_no_unusual_hour() -> None:
    logs = [plain(START + 3_600.0 * i) for i in range(24 * 7 * 60)]
    rows = extract(Memory.empty(16), columns(logs)).rows
    surprises = to_units(rows)[:, NAMES.index("user_hour_surprise")]
    assert surprises[24 * 7 * 4 :].max() < 0.6


def test_a_small_weight_still_counts_in_a_large_sum() -> None:
    memory = Memory.empty(16)
    memory.state.traffic["weight"] = 900_000.0
    logs = [plain(START + 0.01 * i) for i in range(5_000)]
    extract(memory, columns(logs))
    before = memory.state.traffic[0]["weight"]
    extract(memory, columns([plain(START + 50.0 + 0.01 * i) for i in range(100)]))
    gained = memory.state.traffic[0]["weight"] - before
    assert gained == pytest.approx(100 / (1.0 + 5_000 / 10.0), rel=0.05)


def test_the_weight_of_a_user_grows_as_the_logarithm_of_its_logs() -> None:
    memory = Memory.empty(16)
    extract(memory, columns([plain(START + 0.01 * i) for i in range(20_000)]))
    assert memory.state.traffic[0]["weight"] == pytest.approx(10 * np.log(1 + 2_000), rel=0.02)
