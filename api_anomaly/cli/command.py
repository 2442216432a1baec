"""What a sub-command is, and the arguments that several of them share."""

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import ip_network
from typing import TYPE_CHECKING, NamedTuple
from zoneinfo import ZoneInfo

if TYPE_CHECKING:
    from api_anomaly.client.replay import Consoles
    from api_anomaly.client.service import Service
    from api_anomaly.logs.formats.format import ReadOptions

DEFAULT_URL = "http://127.0.0.1:8000"
DEFAULT_TIMEOUT_SECONDS = 900.0  # a training on a large file takes minutes
_WIDTH_WITHOUT_TERMINAL = 132


class Command(NamedTuple):
    """One sub-command. `run` returns the exit code."""

    name: str
    summary: str  # one line, for the list of commands
    manual: str  # what it does, and examples
    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


class CommandError(Exception):
    """A command cannot go on; the text is the reason. Exit code 1."""


def add_service_arguments(parser: argparse.ArgumentParser) -> None:
    """`--url`, `--token` and `--timeout`."""
    parser.add_argument("--url", default=DEFAULT_URL, help="the service (default %(default)s)")
    parser.add_argument("--token", help="the bearer token (default: AUTH_TOKEN of the environment)")
    parser.add_argument(
        "--timeout",
        type=float,
        default=DEFAULT_TIMEOUT_SECONDS,
        metavar="SECONDS",
        help="longest wait for one answer (default %(default)g)",
    )


def add_log_arguments(parser: argparse.ArgumentParser) -> None:
    """`LOGFILE`, how it is read, and `--limit`."""
    parser.add_argument("logfile", metavar="LOGFILE", help="plain or gzip; - is standard input")
    parser.add_argument(
        "--format",
        default="auto",
        metavar="NAME",
        help="a name of GET /formats; auto = recognize it (default)",
    )
    parser.add_argument(
        "--log-format",
        metavar="DIRECTIVE",
        help="the server's own: nginx log_format, Apache LogFormat, Envoy, or the columns of W3C",
    )
    parser.add_argument(
        "--trusted-proxies",
        default=os.environ.get("LOG_TRUSTED_PROXIES", ""),
        metavar="NETWORKS",
        help="LOG_TRUSTED_PROXIES of the service, for the logs that train (default: the"
        " environment's)",
    )
    parser.add_argument(
        "--time-zone",
        default=os.environ.get("LOG_TIME_ZONE", "UTC"),
        metavar="ZONE",
        help="LOG_TIME_ZONE of the service, for the logs that train (default: the environment's,"
        " else UTC)",
    )
    parser.add_argument(
        "--limit", type=positive_int, metavar="LINES", help="use only the first lines"
    )


def read_options(options: argparse.Namespace) -> "ReadOptions":
    """How to read the log file. Raises CommandError."""
    from api_anomaly.logs.formats.format import ReadOptions

    networks = filter(None, map(str.strip, options.trusted_proxies.split(",")))
    try:
        trusted = tuple(ip_network(network) for network in networks)
        zone = ZoneInfo(options.time_zone)
    except (ValueError, OSError, KeyError) as error:
        raise CommandError(f"--trusted-proxies or --time-zone: {error}") from error
    return ReadOptions(options.format, options.log_format, trusted, zone)


@contextmanager
def connect(url: str, token: str | None, timeout: float) -> "Iterator[Service]":
    """A client of the service; without a token it takes the one in the environment.

    Errors of the client become CommandError.
    """
    from api_anomaly.client.service import Service, ServiceError
    from api_anomaly.client.source import SourceError

    try:
        service = Service(url, token or environment_token(), timeout)
        try:
            yield service
        finally:
            service.close()
    except (SourceError, ServiceError) as error:
        raise CommandError(str(error)) from error


def open_consoles() -> "Consoles":
    """Standard output for results, standard error for progress."""
    from rich.console import Console

    from api_anomaly.client.replay import Consoles

    width = None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL
    return Consoles(
        output=Console(width=width, highlight=False),
        progress=Console(stderr=True, highlight=False, soft_wrap=True),
    )


def environment_token() -> str | None:
    """The first of the tokens in AUTH_TOKEN; the service accepts each of them."""
    return os.environ.get("AUTH_TOKEN", "").split(",")[0].strip() or None


def share(text: str) -> float:
    """An argument between 0 and 1, exclusive."""
    value = float(text)
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError("must lie between 0 and 1")
    return value


def positive_int(text: str) -> int:
    """An argument of at least 1."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
