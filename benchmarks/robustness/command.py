"""``scripts/hard``: one command for each robustness test of the service."""

import argparse

from benchmarks.robustness import fuzz, ingest_kills, kills, overload, soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="hard", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="TEST")
    for module in (overload, kills, ingest_kills, fuzz, soak):
        name = module.__name__.rpartition(".")[2].replace("_", "-")
        arguments = commands.add_parser(
            name, help=(module.__doc__ or "").split("\n")[0], description=module.__doc__
        )
        module.add_arguments(arguments)
        arguments.set_defaults(run=module.run)
    options = parser.parse_args()
    return int(options.run(options))
