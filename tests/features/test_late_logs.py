"""What a log that arrives hours or days late does: it is counted with the weight that it would have
by now, and disturbs neither its user's record nor its address's nor its endpoint's."""

import numpy as np
import pytest
from numpy.typing import NDArray

from api_anomaly.features.extract import extract
from api_anomaly.features.memory import Memory
from api_anomaly.features.table import NAMES
from tests.support.reference_features import ReferenceExtractor
from tests.support.streams import START, Log, columns, plain, traffic

DAY = 86_400.0
INDEX = {name: i for i, name in enumerate(NAMES)}
#: What late logs must not change of the logs after them: gaps, order and counts of the last hours.
OWN_ORDER = (
    "user_gap",
    "transition_surprise",
    "user_requests_10s",
    "user_requests_3m",
    "user_requests_1h",
    "user_denied_3m",
    "user_interval_spread",
    "user_hour_surprise",
    "user_sequential_share",
    "address_requests_1h",
)


def live_rows(live: list[Log], late: dict[int, list[Log]]) -> NDArray[np.float32]:
    """Rows of the live logs, with late ones before some of them."""
    stream, rows = [], []
    for i, log in enumerate(live):
        stream += late.get(i, [])
        rows.append(len(stream))
        stream.append(log)
    return extract(Memory.empty(64), columns(stream), now=START + 5_000.0).rows[rows]


def assert_undisturbed(live: list[Log], late: dict[int, list[Log]], tolerance: float) -> None:
    without, with_late = live_rows(live, {}), live_rows(live, late)
    for name in OWN_ORDER:
        expected, got = without[:, INDEX[name]], with_late[:, INDEX[name]]
        assert np.allclose(expected, got, atol=tolerance), (name, np.abs(expected - got).max())


LIVE = [plain(START + 20.0 * i, status_code=403 if i % 9 == 0 else 200) for i in range(200)]


@pytest.mark.parametrize("days", [0.25, 0.9, 1.1, 3.0, 29.0, 400.0])
def test_one_late_log_changes_nothing_of_the_logs_after_it(days: float) -> None:
    assert_undisturbed(LIVE, {100: [plain(START + 2_000.0 - days * DAY)]}, 0.06)


def test_days_of_logs_of_a_shipper_that_was_cut_off_arrive_among_live_ones() -> None:
    backlog = {
        i: [
            plain(START - 3 * DAY + 60.0 * (10 * i + j), endpoint=f"/orders/{j}", status_code=403)
            for j in range(10)
        ]
        for i in range(60, 200)
    }
    assert_undisturbed(LIVE, backlog, 0.06)


def test_a_late_log_weighs_what_it_would_weigh_by_now() -> None:
    now = START + 3 * DAY
    late = [plain(START + i, status_code=403) for i in range(80)]
    live = [plain(now + i) for i in range(10)]
    in_time = extract(Memory.empty(64), columns([*late, *live]), now=now).rows[-1]
    stream = columns([*live[:-1], *late, live[-1]])
    too_late = extract(Memory.empty(64), stream, now=now).rows[-1]
    for name in ("user_requests_1d", "user_denied_1d", "user_requests_1h", "address_denied_1d"):
        assert too_late[INDEX[name]] == pytest.approx(in_time[INDEX[name]], abs=1e-3), name


def test_a_clock_ahead_of_the_receiver_is_set_back_and_one_that_is_not_is_kept() -> None:
    ahead = plain(START + 5 * DAY)
    burst = [plain(START + i) for i in range(40)]
    requests = [
        extract(Memory.empty(64), columns([ahead, *burst]), now=now).rows[-1]
        for now in (START + 40.0, START + 5 * DAY)
    ]
    healed, kept = (row[INDEX["user_requests_3m"]] for row in requests)
    assert healed > np.log1p(35.0) and kept == pytest.approx(np.log1p(1.0), abs=1e-3)


@pytest.mark.parametrize("now", [START, START + 2 * DAY, START + 400 * DAY])
def test_same_rows_as_the_slow_extraction_with_late_logs_and_jumps(now: float) -> None:
    rng = np.random.default_rng(5)
    moved = (0.0, 0.0, 0.0, -1.0, -1_900.0, -2 * DAY, -30 * DAY, 1.5 * DAY, 90 * DAY)
    logs = [log | {"time": log["time"] + float(rng.choice(moved))} for log in traffic(800)]
    rows = extract(Memory.empty(200), columns(logs), now=now).rows
    expected = ReferenceExtractor(now=now).rows(logs)
    assert np.allclose(rows, expected, rtol=1e-3, atol=1e-3)
