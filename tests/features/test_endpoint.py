"""What is usual for everybody stays a true share, however long the service runs."""

from typing import Any

import numpy as np
import pytest

from api_anomaly.features.extract import extract
from api_anomaly.features.table import NAMES, to_units
from api_anomaly.features.memory import Memory
from tests.support.streams import START, columns, plain

LONG = 60_000


def newcomers(count: int, **often: Any) -> list[dict[str, Any]]:
    """Logs of `count` users seen once each, so that every voice is a whole one."""
    logs = [plain(START + i, user_id=f"user-{i}", ip_address=None) for i in range(count)]
    for log, i in zip(logs, range(count), strict=True):
        log |= {name: value(i) for name, value in often.items()}
    return logs


def of(rows: np.ndarray, name: str, which: np.ndarray) -> np.ndarray:
    """A behaviour of some logs, at two times: after a seventh of all, and at the end."""
    values = to_units(rows)[:, NAMES.index(name)]
    places = np.flatnonzero(which)
    early = places[(places > LONG // 8) & (places < LONG // 6)]
    late = places[places > LONG - LONG // 24]
    return np.array([values[early].mean(), values[late].mean()])


def test_a_popular_endpoint_does_not_become_rare_and_a_rare_method_not_usual() -> None:
    logs = newcomers(
        LONG,
        endpoint=lambda i: "/" if i % 2 else "/other",
        method=lambda i: "POST" if i % 100 == 1 else "GET",
    )
    memory = Memory.empty(2 * LONG)
    rows = extract(memory, columns(logs)).rows
    odd = np.arange(LONG) % 2 == 1
    assert of(rows, "endpoint_surprise", odd) == pytest.approx([1.0, 1.0], abs=0.1)
    rare = np.arange(LONG) % 100 == 1
    assert of(rows, "method_surprise", rare) == pytest.approx(np.log2(50) * np.ones(2), abs=0.2)


def test_peers_do_not_forget_what_is_odd_among_them() -> None:
    logs = newcomers(LONG, status_code=lambda i: 500 if i % 50 == 0 else 200)
    logs = [log | {"user_agent": "client/1.0"} for log in logs]
    memory = Memory.empty(2 * LONG)
    rows = extract(memory, columns(logs)).rows
    failed = np.arange(LONG) % 50 == 0
    # One log of a user: its surprise beyond two bits is what its mean and its count begin with.
    early, late = of(rows, "user_peer_surprise_statuses_3m", failed)
    assert early == pytest.approx(np.log2(50) - 2.0, abs=0.3)
    assert late == pytest.approx(early, abs=0.1)


def test_a_machine_that_never_rests_is_never_at_an_odd_hour() -> None:
    logs = [plain(START + 3_600.0 * i) for i in range(24 * 7 * 60)]
    rows = extract(Memory.empty(16), columns(logs)).rows
    surprises = to_units(rows)[:, NAMES.index("user_hour_surprise")]
    assert surprises[24 * 7 * 4 :].max() < 0.6


def test_quiet_voices_still_count_among_millions() -> None:
    memory = Memory.empty(16)
    memory.state.traffic["weight"] = 900_000.0
    logs = [plain(START + 0.01 * i) for i in range(5_000)]
    extract(memory, columns(logs))
    before = memory.state.traffic[0]["weight"]
    extract(memory, columns([plain(START + 50.0 + 0.01 * i) for i in range(100)]))
    gained = memory.state.traffic[0]["weight"] - before
    assert gained == pytest.approx(100 / (1.0 + 5_000 / 10.0), rel=0.05)


def test_a_user_who_shouts_is_heard_as_the_logarithm_of_what_it_sends() -> None:
    memory = Memory.empty(16)
    extract(memory, columns([plain(START + 0.01 * i) for i in range(20_000)]))
    assert memory.state.traffic[0]["weight"] == pytest.approx(10 * np.log(1 + 2_000), rel=0.02)
