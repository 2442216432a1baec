"""Requests and logs a second in a closed loop, beside the other contenders, and on both cores."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import NamedTuple

from benchmarks.service import Service
from benchmarks.speed.contenders import Run, Uvicorn, parse_rate, post, rate, print_progress
from benchmarks.closed_loop import CONNECTIONS
from benchmarks.speed.measures import Spread, ratios, spread
from benchmarks.speed.report import Result, Table

BATCH = 1_000
OURS, OURS_ONE = "our /detect", "our /detect, one connection"
ECHO, NAIVE, PARSE = "bare FastAPI echo", "the naive service", "Pydantic's parse alone"
_HEAD = ("", "requests/s", "logs/s", "µs CPU per log", "CPU used", "our /detect against it")


class Turn(NamedTuple):
    """Requests a second, CPU seconds per request, and CPUs in use."""

    rate: float
    cost: float
    used: float


Turns = Mapping[str, Sequence[Turn]]


def measure(run: Run) -> Result:
    """One log and 1,000 logs in a request."""
    with _contenders(run) as services:
        single = _turns(run, services, 1)
        batch = _turns(run, services, BATCH)
    figures = {
        "echo_single": _rates(single, OURS, ECHO).median,
        "echo_batch": _rates(batch, OURS, ECHO).median,
        "parse_wall": _rates(batch, PARSE, OURS_ONE).median,
        "parse_cpu": _costs(batch).median,
        "naive_single": _rates(single, OURS, NAIVE).median,
        "naive_batch": _rates(batch, OURS, NAIVE).median,
        "cores": _rates(batch, OURS, OURS_ONE).median,
    }
    tables = [_table("One log in a request", single, 1, [])]
    tables.append(_table(f"{BATCH:,} logs in a request", batch, BATCH, [_against_parse(batch)]))
    return Result([*tables, _both_cores(batch)], figures)


@contextmanager
def _contenders(run: Run) -> Iterator[dict[str, Service]]:
    services = {
        OURS: run.trained_service("throughput"),
        ECHO: Uvicorn(run.folder / "echo", "benchmarks.speed.echo:app"),
        NAIVE: Uvicorn(run.folder / "naive", "benchmarks.speed.naive_service:app"),
    }
    with ExitStack() as stack:
        for service in services.values():
            stack.enter_context(service)
        post(services[NAIVE], "/train", run.logs[: len(run.logs) - len(run.fresh)])
        yield services


def _turns(run: Run, services: Mapping[str, Service], size: int) -> Turns:
    bodies, requests = run.bodies(size), run.requests(size)

    sent = {service.port: 0 for service in services.values()}

    def loaded(service: Service, connections: int) -> Callable[[float], Turn]:
        def turn(seconds: float) -> Turn:
            used, first = service.cpu_seconds(), sent[service.port]
            result, done = run.load.run(rate, service.port, requests, seconds, connections, first)
            sent[service.port] += done
            busy = service.cpu_seconds() - used
            return Turn(result, busy / done, busy / done * result)

        return turn

    def parse(seconds: float) -> Turn:
        result, cost = run.load.run(parse_rate, bodies, seconds)
        return Turn(result, cost, cost * result)

    contenders = {
        OURS: loaded(services[OURS], CONNECTIONS),
        OURS_ONE: loaded(services[OURS], 1),
        ECHO: loaded(services[ECHO], CONNECTIONS),
        NAIVE: loaded(services[NAIVE], CONNECTIONS),
        PARSE: parse,
    }
    print_progress(f"{size:,} logs in a request: {', '.join(contenders)}")
    for contender in contenders.values():
        contender(run.seconds / 4)  # warm
    found: dict[str, list[Turn]] = {name: [] for name in contenders}
    for _ in range(run.turns):
        for name, contender in contenders.items():
            found[name].append(contender(run.seconds))
    return found


def _rates(turns: Turns, ours: str, theirs: str) -> Spread:
    return ratios([turn.rate for turn in turns[ours]], [turn.rate for turn in turns[theirs]])


def _costs(turns: Turns) -> Spread:
    return ratios([turn.cost for turn in turns[OURS_ONE]], [turn.cost for turn in turns[PARSE]])


def _table(title: str, turns: Turns, size: int, notes: Sequence[str]) -> Table:
    rows = []
    for name, of in turns.items():
        rate_ = spread([turn.rate for turn in of])
        rows.append(
            (
                name,
                rate_.text(),
                format(size * rate_.median, ",.0f"),
                spread([turn.cost for turn in of]).text(",.1f", 1e6 / size),
                f"{spread([turn.used for turn in of]).median:.2f}",
                "" if name == OURS else f"{_rates(turns, OURS, name).text('.2f')} x",
            )
        )
    closed = f"Closed loop, {CONNECTIONS} connections unless the row says one."
    return Table(title, _HEAD, rows, [closed, *notes])


def _against_parse(turns: Turns) -> str:
    wall, cpu = _rates(turns, PARSE, OURS_ONE), _costs(turns)
    return (
        f"Against Pydantic's parse of the same bodies, a log costs {wall.text('.2f')} x the time"
        f" (as the client sees it, one connection) and {cpu.text('.2f')} x the CPU."
    )


def _both_cores(turns: Turns) -> Table:
    rows = []
    for name, connections in ((OURS_ONE, "1"), (OURS, str(CONNECTIONS))):
        rate_ = spread([turn.rate for turn in turns[name]])
        used = spread([turn.used for turn in turns[name]]).text(".2f")
        rows.append((connections, rate_.text(",.0f", BATCH), used))
    gain = _rates(turns, OURS, OURS_ONE).text(".2f")
    notes = [
        f"More connections bring {gain} x the logs of one. Batches over `INLINE_LOGS` are scored in"
        " a thread with the GIL released, so the event loop reads and parses the next body"
        " meanwhile; parsing and building responses hold the GIL, and one lock lets one batch at a"
        " time into the memory, because a log is scored by all logs before it. So the gain is"
        " bounded by the larger of the two halves, not by the number of cores, and the load itself"
        " uses a part of the second core."
    ]
    return Table("Both cores", ("connections", "logs/s", "cores used"), rows, notes)
