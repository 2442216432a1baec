"""How late: latencies at a constant rate in an open loop, alone and while the service trains."""

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from time import perf_counter

from benchmarks.robustness.openloop import Load
from benchmarks.robustness.service import Answer, Service
from benchmarks.speed.contenders import Run, load, say
from benchmarks.speed.history import history
from benchmarks.speed.measures import quantile
from benchmarks.speed.report import Measured, Table, cores

CONSTANT, MODEST = 1_000.0, 100.0
LONG_TRAINING = 200_000
_STRETCH = 3.0  # seconds of load between two looks whether the training has ended
_HEAD = (
    ("", "wanted/s", "answered/s", "p50", "p99", "max", "not answered 200", "CPU of the machine")
) + ("the load itself late: p99", "max")


def constant(run: Run) -> Measured:
    """1,000 single logs a second, while nothing else runs."""
    seconds = 3.0 if run.quick else 10.0
    say(f"{CONSTANT:,.0f} requests/s for {seconds:.0f} seconds")
    requests = run.requests(1)
    with run.service("constant") as service:
        run.load.do(load, service.port, requests, CONSTANT, 1.0, False)  # warm
        used, started = service.processor(), perf_counter()
        found = run.load.do(load, service.port, requests, CONSTANT, seconds, False)
        share = (service.processor() - used) / (perf_counter() - started) / cores()
    figures = {"constant_p99": 1e3 * _worst(found, 0.99), "constant_cpu": share}
    row = _row("nothing else runs", CONSTANT, [found], share)
    return Measured([Table("At a constant rate, one log in a request", _HEAD, [row])], figures)


def training(run: Run) -> Measured:
    """100 single logs a second, idle and while 200,000 logs are trained on."""
    say(f"{MODEST:,.0f} requests/s, idle and while {LONG_TRAINING:,} logs are trained on")
    requests, body = run.requests(1), history(run.logs, LONG_TRAINING)
    with run.service("training") as service, ThreadPoolExecutor(1) as sender:
        run.load.do(load, service.port, requests, MODEST, 1.0, False)  # warm
        idle = run.load.do(load, service.port, requests, MODEST, 5 * _STRETCH, False)
        started, used = perf_counter(), service.processor()
        sent = sender.submit(service.ask, "POST", "/train", body, 600.0)
        during = list(_until(run, service, requests, sent))
        took = perf_counter() - started
        share = (service.processor() - used) / took / cores()
        if sent.result().status != 200:
            raise RuntimeError(sent.result().body[:300])
    lost = sum(sum(part.statuses.values()) - part.statuses[200] for part in during)
    worst = quantile([late for part in during for late in part.accepted], 0.99)
    figures = {"training_p99": worst / _worst(idle, 0.99), "training_lost": float(lost)}
    rows = [
        _row("idle", MODEST, [idle], None),
        _row(f"training, {took:.0f} s", MODEST, during, share),
    ]
    return Measured([Table(f"While {LONG_TRAINING:,} logs are trained on", _HEAD, rows)], figures)


def _until(
    run: Run, service: Service, requests: Sequence[bytes], sent: Future[Answer]
) -> Iterator[Load]:
    """Load in stretches, until the training is answered. Each begins when the last is answered."""
    while not sent.done():
        yield run.load.do(load, service.port, requests, MODEST, _STRETCH, False)


def _worst(found: Load, share: float) -> float:
    """A quantile of the latencies, where a request that was not answered was answered never."""
    missing = sum(found.statuses.values()) - found.statuses[200]
    return quantile([*found.accepted, *[float("inf")] * missing], share)


def _row(name: str, rate: float, parts: Sequence[Load], share: float | None) -> tuple[str, ...]:
    accepted = [late for part in parts for late in part.accepted]
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
