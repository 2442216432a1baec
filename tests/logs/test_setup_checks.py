"""The checks of a set-up: each wrong one is said, and right ones with odd traffic are not."""

import gzip
import json
import random
import re
from collections.abc import Callable
from datetime import datetime
from functools import cache
from typing import Any

import pytest

from api_anomaly.logs.columns import Columns, columns_of
from api_anomaly.logs.setup_checks import CODES, MAX_SOURCES, SetupChecks, SetupWarning
from api_anomaly.simulator.scenario import preset
from api_anomaly.simulator.simulation import simulate
from tests.support.paths import DATA

Log = dict[str, Any]
Change = Callable[[Log, int], Log]
START = 1_750_000_000.0
FIELDS = (
    "user_id",
    "endpoint",
    "method",
    "status_code",
    "response_time",
    "ip_address",
    "user_agent",
    "request_size",
    "response_size",
)


def columns(logs: list[Log]) -> Columns:
    return columns_of([log["time"] for log in logs], *([log[f] for log in logs] for f in FIELDS))


def ordinary(count: int = 6_000, start: float = START, seed: int = 1) -> list[Log]:
    """`count` logs of 60 people, one every 20 seconds; half of them are signed in."""
    draw = random.Random(seed)
    return [_log(draw, start + 20.0 * i) for i in range(count)]


def _log(draw: random.Random, time: float) -> Log:
    person = draw.randrange(60)
    return {
        "time": time,
        "user_id": f"user-{person}" if draw.random() < 0.8 else None,
        "endpoint": f"/{draw.choice(('orders', 'items', 'cart', 'help', 'me', 'search'))}/7",
        "method": "GET",
        "status_code": 200 if draw.random() < 0.95 else 404,
        "response_time": round(draw.lognormvariate(-3.0, 0.8), 4),
        "ip_address": f"198.51.{person % 9}.{person}",
        "user_agent": f"Browser/{person % 25}",
        "request_size": None,
        "response_size": 1_000.0,
    }


def changed(logs: list[Log], change: Change) -> list[Log]:
    return [{**log, **change(log, i)} for i, log in enumerate(logs)]


def warnings(logs: list[Log], batch: int = 1_000) -> list[SetupWarning]:
    """What is wrong after all logs, which arrive two seconds after the last of each batch."""
    checks, found = SetupChecks(), []
    for first in range(0, len(logs), batch):
        part = logs[first : first + batch]
        found = checks.seen("env-1 json", columns(part), part[-1]["time"] + 2.0)
    return found


def codes(logs: list[Log], batch: int = 1_000) -> set[str]:
    return {warning.code for warning in warnings(logs, batch)}


WRONG: dict[str, tuple[str, Change]] = {
    "the proxy's address": ("one_address", lambda log, i: {"ip_address": "192.0.2.10"}),
    "the proxy's address without users": (
        "one_address",
        lambda log, i: {"ip_address": "192.0.2.10", "user_id": None},
    ),
    "six nodes": ("private_addresses_only", lambda log, i: {"ip_address": f"10.1.0.{i % 6}"}),
    "only addresses": (
        "no_user_and_no_agent",
        lambda log, i: {"user_id": None, "user_agent": "-"},
    ),
    "the address as user, no agent": (
        "no_user_and_no_agent",
        lambda log, i: {"user_id": log["ip_address"], "user_agent": None},
    ),
    "dates as users": ("user_is_prefix", lambda log, i: {"user_id": f"2024-01-{i % 28:02}"}),
    "times as users": ("user_is_prefix", lambda log, i: {"user_id": f"x 10:{i % 60:02}:00"}),
    "syslog headers as users": ("user_is_prefix", lambda log, i: {"user_id": "<34>1"}),
    "old syslog as users": ("user_is_prefix", lambda log, i: {"user_id": "Jan  5 host"}),
    "tags as users": ("user_is_prefix", lambda log, i: {"user_id": "nginx[12]:"}),
    "Compose as users": ("user_is_prefix", lambda log, i: {"user_id": "web-1  | 7"}),
    "proxies as users": ("user_is_prefix", lambda log, i: {"user_id": f"10.0.0.{i % 9}"}),
    "ids of requests as users": ("user_is_prefix", lambda log, i: {"user_id": f"r{i:x}"}),
    "milliseconds": (
        "unit_changed",
        lambda log, i: {"response_time": float(round(log["response_time"] * 1_000))},
    ),
}
RIGHT: dict[str, Change] = {
    "as it is": lambda log, i: {},
    "the address as user": lambda log, i: {"user_id": log["ip_address"]},
    "people with names of months": lambda log, i: {"user_id": f"May-{i % 50}"},
    "numbers as users": lambda log, i: {"user_id": str(20_240_000 + i % 90)},
    "one integration": lambda log, i: {
        "user_id": "shop",
        "ip_address": "192.0.2.10",
        "user_agent": "client/2",
    },
    "an internal service": lambda log, i: {"ip_address": f"10.0.{i % 7}.{i % 90}"},
    "slow answers": lambda log, i: {"response_time": log["response_time"] * 400.0},
    "whole seconds": lambda log, i: {"response_time": float(int(log["response_time"] * 40))},
    "no response times": lambda log, i: {"response_time": None},
}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize("batch", (250, 3_000))
def test_wrong_setups_are_said(name: str, batch: int) -> None:
    code, change = WRONG[name]
    assert codes(changed(ordinary(), change), batch) == {code}


@pytest.mark.parametrize("name", RIGHT)
def test_right_setups_are_not(name: str) -> None:
    assert codes(changed(ordinary(), RIGHT[name])) == set()


def test_a_small_history_is_judged() -> None:
    logs = changed(ordinary(400), WRONG["the proxy's address"][1])
    found = SetupChecks().seen_all("training", columns(logs), START + 1e6)
    assert [(warning.code, warning.logs) for warning in found] == [("one_address", 400)]


def test_a_large_batch_is_read_in_part_and_counted_whole() -> None:
    logs = changed(ordinary(30_000), WRONG["the proxy's address"][1])
    (warning,) = warnings(logs, 30_000)
    assert warning.code == "one_address"
    assert warning.logs == 30_000


def test_no_text_says_who() -> None:
    for code, change in WRONG.values():
        for warning in warnings(changed(ordinary(), change)):
            assert not re.search(r"\d+\.\d+\.|user-\d|Browser|nginx\[|web-1", warning.text)
            assert warning.source == "env-1 json"


def test_a_warning_goes_when_the_logs_are_right_again() -> None:
    logs = ordinary(12_000)
    wrong = changed(logs[:4_000], WRONG["the proxy's address"][1])
    assert codes(wrong + logs[4_000:5_000]) == {"one_address"}
    assert codes(wrong + logs[4_000:]) == set()


def test_a_proxy_that_comes_later_is_said_when_it_lasts() -> None:
    logs = ordinary(12_000)
    later = changed(logs[4_000:], WRONG["the proxy's address"][1])
    assert codes(logs[:4_000] + later) == {"one_address"}


FLOODS: dict[str, Change] = {
    "log-ins": lambda log, i: {
        "user_id": f"victim-{i}",
        "endpoint": "/login",
        "status_code": 401,
        "ip_address": "203.0.113.9",
    },
    "a scan without a user agent": lambda log, i: {
        "user_id": None,
        "user_agent": None,
        "endpoint": f"/p{i}x/admin",
        "status_code": 404,
        "ip_address": "203.0.113.9",
        "response_size": None,
    },
    "a scraper with many user agents": lambda log, i: {
        "user_id": None,
        "user_agent": f"Agent/{i % 200}",
        "ip_address": "203.0.113.9",
    },
}


@pytest.mark.parametrize("name", FLOODS)
@pytest.mark.parametrize("before", (0, 3_000))
def test_a_flood_is_no_setup(name: str, before: int) -> None:
    if before == 0 and name == "a scraper with many user agents":
        pytest.skip("a set-up in which nobody else was ever seen is a proxy's")
    logs = ordinary(before + 2_500)
    flood = [
        {**log, "time": START + 20.0 * before + i / 10.0}
        for i, log in enumerate(changed(logs[before:], FLOODS[name]))
    ]
    # Where nothing else was ever seen, logs without users and user agents are what they are.
    alone = {"no_user_and_no_agent"} if before == 0 else set()
    assert codes(logs[:before] + flood) <= alone


def probed(share: float) -> list[Log]:
    """Ordinary traffic and a health probe that has this share of all logs."""
    draw, logs = random.Random(3), ordinary(12_000)
    probe = {"user_id": None, "endpoint": "/healthz", "ip_address": "192.0.2.77"}
    return [
        {**log, **probe, "user_agent": "kube-probe/1.31"} if draw.random() < share else log
        for log in logs
    ]


def test_a_health_probe_is_one_client_and_no_proxy() -> None:
    assert codes(probed(0.66)) == {"one_client"}
    assert codes(probed(0.97)) == {"one_client"}
    assert codes(probed(0.3)) == set()


@pytest.mark.parametrize(
    "field,words",
    [
        ("response_time", "response times"),
        ("user_id", "users"),
        ("ip_address", "addresses"),
        ("user_agent", "user agents"),
        ("response_size", "response sizes"),
    ],
)
def test_a_field_that_stops_is_said_after_a_thousand_logs(field: str, words: str) -> None:
    logs = ordinary(6_000)
    stopped = logs[:4_000] + changed(logs[4_000:], lambda log, i: {field: None})
    assert codes(stopped[:4_900]) == set()
    (warning,) = warnings(stopped[:5_000])
    assert (warning.code, warning.since) == ("field_stopped", stopped[4_999]["time"] + 2.0)
    assert f"The {words} stopped" in warning.text
    assert codes(stopped + ordinary(1_000)) == set()


def test_a_field_that_stops_in_quiet_hours_is_not_said() -> None:
    logs = ordinary(6_000)
    probe = {"user_id": None, "ip_address": "192.0.2.1", "endpoint": "/", "user_agent": "p/1"}
    assert codes(logs[:4_000] + changed(logs[4_000:], lambda log, i: probe)) == set()


def test_a_field_that_stopped_is_how_it_is_after_a_week() -> None:
    logs = ordinary(50_000)
    assert codes(logs[:4_000] + changed(logs[4_000:], lambda log, i: {"response_time": None})) == (
        set()
    )


@pytest.mark.parametrize(
    "factor,words", [(1e3, "1,000 times"), (1e6, "1,000,000"), (1e-3, "a thousandth of")]
)
def test_a_changed_unit_is_said(factor: float, words: str) -> None:
    logs = ordinary(8_000)
    later = changed(logs[4_000:], lambda log, i: {"response_time": log["response_time"] * factor})
    (warning,) = warnings(logs[:4_000] + later)
    assert warning.code == "unit_changed"
    assert words in warning.text
    assert codes(logs[:4_000] + later + logs[:1_000]) == set()


def test_an_overload_is_no_unit() -> None:
    """Most requests wait for seconds or time out after 30; cached ones are as quick as before."""
    logs = ordinary(8_000)
    slow = changed(
        logs[4_000:], lambda log, i: {"response_time": 0.003 if i % 5 == 0 else 10.0 + i % 20}
    )
    assert codes(logs[:4_000] + slow) == set()


def live(lag: float, count: int = 120, seconds: float = 2.0, jitter: float = 1.0) -> list[Any]:
    """(arrival, one batch of ten logs) every `seconds`, whose newest log lags by about `lag`."""
    draw = random.Random(5)
    batches = []
    for i in range(count):
        now = START + seconds * i
        newest = now - lag - draw.random() * jitter
        batches.append((now, [_log(draw, newest - 0.1 * j) for j in range(10)]))
    return batches


def clock_codes(*sources: list[Any]) -> list[tuple[str, str]]:
    checks = SetupChecks()
    events = [
        (now, f"source-{n}", logs) for n, source in enumerate(sources) for now, logs in source
    ]
    for now, name, logs in sorted(events, key=lambda event: event[:2]):
        checks.seen(name, columns(logs), now)
    return sorted((warning.code, warning.source) for warning in checks.warnings)


@pytest.mark.parametrize("hours", (-8.0, -2.0, -0.5, -0.05))
def test_a_clock_ahead(hours: float) -> None:
    assert clock_codes(live(3_600.0 * hours)) == [("clock_ahead", "source-0")]


@pytest.mark.parametrize("hours", (0.5, 1.0, 2.0, 5.5, 8.0, 13.0))
def test_a_clock_behind_by_a_zone(hours: float) -> None:
    assert clock_codes(live(3_600.0 * hours)) == [("clock_behind", "source-0")]


@pytest.mark.parametrize("lag", (0.0, 30.0, -100.0, 250.0, 2_000.0, 90_000.0))
def test_clocks_that_are_right_or_without_a_pattern(lag: float) -> None:
    assert clock_codes(live(lag)) == []


def test_a_late_shipper_is_no_zone() -> None:
    assert clock_codes(live(3_600.0, jitter=300.0)) == []


def test_one_log_of_the_future_shows_nothing() -> None:
    batches = live(0.0)
    batches[50][1][3]["time"] += 1e6
    assert clock_codes(batches) == []


def test_old_logs_show_nothing() -> None:
    """A replay of yesterday and a backlog that is worked off."""
    replay = [(START + i, ordinary(100, START - 8e5 + 2_000.0 * i)) for i in range(300)]
    backlog = [
        (START + 2.0 * i, ordinary(10, START - 36_000.0 + 60.0 * i, seed=i)) for i in range(300)
    ]
    assert clock_codes(replay, backlog) == []


def test_two_clocks_that_differ() -> None:
    assert clock_codes(live(1.0), live(400.0)) == [("clocks_differ", "source-1")]
    assert clock_codes(live(1.0), live(20.0)) == []


def test_sources_are_bounded_and_the_oldest_goes() -> None:
    checks = SetupChecks()
    wrong = columns(changed(ordinary(1_000), WRONG["the proxy's address"][1]))
    for number in range(MAX_SOURCES + 3):
        checks.seen(f"source-{number}", wrong, START + 1e6)
    sources = [warning.source for warning in checks.warnings]
    assert sources == [f"source-{number}" for number in range(MAX_SOURCES + 2, 2, -1)]


def test_nothing_arrived() -> None:
    assert SetupChecks().seen("source", columns([]), START) == []
    assert len(set(CODES)) == len(CODES)


@cache
def real(name: str) -> list[Log]:
    path = DATA / name
    if not path.exists():
        pytest.skip(f"{path} is absent")
    with gzip.open(path, "rt") as lines:
        logs = [json.loads(line) for line in lines]
    return [log | {"time": datetime.fromisoformat(log["timestamp"]).timestamp()} for log in logs]


@pytest.mark.parametrize("name", ("wordpress_blog_2016.ndjson.gz", "erddap_api.ndjson.gz"))
@pytest.mark.parametrize("batch", (300, 5_000))
def test_real_logs_have_no_warning_at_any_time(name: str, batch: int) -> None:
    logs, checks = real(name), SetupChecks()
    for first in range(0, len(logs), batch):
        part = logs[first : first + batch]
        assert checks.seen("file", columns(part), part[-1]["time"]) == []


@cache
def simulated(seed: int) -> list[Log]:
    traffic = simulate(preset("day", seed=seed, users=60, days=3, training_days=2))
    return [
        log | {"time": datetime.fromisoformat(log["timestamp"]).timestamp()}
        for log in traffic.each()
        if log["label"] != 1
    ]


@pytest.mark.parametrize("seed", (1, 2, 3))
def test_a_simulated_world_has_no_warning_at_any_time(seed: int) -> None:
    logs, checks = simulated(seed), SetupChecks()
    assert len(logs) > 4_000
    for first in range(0, len(logs), 500):
        part = logs[first : first + 500]
        assert checks.seen("file", columns(part), part[-1]["time"]) == []
    assert SetupChecks().seen_all("training", columns(logs), START + 1e8) == []


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_simulated_world(name: str) -> None:
    code, change = WRONG[name]
    assert codes(changed(simulated(1), change)) == {code}
