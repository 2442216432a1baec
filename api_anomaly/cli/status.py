"""`api-anomaly status`: show what a running service serves."""

import argparse
import json
from collections.abc import Iterator
from typing import Any

from api_anomaly.cli.command import Command, add_service_arguments, connect, open_consoles


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_service_arguments(parser)
    parser.add_argument("--json", action="store_true", help="print the answer of the service as is")


def run(options: argparse.Namespace) -> int:
    from api_anomaly.client.report import print_pairs

    with connect(options.url, options.token, options.timeout) as service:
        answer = service.get("/status")
    if options.json:
        print(json.dumps(answer.body, indent=2))
    else:
        print_pairs(open_consoles().output, f"Status of {service.url}", list(flatten(answer.body)))
    return 0


def flatten(value: Any, name: str = "") -> Iterator[tuple[str, str]]:
    """(`a.b`, text) of each value in a JSON object. Long lists give their length."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from flatten(inner, f"{name}.{key}" if name else key)
    elif isinstance(value, list):
        short = len(value) <= 5 and not any(isinstance(item, (dict, list)) for item in value)
        yield name, ", ".join(map(str, value)) if short else f"{len(value)} items"
    elif isinstance(value, bool):
        yield name, "yes" if value else "no"
    else:
        yield name, "-" if value is None else str(value)


COMMAND = Command(
    name="status",
    summary="show what a running service serves",
    manual="""\
Show the model that a running service serves, its quality, and what the service has seen since.

examples:
  api-anomaly status --token my-token
  AUTH_TOKEN=my-token api-anomaly status --url https://anomaly.example.com --json""",
    add_arguments=add_arguments,
    run=run,
)
