"""`api-anomaly train`: train a running service on a log file."""

import argparse

from api_anomaly.cli.command import (
    Command,
    add_log_arguments,
    add_service_arguments,
    connect,
    open_consoles,
    read_options,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_log_arguments(parser)
    add_service_arguments(parser)


def run(options: argparse.Namespace) -> int:
    from api_anomaly.client.replay import train_on_file

    with connect(options.url, options.token, options.timeout) as service:
        train_on_file(
            options.logfile, read_options(options), options.limit, service, open_consoles()
        )
    return 0


COMMAND = Command(
    name="train",
    summary="train a running service on a log file",
    manual="""\
Send all logs of a file to a running service as its training history. The new model replaces the
served one. Where the service accepts fewer logs than the file has, the most recent are used.

examples:
  api-anomaly train access.log.gz --token my-token
  zcat access.log.*.gz | api-anomaly train - --url https://anomaly.example.com""",
    add_arguments=add_arguments,
    run=run,
)
