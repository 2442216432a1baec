"""What is usual for an actor itself comes out of its features of the moment."""

from typing import Any

import numpy as np
import pytest

from api_anomaly.features.extract import extract
from api_anomaly.features.table import NAMES
from api_anomaly.explain.actor_baseline import counts_a_day, actor_baseline, rate_window
from api_anomaly.features.memory import Memory
from tests.support.streams import START, columns, plain

GAP = 30.0  # seconds between the logs of a steady user: 120 an hour
LONG = 3 * 86_400.0


def steady(until: float = LONG) -> list[dict[str, Any]]:
    """A user who asks every 30 s: of eight logs two are not found, one is refused, four write."""
    kinds = [("GET", 200), ("GET", 404), ("POST", 201), ("POST", 200)] * 2
    kinds[7] = ("POST", 403)
    return [
        plain(
            START + i * GAP,
            user_id="steady",
            endpoint=f"/things/{i}",
            method=kinds[i % 8][0],
            status_code=kinds[i % 8][1],
            response_size=10_000,
        )
        for i in range(int(until / GAP))
    ]


def row_of(logs: list[dict[str, Any]]) -> np.ndarray:
    """Features of the last log."""
    return extract(Memory.empty(16), columns(logs)).rows[-1]


def own(row: np.ndarray, name: str) -> float:
    """The own usual of one feature."""
    return float(actor_baseline(row, NAMES.index(name)))


# Per second; a count is told for the 1.44 half-lives that it remembers.
RATES = {
    "requests": (1.0 / GAP, ("10s", "3m", "1h")),
    "client_errors": (0.375 / GAP, ("3m",)),
    "denied": (0.125 / GAP, ("3m",)),
    "failed_writes": (0.125 / GAP, ("3m",)),
    "not_found": (0.25 / GAP, ("1h",)),
    "writes": (0.5 / GAP, ("3m",)),
    "response_kilobytes": (10.0 / GAP, ("1h",)),
    "new_urls": (0.69 / GAP, ("3m",)),  # a set that forgets takes some new ones for known
}
SECONDS = {"10s": 10.0, "3m": 180.0, "1h": 3_600.0}
COUNTS = [
    (f"{who}_{name}_{over}", rate * SECONDS[over] / np.log(2.0))
    for name, (rate, scales) in RATES.items()
    for over in scales
    for who in ("user", "address")
]


@pytest.fixture(scope="module")
def used_to() -> np.ndarray:
    return row_of(steady())


@pytest.mark.parametrize(("name", "count"), COUNTS, ids=[name for name, _ in COUNTS])
def test_the_usual_of_a_steady_actor_is_its_pace(
    used_to: np.ndarray, name: str, count: float
) -> None:
    assert own(used_to, name) == pytest.approx(count, rel=0.12)


@pytest.mark.parametrize(
    ("name", "share"),
    [("client_error_share_1h", 0.375), ("write_share_1h", 0.5)],
)
def test_its_usual_share_is_that_of_its_past(used_to: np.ndarray, name: str, share: float) -> None:
    assert own(used_to, f"user_{name}") == pytest.approx(share, rel=0.1)


def test_a_burst_does_not_pass_for_a_habit(used_to: np.ndarray) -> None:
    burst = [
        plain(START + LONG + i, user_id="steady", endpoint="/login", method="POST", status_code=401)
        for i in range(600)
    ]
    row = row_of(steady() + burst)
    for name in ("user_requests_3m", "user_client_errors_3m", "user_writes_3m"):
        column = NAMES.index(name)
        assert np.expm1(row[column]) > 10 * own(row, name)
        assert own(row, name) == pytest.approx(own(used_to, name), rel=0.25)


def test_who_was_first_seen_lately_has_no_habits() -> None:
    row = row_of(steady(until=3_600.0))
    assert all(np.isnan(actor_baseline(row, column)) for column in range(len(NAMES)))


def test_a_young_actor_is_measured_by_the_time_it_is_known() -> None:
    row = row_of(steady(until=6 * 3_600.0))
    assert own(row, "user_requests_1h") == pytest.approx(3_600.0 / np.log(2.0) / GAP, rel=0.12)


def test_a_share_of_hardly_any_past_is_not_known() -> None:
    row = row_of([plain(START), plain(START + 4 * 3_600.0)])
    assert np.isnan(own(row, "user_client_error_share_1h"))
    assert own(row, "user_client_errors_3m") == 0.0


def test_count_of_a_day_gives_what_came_before_the_last_hours(used_to: np.ndarray) -> None:
    for name in ("requests", "client_errors", "denied", "writes", "response_kilobytes", "new_urls"):
        column = NAMES.index(f"user_{name}_1d")
        assert counts_a_day(column)
        assert actor_baseline(used_to, column) == pytest.approx(np.expm1(used_to[column]), rel=0.2)
    assert not counts_a_day(NAMES.index("user_requests_1h")) and not counts_a_day(
        NAMES.index("endpoint_length")
    )


def test_only_counts_have_a_pace() -> None:
    assert rate_window(NAMES.index("user_requests_3m")) == 180.0
    for name in (
        "user_write_share_1h",
        "user_transition_surprise_mean",
        "endpoint_length",
        "user_peer_surprise_writes_mean_1h",
    ):
        assert rate_window(NAMES.index(name)) == 0.0
    assert np.isnan(
        actor_baseline(np.full(len(NAMES), 3.0, np.float32), NAMES.index("endpoint_length"))
    )
