"""An access log -> logs with their line numbers.

Lines that cannot be parsed are counted; they are an error only where they are most of the input.
"""

import io
import re
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any, NamedTuple

from api_anomaly.client.source import Record, Source, SourceError, read_array, read_lines
from api_anomaly.client.source import read_sample
from api_anomaly.logs.formats.format import Label, Log, ParsedLog, ParseError
from api_anomaly.logs.formats.json_lines import parse_record
from api_anomaly.logs.formats.registry import FORMATS, detect_format

MAX_BAD_LINES_SHOWN = 5
SAMPLE_LINES = 20
# From this many lines on, an input of mostly bad lines is given up without reading the rest.
_GIVE_UP_LINES = 1_000
_JSON_ARRAY = re.compile(r'\s*(?:\[\s*[{\]]|\{\s*"logs"\s*:\s*\[)')


class InputFormat(NamedTuple):
    """How the input is split into records, and how a record becomes a log."""

    title: str
    split: Callable[[io.BufferedReader], Iterator[Record]]
    parse: Callable[[Any], ParsedLog | None]


#: Every log format of one log a line, and the JSON array.
INPUT_FORMATS = {
    **{name: InputFormat(row.title, read_lines, row.parse) for name, row in FORMATS.items()},
    "json": InputFormat("JSON array of logs", read_array, parse_record),
}


class Entry(NamedTuple):
    """One log, its line number, and its label where the file has labels."""

    number: int
    log: Log
    label: Label | None


class BadLine(NamedTuple):
    """A line that did not become a log."""

    number: int
    reason: str


class Reader:
    """Reads one source. `read` and `bad` count its lines so far; `bad_lines` has the first few."""

    def __init__(self, source: Source, format_name: str, limit: int | None) -> None:
        self._source = source
        self._limit = limit
        self.format = format_name
        self.read = 0
        self.bad = 0
        self.bad_lines: list[BadLine] = []

    def entries(self) -> Iterator[Entry]:
        """The logs in file order. Raises SourceError when more than half of the lines are bad."""
        _, split, parse = INPUT_FORMATS[self.format]
        with self._source.open() as stream:
            for record in islice(split(stream), self._limit):
                self.read += 1
                try:
                    parsed = parse(record.value)
                except ParseError as error:
                    self._add_bad_line(BadLine(record.number, str(error)))
                    continue
                if parsed is not None:
                    yield Entry(record.number, parsed.log, parsed.label)
        self._check_share_of_bad_lines()

    def count_records(self) -> int:
        """The number of lines that are not blank, or of array items; at most the limit."""
        with self._source.open() as stream:
            return sum(1 for _ in islice(INPUT_FORMATS[self.format].split(stream), self._limit))

    def _add_bad_line(self, line: BadLine) -> None:
        self.bad += 1
        if len(self.bad_lines) < MAX_BAD_LINES_SHOWN:
            self.bad_lines.append(line)
        if self.read >= _GIVE_UP_LINES:
            self._check_share_of_bad_lines()

    def _check_share_of_bad_lines(self) -> None:
        if self.bad * 2 <= self.read:
            return
        examples = "; ".join(f"line {line.number}: {line.reason}" for line in self.bad_lines)
        raise SourceError(
            f"{self.bad:,} of the first {self.read:,} lines are not in the format"
            f" {self.format!r}. {examples}"
        )


def detect_input_format(source: Source) -> str:
    """The name of the format of a source, from its first lines. Raises SourceError."""
    with source.open() as stream:
        sample = read_sample(stream)
    if _JSON_ARRAY.match(sample):
        return "json"
    lines = [line for line in sample.splitlines() if line.strip()]
    # The last line may be cut by the end of the sample.
    lines = lines[: max(1, min(len(lines) - 1, SAMPLE_LINES))]
    if not lines:
        raise SourceError("the input is empty")
    found = detect_format(lines)
    if found is None:
        raise SourceError(
            f"none of the known formats fits the first {len(lines)} lines;"
            f" name it with --format ({', '.join(INPUT_FORMATS)}). First line: {lines[0][:120]!r}"
        )
    return found.name
