"""`api-anomaly settings`: list the settings of the service."""

import argparse

from api_anomaly.cli.command import Command


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments."""


def run(_options: argparse.Namespace) -> int:
    from api_anomaly.settings import table

    print(table())
    return 0


COMMAND = Command(
    name="settings",
    summary="list the settings of the service",
    manual="""\
Print every setting of the service as a Markdown table: the environment variable, its default,
its meaning and unit.

examples:
  api-anomaly settings
  api-anomaly settings | grep TOKEN""",
    add_arguments=add_arguments,
    run=run,
)
