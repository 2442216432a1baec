"""`api-anomaly serve`: start the service."""

import argparse

from api_anomaly.cli.command import Command, CommandError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """No arguments: the environment has the settings."""


def run(_options: argparse.Namespace) -> int:
    from api_anomaly.http.app import create_app
    from api_anomaly.http.server import serve
    from api_anomaly.settings import Settings, SettingsError

    try:
        settings = Settings()
    except SettingsError as error:
        raise CommandError(str(error)) from None
    serve(create_app(settings), settings)
    return 0


COMMAND = Command(
    name="serve",
    summary="start the service",
    manual="""\
Start the service and run it until Ctrl-C or SIGTERM. Environment variables set it up;
`api-anomaly settings` lists them. Models go to ./models and its log to ./logs unless they say
otherwise. The first start compiles the numeric kernels, which takes about a minute.

examples:
  api-anomaly serve
  AUTH_TOKEN=my-token PORT=9000 api-anomaly serve""",
    add_arguments=add_arguments,
    run=run,
)
