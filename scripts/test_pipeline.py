#!/usr/bin/env python3
"""Smoke test of a running deployment.

    scripts/test_pipeline.py --url URL [--token TOKEN] [--train] [--report FILE]

Without --train it changes no model.
Exit codes: 0 nothing failed, 1 something failed, 2 wrong arguments.
"""

import argparse
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PYTHON = ROOT / ".venv" / "bin" / "python"
sys.path.insert(0, str(ROOT))

try:
    from rich.table import Table

    from api_anomaly.cli.command import DEFAULT_URL, environment_token, open_consoles
    from api_anomaly.client.report import printable
    from api_anomaly.client.service import ServiceError, open_connection
    from api_anomaly.client.smoke import Deployment, Result, run_checks
except ModuleNotFoundError as missing:
    # Called with the system's Python: the packages are in .venv.
    if not PYTHON.exists() or Path(sys.prefix) == PYTHON.parent.parent:
        sys.exit(f"test_pipeline: {missing}; run scripts/setup first")
    os.execv(PYTHON, [str(PYTHON), *sys.argv])

_STYLES = {"passed": "green", "failed": "bold red", "skipped": "yellow"}


def main() -> int:
    """Run every check against the deployment and print the results."""
    options = build_parser().parse_args()
    token = options.token or environment_token()
    console = open_consoles().output
    try:
        with (
            open_connection(options.url, token, options.timeout) as with_token,
            open_connection(options.url, None, options.timeout) as without_token,
        ):
            rows = list(run_checks(Deployment(with_token, without_token, options.train)))
    except ServiceError as failure:
        print(f"test_pipeline: {failure}", file=sys.stderr)
        return 1
    failed = sum(row.result == "failed" for row in rows)
    console.print(build_table(options.url, rows))
    console.print("passed" if not failed else f"{failed} of {len(rows)} checks failed")
    if options.report:
        options.report.write_text(build_json_report(options.url, rows), encoding="utf-8")
    return 1 if failed else 0


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="test_pipeline.py", description="Smoke test a deployment."
    )
    parser.add_argument("--url", default=DEFAULT_URL, help="the service (default %(default)s)")
    parser.add_argument("--token", help="the bearer token (default: AUTH_TOKEN of the environment)")
    parser.add_argument(
        "--train", action="store_true", help="also train: REPLACES the served model"
    )
    parser.add_argument(
        "--report", type=Path, metavar="FILE", help="also write the results as JSON"
    )
    parser.add_argument("--timeout", type=float, default=120.0, help="seconds for one answer")
    return parser


def build_table(url: str, rows: list[Result]) -> Table:
    table = Table("check", "result", "seconds", "detail", title=url, title_justify="left")
    for row in rows:
        result = f"[{_STYLES[row.result]}]{row.result}[/]"
        table.add_row(row.name, result, f"{row.seconds:.3f}", printable(row.detail, 300))
    return table


def build_json_report(url: str, rows: list[Result]) -> str:
    passed = all(row.result != "failed" for row in rows)
    checks = [row._asdict() for row in rows]
    return json.dumps({"url": url, "passed": passed, "checks": checks}, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
