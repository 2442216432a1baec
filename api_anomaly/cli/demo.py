"""`api-anomaly demo`: start a service, train it, detect, and print what it found."""

import argparse
import os
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from api_anomaly.cli.command import DEFAULT_TIMEOUT_SECONDS, Command, CommandError, connect
from api_anomaly.cli.command import open_consoles

if TYPE_CHECKING:
    from api_anomaly.cli.temporary_service import TemporaryService

#: Of the simulated lines: the three days before the attacks.
SIMULATION_TRAIN_SHARE = 0.73
_ADVICE = """
The service runs on with this model. Ctrl-C stops it and removes everything.

  address        {url}        (interactive documentation: {url}/docs)
  token          {token}
  try            curl -H 'Authorization: Bearer {token}' {url}/status
  another log    api-anomaly replay LOGFILE --no-train --url {url} --token '{token}'
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "logfile",
        metavar="LOGFILE",
        nargs="?",
        help="an access log, plain or gzip; - is standard input. Its earlier half trains the"
        " model, its later half is examined",
    )
    parser.add_argument(
        "--once",
        action="store_true",
        help="stop after the report; otherwise the service runs on until Ctrl-C",
    )


def run(options: argparse.Namespace) -> int:
    from api_anomaly.cli.temporary_service import run_temporary_service

    _check_logfile(options.logfile)
    # As Ctrl-C does, a SIGTERM must stop the service and remove its folder.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    _print("Starting the service ...")
    with run_temporary_service() as service:
        _print(f"The service answers at {service.url}.")
        _replay(options.logfile, service)
        if not options.once:
            _print(_ADVICE.format(url=service.url, token=service.token))
            service.wait()
    return 0


def _check_logfile(logfile: str | None) -> None:
    if logfile is None or logfile == "-":
        return
    if not Path(logfile).is_file():
        raise CommandError(f"there is no file {logfile}")
    if not os.access(logfile, os.R_OK):
        raise CommandError(f"{logfile} cannot be read")


def _replay(logfile: str | None, service: "TemporaryService") -> None:
    from api_anomaly.client.replay import ReplayOptions, replay

    if logfile is None:
        _print(
            "No log file given: simulating three days of an API, then one with six planted"
            " attacks ..."
        )
        simulated = service.folder / "day.ndjson"
        _simulate_day(simulated)
        replay_options = ReplayOptions(str(simulated), train_share=SIMULATION_TRAIN_SHARE)
    else:
        replay_options = ReplayOptions(logfile)
    with connect(service.url, service.token, DEFAULT_TIMEOUT_SECONDS) as client:
        replay(replay_options, client, open_consoles())


def _simulate_day(path: Path) -> None:
    from api_anomaly.simulator.scenario import preset
    from api_anomaly.simulator.simulation import simulate
    from api_anomaly.simulator.writer import write_logs

    write_logs(simulate(preset("day", seed=1), lambda _: None), path, True)


def _print(text: str) -> None:
    print(text, flush=True)


COMMAND = Command(
    name="demo",
    summary="see the service at work, on simulated logs or on yours",
    manual="""\
Start a service in a temporary folder, train it on the earlier part of an access log, detect on the
later part, and print the anomalies and their reasons. Without a log file: three simulated days of
an API, then one with six planted attacks; the report says which of them were found.

The alert budget is 1 benign request in 100, ten times the default of the service, so that a short
log shows something; ALERT_BUDGET in the environment changes it. The folder is removed at the end;
./models is not touched.

examples:
  api-anomaly demo --once
  api-anomaly demo access.log
  ALERT_BUDGET=0.001 api-anomaly demo access.log.gz --once""",
    add_arguments=add_arguments,
    run=run,
)
