"""The tables of a run: for a terminal, as docs/speed.md and as docs/speed.json."""

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.speed.goals import compare_with_goals

_PACKAGES = ("fastapi", "pydantic", "uvicorn", "numpy", "numba", "scikit-learn", "pandas")
_GOALS = ("goal", "wanted", "measured", "met")
_HEAD = """# Speed

Written by `scripts/speed`, all in one run on one machine. Contenders take turns, round after
round; a figure is the median of the turns with the lowest and the highest, and a ratio is computed
turn by turn. Throughput is measured in a closed loop (a request is sent when the one before is
answered), latency in an open loop at a constant rate, from the moment when a request was *due*, so
that a stall counts for all requests that waited. The load is a process of its own. Absolute figures
depend on the machine; ratios hold elsewhere.
"""


class Table(NamedTuple):
    """A title, column names, rows of text, and notes."""

    title: str
    head: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


class Result(NamedTuple):
    """The result of a part of the benchmark: tables, and figures by the names of the goals."""

    tables: Sequence[Table]
    figures: Mapping[str, float]


def goals(figures: Mapping[str, float]) -> Table:
    """The goals with their measured figures."""
    return Table("Goals", _GOALS, compare_with_goals(figures))


def to_text(table: Table) -> str:
    """Aligned for a terminal; the first column to the left, the others to the right."""
    lines = [list(table.head), *(list(row) for row in table.rows)]
    widths = [max(len(line[i]) for line in lines) for i in range(len(table.head))]
    shown = [
        "  "
        + "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        )
        for line in lines
    ]
    return "\n".join(["", table.title, *shown, *(f"  {note}" for note in table.notes)])


def to_markdown(table: Table) -> str:
    """As a section of a page."""
    rows = [
        f"| {' | '.join(table.head)} |",
        "|---" + "|---:" * (len(table.head) - 1) + "|",
        *(f"| {' | '.join(row)} |" for row in table.rows),
    ]
    notes = [f"\n{note}" for note in table.notes]
    return "\n".join([f"## {table.title}", "", *rows, *notes, ""])


def write(
    folder: Path, tables: Sequence[Table], figures: Mapping[str, float], about: Mapping[str, Any]
) -> None:
    """speed.md and speed.json in `folder`. Raises OSError."""
    made = ", ".join(f"{name} {value}" for name, value in about["versions"].items())
    machine = (
        f"{about['date']}, {about['processor']}, {about['cores']} cores, {about['system']}."
        f" Load of the machine before the run: {about['load_before']:.2f}.\n\n{made}.\n"
    )
    pages = [to_markdown(table) for table in tables]
    (folder / "speed.md").write_text("\n".join([_HEAD, machine, *pages]), encoding="utf-8")
    content = {
        "about": about,
        # JSON has no infinity: null where requests were not answered.
        "figures": {n: round(v, 6) if math.isfinite(v) else None for n, v in figures.items()},
        "tables": [table._asdict() for table in tables],
    }
    (folder / "speed.json").write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """The machine and the versions."""
    versions = {"Python": platform.python_version()}
    for name in (*_PACKAGES, "uvloop", "httptools"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processor": _processor(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "load_before": os.getloadavg()[0],
        "versions": versions,
    }


def cores() -> int:
    """Cores that this process and its children may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()
