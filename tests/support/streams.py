"""Test logs: drawn by Hypothesis, with each field missing or extreme at times, or ordinary ones."""

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

from api_anomaly.logs.columns import Columns, columns_of

Log = dict[str, Any]
FIELDS = (
    "time",
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
START = 1_700_000_000.0
YEAR_1, YEAR_9999 = -62_135_596_800.0, 253_402_300_799.0

USERS = (None, "ann", "bob", "Ωmega", "10.0.0.1", "x" * 256, "\ud800")
ADDRESSES = (
    None,
    "192.0.2.1",
    "192.0.2.200",
    "198.51.100.7",
    "::ffff:192.0.2.1",
    "2001:db8::1",
    "2001:db8:0:ffff::2",
    "2001:db8:1::2",
    "::",
    "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff",
)
AGENTS = (None, "", "-", "Mozilla/5.0 (X11)", "Mozilla/6.1_2 (X11)", "curl/8", "7.0", "é")
ENDPOINTS = (
    "/",
    "",
    "?",
    "//",
    "/a",
    "/a/",
    "/a/1",
    "/a/2",
    "/a/3",
    "/a/00000000000000000007",
    "/a/9007199254740992",
    "/a/9007199254740994",
    "/a/" + "9" * 400,
    "/a/1/b?x=1&y=2;z",
    "/a/1/b?x=1?y=2",
    "/u/123e4567-e89b-12d3-a456-426614174000",
    "/u/deadbeef",
    "/u/deadbeef1",
    "/t/AbC-123_def~456.ghi:789",
    "/d/2016-02-20",
    "/v2/x",
    "/ü/%2e%2e/<script>",
    "/x;y=1&z",
    "/" + "p" * 8_000,
    "/q?" + "k=1&" * 2_000,
)
_CHARACTERS = st.one_of(st.sampled_from("/?&;=-_.%0123456789abcdefXYZ"), st.characters())
_GAPS = (0.0, 0.001, 0.25, 1.0, 7.0, 59.0, 1_800.0, 1_801.0, 3_600.0, 86_400.0, 9e5)
_LATE = (-0.25, -5.0, -3_600.0, -86_400.0, -86_401.0, -1e9)
_AMOUNTS = (None, -1.0, 0.0, 1e-9, 0.1, 30.0, 1_500.0, 1e15, 1e300, math.inf)


def amount() -> st.SearchStrategy[float | None]:
    return st.one_of(st.sampled_from(_AMOUNTS), st.floats(0.0, 1e6))


@st.composite
def streams(
    draw: st.DrawFn, most: int = 60, gaps: tuple[float, ...] = (*_GAPS, *_LATE)
) -> list[Log]:
    """Up to `most` logs, in order or late, of few actors."""
    time = draw(st.sampled_from((START, START, START + 0.1, YEAR_1, YEAR_9999)))
    logs = []
    for _ in range(draw(st.integers(0, most))):
        time += draw(st.sampled_from(gaps))
        if draw(st.integers(0, 60)) == 0:
            time = draw(st.sampled_from((START, YEAR_1, YEAR_9999)))
        log = draw(_fields())
        logs.append({"time": min(max(time, YEAR_1), YEAR_9999), **log})
        logs += [logs[-1]] * draw(st.sampled_from((0, 0, 0, 1)))
    return logs


def _fields() -> st.SearchStrategy[Log]:
    return st.fixed_dictionaries(
        {
            "user_id": st.sampled_from(USERS),
            "endpoint": st.one_of(st.sampled_from(ENDPOINTS), st.text(_CHARACTERS, max_size=40)),
            "method": st.sampled_from(("GET", "POST", "DELETE", "OPTIONS", "PURGE", "")),
            "status_code": st.sampled_from((100, 200, 201, 304, 400, 401, 403, 404, 429, 500, 599)),
            "response_time": amount(),
            "ip_address": st.sampled_from(ADDRESSES),
            "user_agent": st.sampled_from(AGENTS),
            "request_size": amount(),
            "response_size": amount(),
        }
    )


def columns(logs: list[Log]) -> Columns:
    """The logs as columns."""
    return columns_of(*([log[name] for log in logs] for name in FIELDS))


def plain(time: float = START, **other: Any) -> Log:
    """One ordinary log with the given fields."""
    return {
        "time": time,
        "user_id": "ann",
        "endpoint": "/orders/1",
        "method": "GET",
        "status_code": 200,
        "response_time": 0.1,
        "ip_address": "192.0.2.1",
        "user_agent": "client/1.0",
        "request_size": 100,
        "response_size": 1_000,
    } | other


def traffic(
    count: int, seed: int = 0, users: int = 12, site: str = "", pace: float = 20.0
) -> list[Log]:
    """Ordinary logs of one site in time order, on average `pace` seconds apart."""
    rng = np.random.default_rng(seed)
    logs, time = [], START
    for _ in range(count):
        time += float(rng.exponential(pace))
        user = int(rng.integers(users))
        logs.append(
            plain(
                time,
                user_id=f"{site}user-{user}",
                ip_address=f"192.0.{len(site)}.{user + 1}",
                user_agent=f"{site}client/1.0" if user % 3 else f"{site}browser/2.1",
                endpoint=f"/{site}orders/{rng.integers(40)}" if user % 2 else f"/{site}items",
                method=str(rng.choice(["GET", "GET", "GET", "POST"])),
                status_code=int(rng.choice([200, 200, 200, 201, 404])),
                response_time=round(float(rng.lognormal(-2.0, 0.4)), 4),
                response_size=int(rng.integers(900, 2_000)),
            )
        )
    return logs
