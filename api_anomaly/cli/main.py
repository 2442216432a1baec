"""The command line: the table of sub-commands, and the errors and exit codes that they share."""

import argparse
import os
import sys
from collections.abc import Sequence

from api_anomaly import __version__
from api_anomaly.cli import demo, replay, serve, settings, simulate, status, train
from api_anomaly.cli.command import CommandError

COMMANDS = (
    serve.COMMAND,
    demo.COMMAND,
    replay.COMMAND,
    simulate.COMMAND,
    train.COMMAND,
    status.COMMAND,
    settings.COMMAND,
)
EXIT_FAILED = 1
EXIT_INTERRUPTED = 130

_DESCRIPTION = """\
Learns how the users of an API behave and says which requests are anomalous, and why."""
_EPILOG = """\
start with:
  api-anomaly demo --once          six planted attacks, and which of them are found
  api-anomaly demo access.log      the anomalies in a log of yours

exit codes:
  0 done, 1 failed (the reason is printed), 2 wrong arguments, 130 stopped by Ctrl-C

`api-anomaly COMMAND --help` explains a command and gives examples."""
_EXIT_CODES = """\
exit codes: 0 done, 1 failed (the reason is printed), 2 wrong arguments, 130 stopped by Ctrl-C"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    options = build_parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except CommandError as error:
        print(f"api-anomaly {options.command}: {escape_controls(str(error))}", file=sys.stderr)
        return EXIT_FAILED
    except BrokenPipeError:
        # The reader of the output has ended, as in `api-anomaly settings | head`. Python writes
        # once more at exit, which must not fail.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        print(f"api-anomaly {options.command}: stopped", file=sys.stderr)
        return EXIT_INTERRUPTED


def escape_controls(text: str) -> str:
    """`text` without characters that could steer a terminal: some errors quote lines of a log."""
    return "".join(
        character if character.isprintable() or character == "\n" else "\N{REPLACEMENT CHARACTER}"
        for character in text
    )


def build_parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    parser = argparse.ArgumentParser(
        prog="api-anomaly",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"api-anomaly {__version__}")
    commands = parser.add_subparsers(
        title="commands", dest="command", metavar="COMMAND", required=True
    )
    for command in COMMANDS:
        subparser = commands.add_parser(
            command.name,
            help=command.summary,
            description=command.manual,
            epilog=_EXIT_CODES,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.add_arguments(subparser)
        subparser.set_defaults(run=command.run)
    return parser
