"""A source in a format -> logs with their line numbers.

Bad lines are counted, not fatal, unless they are most of the input.
"""

from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from api_anomaly.logs.formats.fields import BadLine, Log, Truth
from api_anomaly.logs.formats.registry import FORMATS, guess
from api_anomaly.client.source import Source, SourceRefused

SHOWN_BAD_LINES = 5
# From this many lines on, an input of mostly bad lines is given up without reading its rest.
_JUDGED_FROM = 1_000


class Entry(NamedTuple):
    """One log, where it stood, and what the file knows about it."""

    number: int
    log: Log
    truth: Truth | None


class ParseError(NamedTuple):
    """A line that did not become a log."""

    number: int
    reason: str


class Reader:
    """Reads one source to its end. `read`, `bad` and `complaints` tell how it went so far."""

    def __init__(self, source: Source, name: str, limit: int | None) -> None:
        self._source = source
        self._limit = limit
        self.format = name
        self.read = 0
        self.bad = 0
        self.complaints: list[ParseError] = []

    def entries(self) -> Iterator[Entry]:
        """The logs in file order. `SourceRefused` when more than half of the lines are bad."""
        form = FORMATS[self.format]
        with self._source.opened() as stream:
            for unit in islice(form.units(stream), self._limit):
                self.read += 1
                try:
                    parsed = form.parse(unit.value)
                except BadLine as reason:
                    self._complain(ParseError(unit.number, str(reason)))
                    continue
                yield Entry(unit.number, parsed.log, parsed.truth)
        self._judge()

    def _complain(self, complaint: ParseError) -> None:
        self.bad += 1
        if len(self.complaints) < SHOWN_BAD_LINES:
            self.complaints.append(complaint)
        if self.read >= _JUDGED_FROM:
            self._judge()

    def _judge(self) -> None:
        if self.bad * 2 <= self.read:
            return
        examples = "; ".join(f"line {line.number}: {line.reason}" for line in self.complaints)
        raise SourceRefused(
            f"{self.bad:,} of the first {self.read:,} lines are not in the format"
            f" {self.format!r}. {examples}"
        )


def guessed(source: Source) -> str:
    """The format that the source seems to be in."""
    with source.opened() as stream:
        return guess(stream)


def counted(source: Source, name: str, limit: int | None) -> int:
    """The number of units (lines that are not blank, or array items), at most `limit`."""
    with source.opened() as stream:
        return sum(1 for _ in islice(FORMATS[name].units(stream), limit))
