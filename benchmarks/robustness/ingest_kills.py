"""kill -9 at random moments of an ingestion with a shipper that sends again until it gets a 200.

At the end every line is in the history exactly once, and the memory is that of a service that got
the same lines in the same order and was never killed: the scores of all users are equal.
"""

import argparse
import random
import shutil
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

from benchmarks.robustness.kills import ForkedService
from benchmarks.service import Service

_USERS = 12
_MAX_LINES = 40


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=int, default=200, help="how many (default 200)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default 1)")


class _Shipper:
    """Sends lines in order, in batches; a batch that got no 200 is sent again."""

    def __init__(self, service: Service, random_: random.Random) -> None:
        self._service = service
        self._random = random_
        self.sent: list[list[str]] = []
        self.retries = 0
        self.stopping = threading.Event()

    def run(self) -> None:
        number = 0
        while not self.stopping.is_set():
            size = self._random.choice((1, 1, 2, 10, _MAX_LINES))
            batch = [_line(number + i) for i in range(size)]
            number += size
            self.sent.append(batch)
            while not self._post(batch):
                self.retries += 1
                time.sleep(0.02)

    def _post(self, batch: list[str]) -> bool:
        try:
            response = self._service.request("POST", "/ingest", "\n".join(batch).encode(), 10.0)
        except OSError:
            return False
        if response.status == 200 and response.json()["accepted"] != len(batch):
            raise RuntimeError(response.body.decode())
        return response.status == 200


def _line(number: int) -> str:
    minute, second = divmod(number // 20, 60)
    hour, minute = divmod(minute, 60)
    return (
        f"192.0.2.{number % _USERS} - user-{number % _USERS}"
        f" [14/Nov/2023:{hour % 24:02}:{minute:02}"
        f':{second:02} +0000] "GET /api/things/{number} HTTP/1.1" 200 100 "-" "curl/8"'
    )


def _training_logs() -> list[dict[str, Any]]:
    return [
        {
            "timestamp": 1_699_900_000 + 7 * number,
            "user_id": f"user-{number % _USERS}",
            "endpoint": f"/api/things/{number}",
            "method": "GET",
            "status_code": 200,
            "ip_address": f"192.0.2.{number % _USERS}",
            "user_agent": "curl/8",
            "response_size": 100,
        }
        for number in range(600)
    ]


def run(options: argparse.Namespace) -> int:
    """Kill `kills` times, then compare; 1 if a line is missing or there twice."""
    __import__("api_anomaly.http.app")  # all modules are imported before the first fork
    random_ = random.Random(options.seed)
    environment = {"SNAPSHOT_SECONDS": "0.5", "FOREST_TREES": "5", "MEMORY_ENTITIES": "10000"}
    with tempfile.TemporaryDirectory() as folder:
        service = ForkedService(Path(folder) / "killed", **environment)
        service.start()
        service.post("/train", {"logs": _training_logs()})
        _wait_for_snapshot(service)
        service.kill()
        shutil.copytree(service.folder, Path(folder) / "reference")
        service.start()
        shipper = _Shipper(service, random_)
        thread = threading.Thread(target=shipper.run)
        thread.start()
        for number in range(options.kills):
            time.sleep(random_.uniform(0.0, 0.8))
            service.kill()
            service.start()
            if number % 20 == 19:
                print(f"  {number + 1} kills, {len(shipper.sent)} batches", flush=True)
        shipper.stopping.set()
        thread.join()
        reference = Service(Path(folder) / "reference", **environment)
        problems = _check_memory(service, reference, shipper.sent)
        problems += _check_history(service, shipper.sent)
        service.kill()
    lines = sum(map(len, shipper.sent))
    print(f"{options.kills} kills, {lines:,} lines in {len(shipper.sent):,} batches,")
    print(f"{shipper.retries:,} tries without a 200: {problems or 'none missing, none twice'}")
    return int(bool(problems))


def _wait_for_snapshot(service: Service) -> None:
    while service.request("GET", "/status").json()["memory"]["snapshot_age_seconds"] is None:
        time.sleep(0.05)


def _check_history(service: Service, sent: list[list[str]]) -> list[str]:
    """Compare the Parquet files after a training on the history, which moves all logs there."""
    import pandas as pd

    response = service.post("/train", {"source": "history"})
    assert response.status == 200, response.body
    frame = pd.read_parquet(service.folder / "models" / "history")
    kept = Counter(frame["endpoint"])
    wanted = {line.split('"')[1].split()[1] for batch in sent for line in batch}
    missing = sum(endpoint not in kept for endpoint in wanted)
    twice = sum(count > 1 for count in kept.values())
    foreign = sum(endpoint not in wanted for endpoint in kept)
    found = {"missing": missing, "twice": twice, "foreign": foreign}
    return [f"{count} lines {what} in the history" for what, count in found.items() if count]


def _check_memory(service: Service, reference: Service, sent: list[list[str]]) -> list[str]:
    """Compare the scores of probes with those of a service that was never killed."""
    probes = [log | {"timestamp": 1_700_090_000 + i} for i, log in enumerate(_training_logs()[:24])]
    body = {"logs": probes, "include_scores": True, "update_state": False}
    with reference:
        for batch in sent:
            reference.request("POST", "/ingest", "\n".join(batch).encode())
        expected = reference.post("/detect", body).json()["scores"]
    found = service.post("/detect", body).json()["scores"]
    return [] if found == expected else ["the memories differ"]
