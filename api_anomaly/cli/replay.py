"""`api-anomaly replay`: train on the earlier part of a log file, send the rest, report."""

import argparse
from pathlib import Path

from api_anomaly.cli.command import (
    Command,
    add_log_arguments,
    add_service_arguments,
    connect,
    open_consoles,
    positive_int,
    read_options,
    share,
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_log_arguments(parser)
    add_service_arguments(parser)
    parser.add_argument(
        "--train-share",
        type=share,
        default=0.5,
        help="share of the lines to train on (default %(default)g)",
    )
    parser.add_argument(
        "--no-train", action="store_true", help="send all lines to the served model"
    )
    parser.add_argument(
        "--batch",
        type=positive_int,
        default=1000,
        metavar="LINES",
        help="lines in one request (default %(default)s)",
    )
    parser.add_argument(
        "--top",
        type=positive_int,
        default=10,
        metavar="ROWS",
        help="rows in each table (default %(default)s)",
    )
    parser.add_argument(
        "--json", type=Path, metavar="REPORT", help="also write the report to a JSON file"
    )


def run(options: argparse.Namespace) -> int:
    from api_anomaly.client.replay import ReplayOptions, replay

    replay_options = ReplayOptions(
        logfile=options.logfile,
        read=read_options(options),
        train_share=None if options.no_train else options.train_share,
        batch=options.batch,
        limit=options.limit,
        top=options.top,
        json_report=options.json,
    )
    with connect(options.url, options.token, options.timeout) as service:
        replay(replay_options, service, open_consoles())
    return 0


COMMAND = Command(
    name="replay",
    summary="train on the earlier part of a log file, send the rest, report",
    manual="""\
Replay an access log against a running service: train on the earlier part (the new model replaces
the served one), send the lines of the rest as they are, and print the anomalies by user, the most
anomalous logs with their reasons, and the totals. Where the file has labels, also how many attacks
were found. The service keeps the logs that are sent.

examples:
  api-anomaly replay access.log --token my-token
  api-anomaly replay access.log.gz --no-train --json report.json
  kubectl logs deploy/nginx | api-anomaly replay - --train-share 0.8
  api-anomaly replay access.log --log-format '$remote_addr [$time_local] "$request" $status'""",
    add_arguments=add_arguments,
    run=run,
)
