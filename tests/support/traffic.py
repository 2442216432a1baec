"""Ordinary traffic for the tests of every package."""

import random
from typing import Any

from api_anomaly.logs.columns import Columns, columns_of

START = 1_700_000_000.0
Log = dict[str, Any]


def ordinary_logs(count: int, start: float = START, seed: int = 1) -> list[Log]:
    """`count` logs of eight calm users, in time order from `start`."""
    chance = random.Random(seed)
    logs = []
    for number in range(count):
        user = chance.randrange(8)
        logs.append(
            {
                "timestamp": start + 7.0 * number + chance.random(),
                "user_id": f"user-{user}",
                "endpoint": f"/api/orders/{chance.randrange(40)}",
                "method": chance.choice(["GET", "GET", "GET", "POST"]),
                "status_code": chance.choice([200, 200, 200, 200, 404]),
                "response_time": round(chance.lognormvariate(-2.0, 0.4), 4),
                "ip_address": f"192.0.2.{user + 1}",
                "user_agent": "client/1.0",
                "request_size": 120,
                "response_size": chance.randrange(900, 2_000),
            }
        )
    return logs


def as_columns(logs: list[Log]) -> Columns:
    """The columns of `ordinary_logs`."""
    names = list(logs[0])
    return columns_of(*([log[name] for log in logs] for name in names))
