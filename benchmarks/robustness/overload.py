"""An open loop at three times the capacity.

Accepted requests must keep a bounded latency, the others are rejected at once, and a second later
latencies are normal again.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.open_loop import Load, load
from benchmarks.service import TOKEN, Service, encode_json
from benchmarks.closed_loop import rate, request_bytes
from api_anomaly.simulator.scenario import preset
from api_anomaly.simulator.simulation import simulate

OVERLOAD = 3.0  # times the capacity


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=6.0, help="of each load (default 6)")
    parser.add_argument("--batches", default="1,100,1000", help="logs in a request")


def run(options: argparse.Namespace) -> int:
    """Measure and print; 1 if a request was neither accepted nor rejected with 503."""
    logs = list(simulate(preset("day", seed=1)).logs(labels=False))
    failed = 0
    with (
        tempfile.TemporaryDirectory() as folder,
        Service(Path(folder), LOG_LEVEL="WARNING") as service,
    ):
        service.post("/train", {"logs": logs[:6_000]})
        for size in map(int, options.batches.split(",")):
            failed |= _measure(service, logs[6_000:], size, options.seconds)
    return failed


def _measure(service: Service, logs: Sequence[Any], size: int, seconds: float) -> int:
    starts = range(0, min(len(logs) - size + 1, 60 * size), size)
    bodies = [encode_json({"logs": logs[start : start + size]}) for start in starts]
    requests = [request_bytes(body, TOKEN) for body in bodies]
    rate(service.port, requests, 1.0)  # warm up
    capacity, _ = rate(service.port, requests, 3.0)
    before = load(service.port, requests, 0.5 * capacity, seconds / 2)
    used, started = service.cpu_seconds(), time.perf_counter()
    during = load(service.port, requests, OVERLOAD * capacity, seconds)
    share = (service.cpu_seconds() - used) / (time.perf_counter() - started)
    after = load(service.port, requests, 0.5 * capacity, 1.0)
    print(f"\n{size:,} logs in a request; closed loop: {capacity:,.0f} requests/s at most")
    _print("half the capacity", before)
    _print(f"{OVERLOAD:g} x the capacity", during)
    _print("the second after", after)
    print(
        f"  during the overload: /health {_quantiles(during.health)};"
        f" the service had {share:.2f} of a CPU"
    )
    unexpected = set(during.statuses) - {200, 503}
    return int(bool(unexpected) or set(after.statuses) != {200})


def _print(title: str, load_: Load) -> None:
    count = sum(load_.statuses.values())
    print(
        f"  {title:18s} {count:7,d} sent, {len(load_.accepted):7,d} accepted"
        f" ({_quantiles(load_.accepted)}), {load_.statuses[503]:7,d} rejected"
        f" ({_quantiles(load_.rejected)}),"
        f" {count - load_.statuses[200] - load_.statuses[503]} other;"
        f" the load sent at most {1e3 * load_.max_lag:.0f} ms late"
    )


def _quantiles(seconds: Sequence[float]) -> str:
    if len(seconds) < 2:
        return "none"
    cuts = statistics.quantiles(seconds, n=100)
    return f"p50 {1e3 * cuts[49]:.1f}, p99 {1e3 * cuts[98]:.1f} ms"
