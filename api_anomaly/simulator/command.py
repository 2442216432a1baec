"""The arguments of `api-anomaly simulate`, and its work."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from time import perf_counter
from typing import Any

from api_anomaly.simulator.scenario import PRESETS, Scenario, preset

#: Options that change a field of the scenario: name, type, meaning.
CHANGES: tuple[tuple[str, type, str], ...] = (
    ("seed", int, "equal seeds give equal logs (default 0)"),
    ("users", int, "people with an account at the start, at least 20"),
    ("days", int, "length of the simulation; the share of training days stays"),
    ("training-days", int, "length of the training part"),
    ("start", str, "start time, ISO 8601 (naive = UTC)"),
    ("attackers", int, "actors of each attack family in the test part"),
    ("contamination", float, "attackers in the training part, as a share of --attackers"),
)


def describe_presets() -> str:
    """One line for each preset."""
    return "\n".join(f"  {name:<12}{meaning}" for name, (meaning, _) in PRESETS.items())


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--preset", choices=list(PRESETS), default="day", help="default: day")
    parser.add_argument("--out", type=Path, required=True, help="NDJSON file, or .ndjson.gz")
    parser.add_argument(
        "--labels",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="write label, attack, actor, role and case beside the ten fields (default: yes)",
    )
    for name, kind, meaning in CHANGES:
        parser.add_argument(f"--{name}", type=kind, help=meaning)


def run(options: argparse.Namespace) -> int:
    """Simulate, write, and print what was written. Returns 1 after an error, which is printed."""
    try:
        scenario = _scenario(options)
    except ValueError as error:
        print(f"simulate: {error}", file=sys.stderr)
        return 1
    return _simulate(scenario, options.out, options.labels)


def _scenario(options: argparse.Namespace) -> Scenario:
    """The preset with the given changes; ValueError for a value out of range."""
    fields = [name.replace("-", "_") for name, _, _ in CHANGES]
    given = {name: getattr(options, name) for name in fields}
    changes: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    return preset(options.preset, **changes)


def _simulate(scenario: Scenario, out: Path, labels: bool) -> int:
    # Not at the top: --help must work without numpy.
    from api_anomaly.simulator.simulation import simulate
    from api_anomaly.simulator.writer import summary, write_logs

    started = perf_counter()

    def report(step: str) -> None:
        print(f"{perf_counter() - started:6.1f} s  {step}", file=sys.stderr)

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
