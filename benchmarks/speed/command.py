"""``scripts/speed``: the service beside reference programs, all in one run.

Prints tables and, after a full run, writes docs/speed.md and docs/speed.json. About five minutes;
--quick takes less than one and measures the short parts only.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks.service import ROOT
from benchmarks.speed import (
    cold_start,
    full_memory,
    latency,
    long_training,
    model_step,
    throughput,
)
from benchmarks.speed.contenders import Run
from benchmarks.speed.goals import broken_guards
from benchmarks.speed.report import Result, Table, goals, machine, to_text, write
from api_anomaly.simulator.scenario import preset
from api_anomaly.simulator.simulation import simulate

#: The parts by name, in their order.
PARTS: dict[str, Callable[[Run], Result]] = {
    "throughput": throughput.measure,
    "models": model_step.measure,
    "constant": latency.measure_constant_rate,
    "training": latency.measure_during_training,
    "users": full_memory.measure_time,
    "memory": full_memory.measure_resident,
    "million": long_training.measure,
    "cold": cold_start.measure,
}
#: What --quick measures.
QUICK = ("throughput", "constant")


def main() -> int:
    """Measure, print and write; 1 if --check finds a figure beyond its guard twice."""
    options = _arguments().parse_args()
    names = options.only or (QUICK if options.quick else tuple(PARTS))
    made_on, started = machine(), time.perf_counter()
    print(f"{made_on['date']}, {made_on['processor']}, {made_on['cores']} cores", flush=True)
    logs = list(simulate(preset("day", seed=1)).logs(labels=False))
    with tempfile.TemporaryDirectory() as folder:
        tables, figures = _measured(Path(folder), logs, names, options)
        slow = broken_guards(figures)
        if slow and options.check:
            print(
                "\n".join(slow) + "\nmeasured once more, because a busy machine is slow too",
                flush=True,
            )
            tables, figures = _measured(Path(folder) / "again", logs, names, options)
            slow = broken_guards(figures)
    tables = [goals(figures), *tables]
    print("\n".join(to_text(table) for table in tables))
    print(f"\n{time.perf_counter() - started:.0f} seconds")
    print("\n".join(slow) or "no guard is broken")
    if options.write or (names == tuple(PARTS) and not options.quick):
        write(options.out, tables, figures, made_on)
    return 1 if slow and options.check else 0


def _measured(
    folder: Path,
    logs: Sequence[dict[str, object]],
    names: Sequence[str],
    options: argparse.Namespace,
) -> tuple[list[Table], dict[str, float]]:
    turns = options.turns or (3 if options.quick else 5)
    seconds = options.seconds or (0.7 if options.quick else 2.0)
    run = Run(folder, logs, options.quick, turns, seconds)
    tables: list[Table] = []
    figures: dict[str, float] = {}
    try:
        for name in names:
            found = PARTS[name](run)
            tables += found.tables
            figures |= found.figures
    finally:
        run.load.close()
    return tables, figures


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="speed", description=__doc__)
    parser.add_argument("--quick", action="store_true", help=f"short turns of {', '.join(QUICK)}")
    parser.add_argument("--only", nargs="+", choices=PARTS, metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--turns", type=int, help="turns of each contender (default 5, quick 3)")
    parser.add_argument("--seconds", type=float, help="length of a turn (default 2, quick 0.7)")
    parser.add_argument("--check", action="store_true", help="exit code 1 beyond the guards")
    parser.add_argument("--write", action="store_true", help="write the page of any run")
    parser.add_argument("--out", type=Path, default=ROOT / "docs", help="where to (default docs)")
    return parser


if __name__ == "__main__":
    sys.exit(main())
