"""The one entry of the formats: a body or events -> logs, and what was no log.

A line that cannot be read costs no other. The same for the client, which reads files in parts with
one `StreamReader`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

import msgspec

from api_anomaly.logs.formats import access_log
from api_anomaly.logs.formats.auto import MAX_LINE, TextLine, TextReader
from api_anomaly.logs.formats.contract import parse_contract
from api_anomaly.logs.formats.directive import directive_format
from api_anomaly.logs.formats.format import (
    Event,
    FormatAmbiguous,
    FormatUnknown,
    JsonFormat,
    LineError,
    Parse,
    ParseError,
    RawLog,
    ReadOptions,
    Value,
)
from api_anomaly.logs.formats.normalize import normalize
from api_anomaly.logs.formats.registry import ANY_JSON, Candidates, candidates
from api_anomaly.logs.formats.unwrap import decode, events_of_text, joined_parts, unwrap
from api_anomaly.logs.records import Records

__all__ = [
    "Event",
    "FormatAmbiguous",
    "FormatUnknown",
    "LineError",
    "ReadOptions",
    "ReadResult",
    "StreamReader",
    "read_body",
    "read_events",
]

MAX_ERRORS = 20
_LIST_AS_CLIENT = (
    "a list of addresses stands where the client's address is: the first was taken;"
    " with the proxies configured, the one before them is"
)


class ReadResult(NamedTuple):
    """What was read. `errors` has the first lines that are no logs, `skipped` counts lines that are
    none by design, `no_status` the logs whose status the server did not send."""

    records: Records
    rejected: int
    errors: list[LineError]
    skipped: int
    no_status: int
    format: str  # names, comma-separated
    warnings: list[str]


def read_body(body: bytes, options: ReadOptions) -> ReadResult:
    """The logs of a decompressed body in any known form. Raises FormatUnknown, FormatAmbiguous."""
    return StreamReader(options).read_body(body)


def read_events(events: Sequence[Event], options: ReadOptions) -> ReadResult:
    """The logs of events from an opened envelope. Raises FormatUnknown, FormatAmbiguous."""
    return StreamReader(options).read_events(events)


_Plain = Callable[[str], RawLog | None]


class _Batch:
    """What was found in one body."""

    def __init__(self) -> None:
        self.raws: list[RawLog] = []
        self.positions: list[int] = []
        self.errors: list[LineError] = []
        self.names: Counter[str] = Counter()
        self.skipped = 0
        self.has_unknown_text = False

    def add(self, raw: RawLog | None, position: int, time: float | None, name: str) -> None:
        if raw is None:
            self.skipped += 1
            return
        if time is not None and raw.timestamp in (None, "", "-"):
            raw = raw._replace(timestamp=time)
        self.raws.append(raw)
        self.positions.append(position)
        self.names[name] += 1

    def reject(self, position: int, reason: str) -> None:
        self.errors.append(LineError(position, reason))

    def result(self, options: ReadOptions, max_errors: int) -> ReadResult:
        if self.has_unknown_text and not (self.raws or self.skipped):
            raise FormatUnknown(
                "no known format reads any of these lines; GET /formats lists what is read,"
                " and ?log_format= takes the server's own directive"
            )
        raws, positions = _in_order(self.raws, self.positions)
        records, more_errors, no_status = normalize(raws, positions, options)
        errors = sorted([*self.errors, *more_errors])
        names = ", ".join(name for name, _ in self.names.most_common())
        warnings = [_LIST_AS_CLIENT] if _has_list(raws) and not options.trusted_proxies else []
        return ReadResult(
            records, len(errors), errors[:max_errors], self.skipped, no_status, names, warnings
        )


def _has_list(raws: Sequence[RawLog]) -> bool:
    peers = (raw.client for raw in raws)
    return any("," in peer if isinstance(peer, str) else isinstance(peer, list) for peer in peers)


def _in_order(raws: list[RawLog], positions: list[int]) -> tuple[list[RawLog], list[int]]:
    if all(map(int.__le__, positions, positions[1:])):
        return raws, positions
    order = sorted(range(len(raws)), key=positions.__getitem__)
    return [raws[index] for index in order], [positions[index] for index in order]


class StreamReader:
    """Reads the parts of one stream, in order: W3C logs name their columns once."""

    def __init__(self, options: ReadOptions, max_errors: int = MAX_ERRORS) -> None:
        self._options = options
        self._max_errors = max_errors
        self._formats = _formats(options)
        self._text = TextReader(self._formats.text, options)

    def read_body(self, body: bytes) -> ReadResult:
        """The logs of a decompressed body. Raises FormatUnknown, FormatAmbiguous."""
        batch = _Batch()
        text = decode(body)
        lines = text.split("\n")
        only = self._text.only
        left = _read_only(lines, *only, batch) if only else _read_plain(lines, self._plain(), batch)
        if batch.raws or batch.skipped:
            self._read([Event(position, lines[position - 1]) for position in left], batch)
        elif left:
            self._read(events_of_text(text, self._formats.json), batch)
        return batch.result(self._options, self._max_errors)

    def read_events(self, events: Iterable[Event]) -> ReadResult:
        """The logs of events. Raises FormatUnknown, FormatAmbiguous."""
        batch = _Batch()
        self._read(events, batch)
        return batch.result(self._options, self._max_errors)

    def _plain(self) -> tuple[_Plain, _Plain]:
        """The fast ways of lines that start with a brace and of others, as far as allowed."""
        names = {row.name for row in self._formats.text}
        names |= {row.name for row in self._formats.json}
        return (
            parse_contract if ANY_JSON in names else _read_nothing,
            access_log.parse_plain if access_log.COMBINED.name in names else _read_nothing,
        )

    def _read(self, events: Iterable[Event], batch: _Batch) -> None:
        lines: list[TextLine] = []
        for event in joined_parts(events):
            if self._reads_as_it_is(event, batch):
                continue
            empty = True
            for leaf in unwrap(event, self._formats.json):
                empty = False
                if isinstance(leaf.value, str):
                    lines.append(TextLine(event.position, leaf.value, leaf.time))
                else:
                    self._read_record(leaf.value, leaf.format, event.position, leaf.time, batch)
            batch.skipped += empty
        if lines and self._formats.text:
            batch.has_unknown_text = not self._text.read(lines, batch)
        elif lines:
            for line in lines:
                batch.reject(line.position, "no valid JSON object")

    def _reads_as_it_is(self, event: Event, batch: _Batch) -> bool:
        """Reads a line in the one text format asked for, before anything is unwrapped."""
        only = self._text.only
        if only is None or not isinstance(event.value, str):
            return False
        return not _read_only([event.value], *only, batch, event)

    def _read_record(
        self,
        record: dict[str, Value],
        row: JsonFormat | None,
        position: int,
        time: float | None,
        batch: _Batch,
    ) -> None:
        formats = self._formats.json
        row = row or (formats[0] if len(formats) == 1 else None)
        if row is None and self._options.log_format:
            line = Event(position, msgspec.json.encode(record).decode(), time)
            if self._reads_as_it_is(line, batch):
                return
        if row is None:
            batch.reject(position, "a JSON object without a request of a known format")
            return
        try:
            batch.add(row.parse(record), position, time, row.name)
        except ParseError as error:
            batch.reject(position, str(error))


def _formats(options: ReadOptions) -> Candidates:
    if options.log_format:
        return Candidates((directive_format(options.log_format),), ())
    return candidates(options.format, options.named_formats)


def _read_nothing(_line: str) -> None:
    """The fast way of a format that is not asked for."""


def _read_plain(lines: Sequence[str], plain: tuple[_Plain, _Plain], batch: _Batch) -> list[int]:
    """Read lines that need neither unwrapping nor guessing; returns the numbers of the others."""
    of_object, of_text = plain
    left: list[int] = []
    for position, line in enumerate(lines, start=1):
        raw = of_object(line) if line[:1] == "{" else of_text(line)
        if raw is not None:
            batch.raws.append(raw)
            batch.positions.append(position)
            batch.names[ANY_JSON if line[0] == "{" else access_log.COMBINED.name] += 1
        elif line and not line.isspace():
            left.append(position)
    return left


def _read_only(
    lines: Sequence[str], name: str, parse: Parse, batch: _Batch, event: Event | None = None
) -> list[int]:
    """Read lines in the one format asked for; returns the numbers of the others."""
    left: list[int] = []
    for position, line in enumerate(lines, start=event.position if event else 1):
        if not line or line.isspace():
            continue
        try:
            if len(line) > MAX_LINE:
                raise ParseError("too long")
            batch.add(parse(line.strip()), position, event.time if event else None, name)
        except ParseError:
            left.append(position)
    return left
