"""An open loop at three times the capacity: who is accepted keeps a bounded latency, the rest is
shed at once, and a second later everything is as before."""

import argparse
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.robustness.openloop import Load, load
from benchmarks.robustness.service import TOKEN, Service, encoded
from benchmarks.speed.load import rate, request_bytes
from api_anomaly.simulator.scenario import preset
from api_anomaly.simulator.simulation import simulate

#: Times the capacity.
OVERLOAD = 3.0


def add_arguments(words: argparse.ArgumentParser) -> None:
    """What the command takes."""
    words.add_argument("--seconds", type=float, default=6.0, help="of each load (default 6)")
    words.add_argument("--batches", default="1,100,1000", help="logs in a request")


def run(options: argparse.Namespace) -> int:
    """Measure and print; 1 when a request was neither accepted nor shed."""
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
    bodies = [encoded({"logs": logs[start : start + size]}) for start in starts]
    requests = [request_bytes(body, TOKEN) for body in bodies]
    rate(service.port, requests, 1.0)  # warm
    capacity, _ = rate(service.port, requests, 3.0)
    before = load(service.port, requests, 0.5 * capacity, seconds / 2)
    used, started = service.processor(), time.perf_counter()
    during = load(service.port, requests, OVERLOAD * capacity, seconds)
    share = (service.processor() - used) / (time.perf_counter() - started)
    after = load(service.port, requests, 0.5 * capacity, 1.0)
    print(f"\n{size:,} logs in a request; closed loop: {capacity:,.0f} requests/s at most")
    _print("half the capacity", before)
    _print(f"{OVERLOAD:g} x the capacity", during)
    _print("the second after", after)
    print(
        f"  during the overload: /health {_shares(during.health)};"
        f" the service had {share:.2f} of a processor"
    )
    odd = set(during.statuses) - {200, 503}
    return int(bool(odd) or set(after.statuses) != {200})


def _print(title: str, load_: Load) -> None:
    count = sum(load_.statuses.values())
    print(
        f"  {title:18s} {count:7,d} sent, {len(load_.accepted):7,d} accepted"
        f" ({_shares(load_.accepted)}), {load_.statuses[503]:7,d} shed ({_shares(load_.refused)}),"
        f" {count - load_.statuses[200] - load_.statuses[503]} else;"
        f" the load left {1e3 * load_.late:.0f} ms late at most"
    )


def _shares(seconds: Sequence[float]) -> str:
    if len(seconds) < 2:
        return "none"
    cuts = statistics.quantiles(seconds, n=100)
    return f"p50 {1e3 * cuts[49]:.1f}, p99 {1e3 * cuts[98]:.1f} ms"
