"""The command line of the simulator: `scripts/simulate --help`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from time import perf_counter
from typing import Any

from api_anomaly.simulator.scenario import PRESETS, Scenario, preset

# Options that change a field of the scenario: name, type, meaning.
CHANGES: tuple[tuple[str, type, str], ...] = (
    ("seed", int, "equal seeds give equal logs (default 0)"),
    ("users", int, "people with an account at the start, at least 20"),
    ("days", int, "length of the whole; the share of training days stays"),
    ("training-days", int, "length of the training part"),
    ("start", str, "first moment, ISO 8601 (naive = UTC)"),
    ("attackers", int, "actors of each attack family in the test part"),
    ("contamination", float, "attackers in the training part, as a share of --attackers"),
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Simulate, write, and print what was written. 0 = written; 1 = not, and why on stderr."""
    options = _parser().parse_args(arguments)
    try:
        scenario = _scenario(options)
    except ValueError as error:
        print(f"simulate: {error}", file=sys.stderr)
        return 1
    return _run(scenario, options.out, options.labels)


def _parser() -> argparse.ArgumentParser:
    presets = "\n".join(f"  {name:<12}{meaning}" for name, (meaning, _) in PRESETS.items())
    parser = argparse.ArgumentParser(
        prog="simulate",
        description="Simulated traffic of a REST API, with labels by actor.",
        epilog=f"presets:\n{presets}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--preset", choices=list(PRESETS), default="day")
    parser.add_argument("--out", type=Path, required=True, help="NDJSON file, or .ndjson.gz")
    parser.add_argument(
        "--labels",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write label, attack, actor, role and case beside the ten fields (default: yes)",
    )
    for name, kind, meaning in CHANGES:
        parser.add_argument(f"--{name}", type=kind, help=meaning)
    return parser


def _scenario(options: argparse.Namespace) -> Scenario:
    """The preset with the given changes; ValueError for a value out of range."""
    fields = [name.replace("-", "_") for name, _, _ in CHANGES]
    given = {name: getattr(options, name) for name in fields}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return preset(options.preset, **changes)


def _run(scenario: Scenario, out: Path, labels: bool) -> int:
    # Not at the top: --help has to work where numpy is not installed yet.
    from api_anomaly.simulator.simulation import simulate
    from api_anomaly.simulator.writer import summary, write_logs

    begin = perf_counter()

    def report(what: str) -> None:
        print(f"{perf_counter() - begin:6.1f} s  {what}", file=sys.stderr)

    traffic = simulate(scenario, report)
    report(f"writing {len(traffic):,} logs")
    try:
        size = write_logs(traffic, out, labels)
    except OSError as error:
        print(f"simulate: cannot write {out}: {error.strerror}", file=sys.stderr)
        return 1
    report("done")
    print(summary(traffic))
    with_labels = "with labels" if labels else "without labels"
    print(f"\nwrote {len(traffic):,} logs {with_labels} to {out} ({size:,} bytes)")
    return 0
