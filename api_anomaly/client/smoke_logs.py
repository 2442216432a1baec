"""Logs for the smoke test: calm users, and one who is not. Their times lie just before now."""

import random
from datetime import UTC, datetime

from api_anomaly.logs.formats.fields import Log

_ENDPOINTS = ("/api/items", "/api/items/17", "/api/orders", "/api/profile", "/api/search?q=tea")
_AGENTS = ("Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0", "ShopApp/4.2 (iOS 18.1)")


def ordinary(users: int, logs: int, run: str, end: float, seed: int = 1) -> list[Log]:
    """Logs of calm users, two seconds apart, the last at `end` (Unix seconds)."""
    chance = random.Random(seed)
    return [
        one_log(
            end - 2.0 * (logs - 1 - number),
            f"pipeline-test-{run}-{chance.randrange(users)}",
            chance.choice(_ENDPOINTS),
            response_time=round(chance.lognormvariate(-2.5, 0.4), 4),
            response_size=chance.randrange(300, 4000),
        )
        for number in range(logs)
    ]


def one_log(at: float, user: str, endpoint: str, **fields: str | int | float | None) -> Log:
    """One log of the contract; `at` in Unix seconds."""
    log: Log = {
        "timestamp": datetime.fromtimestamp(at, UTC).isoformat(),
        "user_id": user,
        "endpoint": endpoint,
        "method": "GET",
        "status_code": 200,
        "response_time": 0.08,
        "ip_address": f"192.0.2.{sum(user.encode()) % 200 + 1}",
        "user_agent": _AGENTS[len(endpoint) % 2],
        "request_size": 120,
        "response_size": 900,
    }
    return {**log, **fields}


def burst(at: float, user: str, logs: int) -> list[Log]:
    """Somebody who tries `logs` record numbers, ten a second, and is refused each time."""
    return [
        one_log(at + number / 10, user, f"/api/orders/{9000 + number}", status_code=403)
        for number in range(logs)
    ]
