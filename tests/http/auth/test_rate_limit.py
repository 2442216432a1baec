"""Failed logins are limited by address."""

from pathlib import Path
from typing import Any

import httpx
import pytest

from api_anomaly.http.auth.rate_limit import LoginRateLimiter
from benchmarks.service import Service

WEAK, STRONG = "weak", "a-token-of-more-than-20-characters"


def status_of(client: httpx.Client, authorization: str) -> int:
    """The status of a request with this Authorization header."""
    return client.get("/status", headers={"Authorization": authorization}).status_code


@pytest.fixture()
def limited(serve) -> Any:
    """A service that allows 5 failures a minute."""
    with serve(auth_token=(WEAK, STRONG), auth_failures_per_minute=5) as client:
        yield client


def fail(client: httpx.Client, count: int) -> list[int]:
    """The statuses of `count` wrong tokens."""
    return [status_of(client, f"Bearer guess-{number}") for number in range(count)]


def test_wrong_tokens_beyond_the_limit_are_429(limited: httpx.Client) -> None:
    assert fail(limited, 8) == [401] * 5 + [429] * 3
    response = limited.get("/status", headers={"Authorization": "Bearer wrong"})
    assert response.json()["code"] == "too_many_attempts"
    assert int(response.headers["retry-after"]) > 0


def test_a_request_without_a_token_is_no_attempt(limited: httpx.Client) -> None:
    assert [status_of(limited, "") for _ in range(9)] == [401] * 9
    assert status_of(limited, f"Bearer {WEAK}") == 200


def test_beyond_the_limit_short_tokens_are_refused_and_long_ones_accepted(
    limited: httpx.Client,
) -> None:
    assert status_of(limited, f"Bearer {WEAK}") == 200
    fail(limited, 5)
    assert status_of(limited, f"Bearer {WEAK}") == 429
    assert status_of(limited, f"Bearer {STRONG}") == 200
    assert status_of(limited, "Bearer " + "x" * 40) == 429


def test_failures_are_counted_by_reason(limited: httpx.Client) -> None:
    status_of(limited, "")
    fail(limited, 8)
    text = limited.get("/metrics").text
    for reason, count in (("missing", 1), ("wrong", 5), ("limited", 3), ("scope", 0)):
        assert f'auth_failures_total{{reason="{reason}"}} {count}.0' in text


def test_failures_are_counted_by_address_and_expire() -> None:
    limiter = LoginRateLimiter(per_minute=3)
    for second in (0.0, 1.0, 2.0):
        limiter.failed("192.0.2.1", second)
    assert limiter.exhausted("192.0.2.1", 2.0)
    assert not limiter.exhausted("192.0.2.2", 2.0)
    assert not limiter.exhausted("192.0.2.1", 30.0)


def test_an_ipv6_network_counts_as_one_address() -> None:
    limiter = LoginRateLimiter(per_minute=2)
    for host in range(2):
        limiter.failed(f"2001:db8::{host:x}", 0.0)
    assert limiter.exhausted("2001:db8::ffff", 0.0)
    assert not limiter.exhausted("2001:db8:0:1::", 0.0)
    assert not limiter.exhausted("no:address", 0.0)


def test_the_number_of_addresses_is_bounded() -> None:
    limiter = LoginRateLimiter(per_minute=2, max_addresses=100)
    for number in range(1_000):
        limiter.failed(f"192.0.{number // 250}.{number % 250}", float(number))
    assert len(limiter) == 100


@pytest.mark.parametrize(
    ("settings", "addresses", "statuses"),
    [
        ({"TRUSTED_PROXIES": "127.0.0.0/8"}, (1, 1, 1, 2), [401, 401, 429, 401]),
        ({}, (1, 2, 3), [401, 401, 429]),
    ],
    ids=["trusted", "not trusted"],
)
def test_x_forwarded_for_counts_only_from_a_trusted_proxy(
    tmp_path: Path, settings: dict[str, str], addresses: tuple[int, ...], statuses: list[int]
) -> None:
    wrong = {"Authorization": "Bearer wrong"}
    with Service(tmp_path, AUTH_FAILURES_PER_MINUTE="2", **settings) as service:
        assert [
            service.request("GET", "/status", X_Forwarded_For=f"192.0.2.{address}", **wrong).status
            for address in addresses
        ] == statuses
