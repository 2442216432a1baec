"""``scripts/hard``: one command for each way to try to break the service."""

import argparse

from benchmarks.robustness import fuzz, kills, overload, soak


def main() -> int:
    """Run what was asked for and print what came of it."""
    parser = argparse.ArgumentParser(prog="hard", description=__doc__)
    ways = parser.add_subparsers(required=True, metavar="WAY")
    for way in (overload, kills, fuzz, soak):
        name = way.__name__.rpartition(".")[2]
        words = ways.add_parser(
            name, help=(way.__doc__ or "").split("\n")[0], description=way.__doc__
        )
        way.add_arguments(words)
        words.set_defaults(run=way.run)
    options = parser.parse_args()
    return int(options.run(options))
