"""The command line of ``scripts/quality``."""

from __future__ import annotations

import argparse
import os
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from time import perf_counter
from typing import Any

import api_anomaly
from api_anomaly.features.table import SCHEMA
from benchmarks.quality.datasets import UnreadableData
from benchmarks.quality.figures import Figures, read_figures, write_figures
from benchmarks.quality.front_picture import comparisons, draw_comparisons
from benchmarks.quality.goals import outcomes
from benchmarks.quality.measure import Tables
from benchmarks.quality.page import write_page
from benchmarks.quality.picture import draw
from benchmarks.quality.plan import TRAIN_SHARES, Plan, plan, run

DOCS = Path(__file__).resolve().parents[2] / "docs"
#: Labelled logs of real sites, in a folder beside the project if it exists.
REAL_LOGS = Path(__file__).resolve().parents[3] / "shared" / "data"
SEEDS, FEW_SEEDS = 10, 2
LIBRARIES = ("numpy", "scikit-learn", "numba", "pandas")


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write. 0 = done; 1 = failed, or with --check a figure outside its floor."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(given)
    files = sorted(REAL_LOGS.glob("*.ndjson.gz")) if options.data is None else options.data
    seeds = options.seeds if options.seeds is not None else FEW_SEEDS if options.quick else SEEDS
    begin = perf_counter()

    def report(what: str) -> None:
        print(f"{perf_counter() - begin:6.1f} s  {what}", file=sys.stderr, flush=True)

    try:
        if options.page:
            figures = read_figures((_out(options) or DOCS) / "quality.json")
        else:
            todo = plan(seeds, files, options.train_share, options.quick)
            if not todo.compared:
                raise UnreadableData("there is nothing to measure: no seeds and no files")
            tables = run(todo, options.processes, report)
            figures = Figures(made_with(todo, _shown(given)), tables)
        publish(figures, _out(options))
    except (OSError, UnreadableData) as error:
        print(f"quality: {error}", file=sys.stderr)
        return 1
    report("done")
    return check(figures.tables) if options.check else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quality", description="Measure detection quality beside rules and baselines."
    )
    parser.add_argument("--quick", action="store_true", help="small: 2 seeds of a week; for CI")
    parser.add_argument(
        "--check", action="store_true", help="exit 1 if a figure is outside its floor"
    )
    parser.add_argument(
        "--seeds", type=int, help=f"simulations ({SEEDS}; with --quick {FEW_SEEDS})"
    )
    parser.add_argument(
        "--data",
        type=Path,
        nargs="*",
        help="labelled NDJSON files (default: those in ../shared/data, if it exists)",
    )
    parser.add_argument(
        "--train-share",
        type=float,
        nargs="+",
        default=TRAIN_SHARES,
        help="shares of a file to train on, each measured separately (default 0.4 0.6)",
    )
    parser.add_argument(
        "--out", type=Path, help="folder of quality.md, .json, .png (docs; with --quick none)"
    )
    parser.add_argument(
        "--page", action="store_true", help="measure nothing; write the page from quality.json"
    )
    parser.add_argument("--processes", type=int, default=2, help="how many at once (default 2)")
    return parser


def _shown(given: Sequence[str]) -> str:
    """The command for the page, with the names of files instead of their paths."""
    return " ".join(["scripts/quality", *(Path(argument).name for argument in given)])


def _out(options: argparse.Namespace) -> Path | None:
    """Where to write; a quick run writes nothing unless it is told where."""
    if options.out is not None or options.quick:
        return Path(options.out) if options.out is not None else None
    return DOCS


def made_with(plan: Plan, command: str) -> dict[str, Any]:
    """Date, machine, versions and seeds of a measurement."""
    seeds = sorted({source.scenario.seed for source in plan.compared if source.scenario})
    return {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {
            "api_anomaly": api_anomaly.__version__,
            "features": SCHEMA,
            "python": platform.python_version(),
            **{name: version(name) for name in LIBRARIES},
        },
        "seeds": seeds,
        "samples": plan.replicates,
    }


def publish(figures: Figures, out: Path | None) -> None:
    """Print the page, and write page, figures and pictures into the folder `out`."""
    page = write_page(figures)
    print(page)
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / "quality.md").write_text(page, encoding="utf-8")
    write_figures(figures, out / "quality.json")
    draw(figures.tables, out / "quality.png")
    if found := comparisons(figures.tables):
        draw_comparisons(found, out / "false-positives.png")


def check(tables: Tables) -> int:
    """1 if a figure is outside its floor, which is printed; else 0."""
    broken = [one for one in outcomes(tables) if one.broken]
    for one in broken:
        low, high = one.goal.floor
        print(
            f"quality: {one.goal.text}: {one.figure:.3f} is not within {low:g} to {high:g}",
            file=sys.stderr,
        )
    return 1 if broken else 0
