"""What PSEUDONYM_KEY costs: ``python -m benchmarks.speed.pseudonyms``.

Microseconds a log: decoding a body of POST /detect without and with a key, and replacing columns of
text as POST /ingest does. 100,000 logs of 10,000 users with an address each. "first" is with empty
caches; the others are medians of five.
"""

import json
import random
import statistics
import time
from collections.abc import Callable
from typing import Any

from api_anomaly.logs.decode import Decoder
from api_anomaly.logs.pseudonyms import Pseudonyms

LOGS, USERS, REPEATS = 100_000, 10_000, 5
_KEY = b"a secret of this measurement only"


def make_logs() -> list[dict[str, Any]]:
    """Logs in time order, as JSON objects."""
    chance = random.Random(1)
    people = [
        (f"user-{i}@example.org", ".".join(str(chance.randrange(1, 255)) for _ in range(4)))
        for i in range(USERS)
    ]
    logs = []
    for number in range(LOGS):
        user, address = chance.choice(people)
        log = {"timestamp": 1.7e9 + number, "user_id": user, "ip_address": address}
        log |= {"endpoint": f"/api/orders/{number % 997}", "method": "GET", "status_code": 200}
        logs.append(log | {"response_time": 0.1, "user_agent": "agent/1.0", "response_size": 100})
    return logs


def microseconds(work: Callable[[], object]) -> float:
    """Of one log, in one call of `work`."""
    started = time.perf_counter()
    work()
    return (time.perf_counter() - started) / LOGS * 1e6


def main() -> None:
    """Measure and print."""
    logs = make_logs()
    body = json.dumps({"logs": logs}).encode()
    users, addresses = [log["user_id"] for log in logs], [log["ip_address"] for log in logs]
    plain = Decoder(LOGS, LOGS)
    with_key = Decoder(LOGS, LOGS, pseudonyms=Pseudonyms(_KEY))
    columns = Pseudonyms(_KEY)
    parts: dict[str, Callable[[], object]] = {
        "decode /detect": lambda: plain.decode_detect(body),
        "decode /detect with a key": lambda: with_key.decode_detect(body),
        "replace columns": lambda: (columns.users(users), columns.addresses(addresses)),
    }
    for name, work in parts.items():
        first = microseconds(work)
        rest = statistics.median(microseconds(work) for _ in range(REPEATS))
        print(f"{name:28} first {first:5.2f} us/log, then {rest:5.2f}")


if __name__ == "__main__":
    main()
