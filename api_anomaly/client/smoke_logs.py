"""Logs for the smoke test: benign users, and one user with many refused requests."""

import random
from datetime import UTC, datetime

from api_anomaly.logs.records import LogFields

_ENDPOINTS = ("/api/items", "/api/items/17", "/api/orders", "/api/profile", "/api/search?q=tea")
_AGENTS = ("Mozilla/5.0 (X11; Linux x86_64) Firefox/128.0", "ShopApp/4.2 (iOS 18.1)")


def make_benign_logs(
    users: int, logs: int, run_id: str, end: float, seed: int = 1
) -> list[LogFields]:
    """Logs of `users` users, two seconds apart, the last at `end` (Unix seconds)."""
    rng = random.Random(seed)
    return [
        make_log(
            end - 2.0 * (logs - 1 - number),
            f"pipeline-test-{run_id}-{rng.randrange(users)}",
            rng.choice(_ENDPOINTS),
            response_time=round(rng.lognormvariate(-2.5, 0.4), 4),
            response_size=rng.randrange(300, 4000),
        )
        for number in range(logs)
    ]


def make_log(at: float, user: str, endpoint: str, **fields: str | int | float | None) -> LogFields:
    """One log; `at` in Unix seconds."""
    log: LogFields = {
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


def make_refused_burst(at: float, user: str, logs: int) -> list[LogFields]:
    """One user who requests `logs` record ids, ten a second, and gets a 403 each time."""
    return [
        make_log(at + number / 10, user, f"/api/orders/{9000 + number}", status_code=403)
        for number in range(logs)
    ]
