"""An access log -> logs with their line numbers.

Lines that cannot be parsed are counted; they are an error only where they are most of the input.
"""

import json
import re
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from api_anomaly.client.input_formats import INPUT_FORMATS
from api_anomaly.client.label import Label, label_of
from api_anomaly.client.source import Record, Source, SourceError, read_sample
from api_anomaly.logs.formats.format import Event, FormatAmbiguous, FormatUnknown, ReadOptions
from api_anomaly.logs.formats.read import ReadResult, StreamReader
from api_anomaly.logs.formats.registry import ANY_JSON, TEXT_FORMATS
from api_anomaly.logs.records import LogFields

MAX_BAD_LINES_SHOWN = 5
SAMPLE_LINES = 20
# From this many lines on, an input of mostly bad lines is given up without reading the rest.
_GIVE_UP_LINES = 1_000
# Lines that are read at once.
_CHUNK = 1_000
_TEXT_NAMES = frozenset(row.name for row in TEXT_FORMATS)
_JSON_ARRAY = re.compile(r'\s*(?:\[\s*[{\]]|\{\s*"logs"\s*:\s*\[)')


class Entry(NamedTuple):
    """One log, its line number, and its label where the file has labels."""

    number: int
    log: LogFields
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
        _, split, name = INPUT_FORMATS[self.format]
        reader = StreamReader(ReadOptions(name), max_errors=sys.maxsize)
        with self._source.open() as stream:
            records = islice(split(stream), self._limit)
            while chunk := list(islice(records, _CHUNK)):
                yield from self._entries(chunk, reader.read_events(map(_event, chunk)))
        self._check_share_of_bad_lines()

    def _entries(self, chunk: list[Record], result: ReadResult) -> Iterator[Entry]:
        reasons = {error.line: error.reason for error in result.errors}
        logs: dict[int, list[LogFields]] = defaultdict(list)
        for position, log in zip(result.records.position, result.records.as_dicts(), strict=True):
            logs[position].append(log)
        for record in chunk:
            self.read += 1
            if record.number in reasons:
                self._add_bad_line(BadLine(record.number, reasons[record.number]))
            for log in logs.get(record.number, ()):
                yield Entry(record.number, log, label_of(record.value))

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


def _event(record: Record) -> Event:
    value = record.value
    return Event(record.number, value if isinstance(value, (str, dict)) else json.dumps(value))


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
    try:
        result = StreamReader(ReadOptions()).read_events(map(Event, range(len(lines)), lines))
    except FormatAmbiguous as error:
        raise SourceError(f"{error} (--format NAME)") from error
    except FormatUnknown:
        result = None
    if result is None or result.rejected * 2 >= len(lines):
        raise SourceError(
            f"none of the known formats fits the first {len(lines)} lines;"
            f" name it with --format ({', '.join(INPUT_FORMATS)}). First line: {lines[0][:120]!r}"
        )
    names = result.format.split(", ")
    return ANY_JSON if len(names) > 1 and names[0] not in _TEXT_NAMES else names[0]
