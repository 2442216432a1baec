"""Latency at a constant rate in an open loop, idle and while the service trains."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter

from benchmarks.open_loop import Load
from benchmarks.service import Response, Service
from benchmarks.speed.contenders import Run, load, print_progress
from benchmarks.speed.history import history
from benchmarks.speed.measures import quantile
from benchmarks.speed.report import Result, Table, cores

HIGH_RATE, LOW_RATE = 1_000.0, 100.0
LONG_TRAINING = 200_000
_INTERVAL = 3.0  # seconds of load between two checks whether the training has ended
_HEAD = (
    ("", "wanted/s", "answered/s", "p50", "p99", "max", "not answered 200", "CPU of the machine")
) + ("delay of the load itself: p99", "max")


def measure_constant_rate(run: Run) -> Result:
    """1,000 single logs a second, while nothing else runs."""
    seconds = 3.0 if run.quick else 10.0
    print_progress(f"{HIGH_RATE:,.0f} requests/s for {seconds:.0f} seconds")
    requests = run.requests(1)
    with run.trained_service("constant") as service:
        run.load.run(load, service.port, requests, HIGH_RATE, 1.0, False)  # warm
        used, started = service.cpu_seconds(), perf_counter()
        found = run.load.run(load, service.port, requests, HIGH_RATE, seconds, False)
        share = (service.cpu_seconds() - used) / (perf_counter() - started) / cores()
    figures = {"constant_p99": 1e3 * _quantile_with_lost(found, 0.99), "constant_cpu": share}
    row = _row("nothing else runs", HIGH_RATE, [found], share)
    return Result([Table("At a constant rate, one log in a request", _HEAD, [row])], figures)


def measure_during_training(run: Run) -> Result:
    """100 single logs a second, idle and while 200,000 logs are trained on."""
    print_progress(
        f"{LOW_RATE:,.0f} requests/s, idle and while {LONG_TRAINING:,} logs are trained on"
    )
    requests, body = run.requests(1), history(run.logs, LONG_TRAINING)
    with run.trained_service("training") as service, ThreadPoolExecutor(1) as sender:
        run.load.run(load, service.port, requests, LOW_RATE, 1.0, False)  # warm
        idle = run.load.run(load, service.port, requests, LOW_RATE, 5 * _INTERVAL, False)
        started, used = perf_counter(), service.cpu_seconds()
        sent = sender.submit(service.request, "POST", "/train", body, 600.0)
        during = list(_load_until(run, service, requests, sent))
        took = perf_counter() - started
        share = (service.cpu_seconds() - used) / took / cores()
        if sent.result().status != 200:
            raise RuntimeError(sent.result().body[:300])
    lost = sum(sum(part.statuses.values()) - part.statuses[200] for part in during)
    worst = quantile([latency for part in during for latency in part.accepted], 0.99)
    figures = {
        "training_p99": worst / _quantile_with_lost(idle, 0.99),
        "training_lost": float(lost),
    }
    rows = [
        _row("idle", LOW_RATE, [idle], None),
        _row(f"training, {took:.0f} s", LOW_RATE, during, share),
    ]
    return Result([Table(f"While {LONG_TRAINING:,} logs are trained on", _HEAD, rows)], figures)


def _load_until(
    run: Run, service: Service, requests: Sequence[bytes], sent: Future[Response]
) -> Iterator[Load]:
    """Load in intervals until the training is answered; each begins when the last has ended."""
    while not sent.done():
        yield run.load.run(load, service.port, requests, LOW_RATE, _INTERVAL, False)


def _quantile_with_lost(found: Load, share: float) -> float:
    """A quantile of the latencies; a request without a 200 counts as infinitely late."""
    missing = sum(found.statuses.values()) - found.statuses[200]
    return quantile([*found.accepted, *[float("inf")] * missing], share)


def _row(name: str, rate: float, parts: Sequence[Load], share: float | None) -> tuple[str, ...]:
    accepted = [latency for part in parts for latency in part.accepted]
    lags = [lag for part in parts for lag in part.lags]
    statuses = sum((part.statuses for part in parts), Counter[int]())
    seconds = sum(part.seconds for part in parts)
    return (
        name,
        f"{rate:,.0f}",
        f"{len(accepted) / seconds:,.1f}",
        *(f"{1e3 * quantile(accepted, q):.1f} ms" for q in (0.5, 0.99, 1.0)),
        str(sum(statuses.values()) - statuses[200]),
        "" if share is None else f"{100 * share:.0f} %",
        *(f"{1e3 * quantile(lags, q):.1f} ms" for q in (0.99, 1.0)),
    )
