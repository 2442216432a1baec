#!/usr/bin/env python3
"""Smoke test of a running deployment.

    scripts/test_pipeline.py --url URL [--token TOKEN] [--train] [--report FILE]

Without --train it changes no model. Exit codes: 0 nothing failed, 1 something failed, 2 misused.
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

    from api_anomaly.client.cli import URL, consoles, token_of_environment
    from api_anomaly.client.service import ServiceFailed, connection
    from api_anomaly.client.smoke import Deployment, Result, results
    from api_anomaly.client.report import safe
except ModuleNotFoundError as missing:
    # Called with the system's Python: the project's own has the packages.
    if not PYTHON.exists() or Path(sys.prefix) == PYTHON.parent.parent:
        sys.exit(f"test_pipeline: {missing}; run scripts/setup first")
    os.execv(PYTHON, [str(PYTHON), *sys.argv])

_STYLES = {"passed": "green", "failed": "bold red", "skipped": "yellow"}


def main() -> int:
    """Run every check against the deployment and print how it went."""
    options = parser().parse_args()
    token = options.token or token_of_environment()
    console, _ = consoles()
    try:
        with (
            connection(options.url, token, options.timeout) as with_token,
            connection(options.url, None, options.timeout) as without_token,
        ):
            rows = list(results(Deployment(with_token, without_token, options.train)))
    except ServiceFailed as failure:
        print(f"test_pipeline: {failure}", file=sys.stderr)
        return 1
    failed = sum(row.result == "failed" for row in rows)
    console.print(as_table(options.url, rows))
    console.print("passed" if not failed else f"{failed} of {len(rows)} checks failed")
    if options.report:
        options.report.write_text(as_json(options.url, rows), encoding="utf-8")
    return 1 if failed else 0


def parser() -> argparse.ArgumentParser:
    """All arguments of the command."""
    words = argparse.ArgumentParser(prog="test_pipeline.py", description="Smoke test a deployment.")
    words.add_argument("--url", default=URL, help="the service (default %(default)s)")
    words.add_argument("--token", help="the bearer token (default: the environment's AUTH_TOKEN)")
    words.add_argument("--train", action="store_true", help="also train: REPLACES the served model")
    words.add_argument("--report", type=Path, metavar="FILE", help="also write the results as JSON")
    words.add_argument("--timeout", type=float, default=120.0, help="seconds for one answer")
    return words


def as_table(url: str, rows: list[Result]) -> Table:
    """The results for people."""
    table = Table("check", "result", "seconds", "what was seen", title=url, title_justify="left")
    for row in rows:
        result = f"[{_STYLES[row.result]}]{row.result}[/]"
        table.add_row(row.name, result, f"{row.seconds:.3f}", safe(row.words, 300))
    return table


def as_json(url: str, rows: list[Result]) -> str:
    """The results for programs."""
    passed = all(row.result != "failed" for row in rows)
    checks = [row._asdict() for row in rows]
    return json.dumps({"url": url, "passed": passed, "checks": checks}, indent=2) + "\n"


if __name__ == "__main__":
    sys.exit(main())
