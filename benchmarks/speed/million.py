"""Training on 1,000,000 logs through /train: time against Pydantic's parse, and memory."""

from collections.abc import Sequence
from time import perf_counter
from typing import Any

from pydantic import TypeAdapter

from benchmarks.speed.contenders import Run, say
from benchmarks.speed.echo import Body
from benchmarks.speed.history import history, parts
from benchmarks.speed.report import Measured, Table

LOGS = 1_000_000
_PART = 50_000
_MIB = 1024 * 1024


def measure(run: Run) -> Measured:
    """One body, as it is sent by who has a long history."""
    say(f"training on {LOGS:,} logs")
    # A limit that the body cannot reach: 1 GiB.
    service = run.untrained("million", MAX_TRAINING_BODY_BYTES=str(1024 * _MIB))
    body = history(run.logs, LOGS)
    with service:
        before, used, started = service.resident(), service.processor(), perf_counter()
        answer = service.ask("POST", "/train", body, 900.0)
        took, used = perf_counter() - started, service.processor() - used
        most = service.resident_at_most()
    if answer.status != 200:
        raise RuntimeError(answer.body[:300])
    parse = run.load.do(seconds_to_parse, run.logs, LOGS)
    row = (
        f"{took:.1f} s",
        f"{used:.1f} s",
        f"{parse:.1f} s",
        f"{took / parse:.2f} x",
        *(f"{size / _MIB:,.0f} MiB" for size in (len(body), before, most)),
    )
    head = ("training", "CPU", "Pydantic's parse", "against it", "body", "resident before", "most")
    table = Table(f"Training on {LOGS:,} logs", head, [row], [f"Parsed {_PART:,} at a time."])
    return Measured([table], {"million": took / parse, "million_resident": most / _MIB})


def seconds_to_parse(logs: Sequence[dict[str, Any]], count: int) -> float:
    """How long Pydantic takes for all of them, a part at a time so that they need not fit."""
    adapter, seconds = TypeAdapter(Body), 0.0
    for body in parts(logs, count, _PART):
        started = perf_counter()
        parsed = adapter.validate_json(body)
        seconds += perf_counter() - started
        del parsed
    return seconds
