"""Steady mixed traffic for minutes.

Memory, files, threads and latency must not grow, and the metrics must count exactly what was sent.
"""

import argparse
import http.client
import statistics
import tempfile
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.service import TOKEN, Service, encode_json
from api_anomaly.simulator.scenario import preset
from api_anomaly.simulator.simulation import simulate

_EVERY = 5.0  # seconds between two samples
_LOGS = 20  # in a batch
_SETTINGS = {
    # Limits that are reached early, so that later growth is a leak.
    "MEMORY_ENTITIES": "3000",
    "IDEMPOTENCY_KEYS": "300",
    "SNAPSHOT_SECONDS": "10",
    "FOREST_TREES": "25",
}


@dataclass
class _Sent:
    """What was sent: statuses by path, scored logs, latencies in seconds."""

    statuses: Counter[tuple[str, int]] = field(default_factory=Counter)
    logs: int = 0
    latencies: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Caller(threading.Thread):
    """A client on one kept-alive connection, `rate` requests a second."""

    def __init__(self, number: int, service: Service, sent: _Sent, rate: float, end: float) -> None:
        super().__init__()
        self._number, self._service, self._sent = number, service, sent
        self._pause, self._end = 1.0 / rate, end
        self._connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)

    def run(self) -> None:
        number, due = 0, time.monotonic()
        while due < self._end:
            self._send(number)
            number, due = number + 1, due + self._pause
            time.sleep(max(0.0, due - time.monotonic()))
        self._connection.close()

    def _send(self, number: int) -> None:
        """Mostly batches; sometimes a retry, invalid JSON, a wrong token, a status."""
        kind = number % 20
        if kind == 3:
            self._request("POST", "/detect", b'{"logs": [{}', {})
        elif kind == 7:
            self._request("GET", "/status", None, {})
        elif kind == 11:
            self._request("GET", "/status", None, {"Authorization": "Bearer a-wrong-token"})
        elif kind in (15, 16):  # the same key twice
            key = {"Idempotency-Key": f"{self._number}-{number // 20}"}
            batch = self._batch(number - number % 20)
            self._request("POST", "/detect", batch, key, _LOGS if kind == 15 else 0)
        else:
            self._request("POST", "/detect", self._batch(number), {}, _LOGS)

    def _batch(self, number: int) -> bytes:
        """Users seen before and new ones, some with only an address."""
        start = 1_700_100_000 + number * 3
        return encode_json({"logs": [self._log(start, number, index) for index in range(_LOGS)]})

    def _log(self, start: int, number: int, index: int) -> dict[str, Any]:
        user = (number * _LOGS + index) * 7 + self._number
        log = {
            "timestamp": start + index / 10,
            "user_id": f"user-{user % 9_001}",
            "endpoint": f"/api/things/{user % 50}/parts",
            "method": "POST" if user % 9 == 0 else "GET",
            "status_code": 404 if user % 31 == 0 else 200,
            "response_time": 0.05,
            "ip_address": f"10.0.{user % 40}.{user % 250}",
            "user_agent": f"client/{user % 3}",
        }
        return log | {"user_id": None} if user % 5 == 0 else log

    def _request(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str], logs: int = 0
    ) -> None:
        started = time.perf_counter()
        all_headers = {"Authorization": f"Bearer {TOKEN}"} | headers
        self._connection.request(method, path, body, all_headers)
        response = self._connection.getresponse()
        response.read()
        latency = time.perf_counter() - started
        with self._sent.lock:
            self._sent.statuses[path, response.status] += 1
            if response.status == 200 and path == "/detect":
                self._sent.logs += logs
                self._sent.latencies.append(latency)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--minutes", type=float, default=10.0, help="how long (default 10)")
    parser.add_argument("--rate", type=float, default=40.0, help="requests a second (default 40)")
    parser.add_argument("--callers", type=int, default=4, help="at once (default 4)")


def run(options: argparse.Namespace) -> int:
    """Run and print; 1 if anything grows or the metrics differ from what was sent."""
    logs = list(simulate(preset("day", seed=1)).logs(labels=False))[:3_000]
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder), **_SETTINGS) as service:
        service.post("/train", {"logs": logs})
        before, sent = service.metrics(), _Sent()
        end = time.monotonic() + 60.0 * options.minutes
        rate = options.rate / options.callers
        callers = [_Caller(n, service, sent, rate, end) for n in range(options.callers)]
        for caller in callers:
            caller.start()
        samples = _samples(service, sent, end)
        for caller in callers:
            caller.join()
        print(f"sent in {options.minutes:g} min: {dict(sorted(sent.statuses.items()))}")
        return _steady(np.array(samples)) | _consistent(before, service.metrics(), sent)


def _samples(service: Service, sent: _Sent, end: float) -> list[tuple[float, ...]]:
    """(seconds, MiB, files, threads, median and 99th percentile of /detect in ms) each time."""
    found: list[tuple[float, ...]] = []
    started = time.monotonic()
    while time.monotonic() < end:
        time.sleep(min(_EVERY, max(0.0, end - time.monotonic())))
        with sent.lock:
            latencies, sent.latencies = sent.latencies, []
        if len(latencies) < 2:
            continue
        cuts = statistics.quantiles(latencies, n=100)
        now, resident = time.monotonic() - started, service.resident_bytes() / 2**20
        row = (now, resident, service.open_files(), service.threads())
        found.append((*row, 1e3 * cuts[49], 1e3 * cuts[98]))
    return found


def _steady(samples: Any) -> int:
    """1 if the second half grows: by more than 1 MiB a minute, or in files or threads."""
    half = samples[len(samples) // 2 :]
    minutes = half[:, 0] / 60.0
    slope = float(np.polyfit(minutes, half[:, 1], 1)[0])
    print(f"memory: {samples[0, 1]:.1f} MiB first, {samples[-1, 1]:.1f} MiB last")
    print(f"slope of the second half: {slope:+.3f} MiB a minute")
    grown = 0
    for name, column in (("open files", 2), ("threads", 3)):
        first, last = float(np.median(half[:3, column])), float(np.median(half[-3:, column]))
        print(
            f"{name}: {first:g} in the middle, {last:g} at the end, {half[:, column].max():g} most"
        )
        grown |= last > first + 2
    for title, part in (("first", samples[: len(half)]), ("second", half)):
        p50, p99 = np.median(part[:, 4]), np.median(part[:, 5])
        print(f"/detect in the {title} half: p50 {p50:.1f} ms, p99 {p99:.1f} ms")
    return int(bool(grown) or slope > 1.0)


def _consistent(before: dict[str, float], after: dict[str, float], sent: _Sent) -> int:
    """1 if the metrics differ from what was sent."""
    wrong = []
    methods = {"/detect": "POST", "/status": "GET"}
    for (path, status), count in sent.statuses.items():
        name = f'api_requests_total{{endpoint="{path}",method="{methods[path]}",status="{status}"}}'
        if after.get(name, 0.0) - before.get(name, 0.0) != count:
            wrong.append(f"{name}: sent {count}, counted {after.get(name)}")
    scored = after["logs_scored_total"] - before["logs_scored_total"]
    if scored != sent.logs:
        wrong.append(f"logs: sent {sent.logs}, scored {scored:.0f}")
    failures = {name: n for name, n in after.items() if n and "failures_total{what" in name}
    print(f"metrics: {wrong or 'as sent'}; {scored:,.0f} logs; storage failures: {failures or 0}")
    return int(bool(wrong or failures))
