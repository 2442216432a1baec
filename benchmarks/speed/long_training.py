"""Training on 1,000,000 logs through /train: time against Pydantic's parse, and memory."""

from collections.abc import Sequence
from time import perf_counter
from typing import Any

from pydantic import TypeAdapter

from benchmarks.speed.contenders import Run, print_progress
from benchmarks.speed.echo import Body
from benchmarks.speed.history import history, split_history
from benchmarks.speed.report import Result, Table

LOGS = 1_000_000
_PART = 50_000
_MIB = 1024 * 1024


def measure(run: Run) -> Result:
    """One request with the whole history."""
    print_progress(f"training on {LOGS:,} logs")
    # 1 GiB, more than the body.
    service = run.untrained_service("million", MAX_TRAINING_BODY_BYTES=str(1024 * _MIB))
    body = history(run.logs, LOGS)
    with service:
        before, used, started = service.resident_bytes(), service.cpu_seconds(), perf_counter()
        response = service.request("POST", "/train", body, 900.0)
        took, used = perf_counter() - started, service.cpu_seconds() - used
        peak = service.peak_resident_bytes()
    if response.status != 200:
        raise RuntimeError(response.body[:300])
    parse = run.load.run(seconds_to_parse, run.logs, LOGS)
    row = (
        f"{took:.1f} s",
        f"{used:.1f} s",
        f"{parse:.1f} s",
        f"{took / parse:.2f} x",
        *(f"{size / _MIB:,.0f} MiB" for size in (len(body), before, peak)),
    )
    head = ("training", "CPU", "Pydantic's parse", "against it", "body", "resident before", "peak")
    table = Table(f"Training on {LOGS:,} logs", head, [row], [f"Parsed {_PART:,} at a time."])
    return Result([table], {"million": took / parse, "million_resident": peak / _MIB})


def seconds_to_parse(logs: Sequence[dict[str, Any]], count: int) -> float:
    """Seconds that Pydantic needs for all logs, in parts so that they need not fit in memory."""
    adapter, seconds = TypeAdapter(Body), 0.0
    for body in split_history(logs, count, _PART):
        started = perf_counter()
        parsed = adapter.validate_json(body)
        seconds += perf_counter() - started
        del parsed
    return seconds
