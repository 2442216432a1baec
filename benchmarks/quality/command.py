"""The command line of the proof; ``scripts/quality`` is its door."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter

from benchmarks.quality.datasets import UnreadableData
from benchmarks.quality.goals import outcomes
from benchmarks.quality.picture import draw
from benchmarks.quality.plan import TRAIN_SHARES, Plan, Results, carry_out, plan
from benchmarks.quality.report import as_json, as_markdown, made_on, rounded

#: Labelled logs of real sites, beside the project where somebody put them there.
REAL_LOGS = Path(__file__).resolve().parents[3] / "shared" / "data"
SEEDS, FEW_SEEDS = 10, 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, print, write. 0 = done; 1 = not, or with --check a figure under its floor."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    options = _parser().parse_args(given)
    files = sorted(REAL_LOGS.glob("*.ndjson.gz")) if options.data is None else options.data
    seeds = options.seeds if options.seeds is not None else FEW_SEEDS if options.quick else SEEDS
    begin = perf_counter()

    def tell(what: str) -> None:
        print(f"{perf_counter() - begin:6.1f} s  {what}", file=sys.stderr, flush=True)

    todo = plan(seeds, files, options.train_share, options.quick)
    try:
        results = carry_out(todo, options.processes, tell)
        if not results.groups:
            raise UnreadableData("there is nothing to measure: no seeds and no files")
        _publish(todo, results, _shown(given), _out(options))
    except (OSError, UnreadableData) as error:
        print(f"quality: {error}", file=sys.stderr)
        return 1
    tell("done")
    return checked(results) if options.check else 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="quality", description="Measure detection quality, honestly, beside the alternatives."
    )
    parser.add_argument("--quick", action="store_true", help="small: 2 seeds of a week; for CI")
    parser.add_argument(
        "--check", action="store_true", help="exit 1 when a figure breaks its floor"
    )
    parser.add_argument(
        "--seeds", type=int, help=f"simulations ({SEEDS}; with --quick {FEW_SEEDS})"
    )
    parser.add_argument(
        "--data",
        type=Path,
        nargs="*",
        help="labelled NDJSON files (default: those in ../shared/data, if that is there)",
    )
    parser.add_argument(
        "--train-share",
        type=float,
        nargs="+",
        default=TRAIN_SHARES,
        help="shares of a file to train on, each a measurement of its own (default 0.4 0.6)",
    )
    parser.add_argument(
        "--out", type=Path, help="folder of quality.md, .json, .png (docs; with --quick none)"
    )
    parser.add_argument("--processes", type=int, default=2, help="how many at once (default 2)")
    return parser


def _shown(given: Sequence[str]) -> str:
    """The command for the report: files by their names, wherever they lie."""
    return " ".join(["scripts/quality", *(Path(argument).name for argument in given)])


def _out(options: argparse.Namespace) -> Path | None:
    """Where to write; a quick run leaves the published figures alone."""
    if options.out is not None or options.quick:
        return Path(options.out) if options.out is not None else None
    return Path(__file__).resolve().parents[2] / "docs"


def _publish(todo: Plan, results: Results, command: str, out: Path | None) -> None:
    made = made_on(todo, command)
    report = as_markdown(results, made, "quality.png")
    print(report)
    if out is None:
        return
    out.mkdir(parents=True, exist_ok=True)
    (out / "quality.md").write_text(report, encoding="utf-8")
    figures = json.dumps(rounded(as_json(results, made)), indent=1, allow_nan=False)
    (out / "quality.json").write_text(figures + "\n", encoding="utf-8")
    draw(results, out / "quality.png")


def checked(results: Results) -> int:
    """1 when a figure is out of its floor, which is said; else 0."""
    broken = [one for one in outcomes(results) if one.broken]
    for one in broken:
        low, high = one.goal.floor
        print(
            f"quality: {one.goal.text}: {one.figure:.3f} is not within {low:g} to {high:g}",
            file=sys.stderr,
        )
    return 1 if broken else 0
