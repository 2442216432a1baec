"""The one entry of the formats: a body or events -> logs, and what was no log.

A line that cannot be read costs no other. The same for the client, which reads files in parts with
one `StreamReader`.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import msgspec

from api_anomaly.logs.formats import access_log
from api_anomaly.logs.formats.auto import MAX_LINE, TextLine, TextReader
from api_anomaly.logs.formats.contract import contract_columns, match_contract
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
    TooManyLines,
    Value,
)
from api_anomaly.logs.formats.normalize import (
    Normalized,
    RawColumns,
    normalize,
    normalize_columns,
)
from api_anomaly.logs.formats.registry import ANY_JSON, Candidates, candidates, recognize
from api_anomaly.logs.formats.unwrap import (
    carried_text,
    decode,
    events_of_text,
    is_document,
    joined_parts,
    record_of,
    unwrap,
)
from api_anomaly.logs.records import Records, joined

__all__ = [
    "Event",
    "FormatAmbiguous",
    "FormatUnknown",
    "LineError",
    "ReadOptions",
    "ReadResult",
    "StreamReader",
    "TooManyLines",
    "read_body",
    "read_events",
]

MAX_ERRORS = 20
#: Objects and arrays for each line: what one log in JSON has at most, and some more.
_MAX_VALUES = 20
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
    """The logs of a decompressed body in any known form. Raises FormatUnknown, FormatAmbiguous and
    TooManyLines."""
    return StreamReader(options).read_body(body)


def read_events(events: Sequence[Event], options: ReadOptions) -> ReadResult:
    """The logs of events from an opened envelope. Raises FormatUnknown, FormatAmbiguous and
    TooManyLines."""
    return StreamReader(options).read_events(events)


class _Plain(NamedTuple):
    """A fast way of lines: the name of the format, what takes a line, the columns of such lines."""

    name: str
    match: Callable[[str], Any]
    columns: Callable[[Sequence[Any]], RawColumns]


_PLAIN = (
    _Plain(ANY_JSON, match_contract, contract_columns),
    _Plain(access_log.COMBINED.name, access_log.match_plain, access_log.plain_columns),
)
_PLAIN_NAMES = frozenset(plain.name for plain in _PLAIN)
#: Where none of the first lines is plain, no other is tried.
_PROBED = 20


class _Batch:
    """What was found in one body."""

    def __init__(self) -> None:
        self.raws: list[RawLog] = []
        self.positions: list[int] = []
        self.errors: list[LineError] = []
        self.names: Counter[str] = Counter()
        self.parts: list[Normalized] = []
        self.skipped = 0
        self.has_unknown_text = False

    def add(self, raw: RawLog | None, position: int, time: Value, name: str) -> None:
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
        if self.has_unknown_text and not (self.names or self.skipped):
            raise FormatUnknown(
                "no known format reads any of these lines; GET /formats lists what is read,"
                " and ?log_format= takes the server's own directive"
            )
        others = normalize(self.raws, self.positions, options)
        parts = [*self.parts, others] if self.raws or not self.parts else self.parts
        errors = sorted([*self.errors, *others.errors])
        has_list = not options.trusted_proxies and any(part.has_list for part in parts)
        return ReadResult(
            records=joined([part.records for part in parts]),
            rejected=len(errors),
            errors=errors[:max_errors],
            skipped=self.skipped,
            no_status=sum(part.no_status for part in parts),
            format=", ".join(name for name, _ in self.names.most_common()),
            warnings=[_LIST_AS_CLIENT] if has_list else [],
        )


class StreamReader:
    """Reads the parts of one stream, in order: W3C logs name their columns once."""

    def __init__(self, options: ReadOptions, max_errors: int = MAX_ERRORS) -> None:
        self._options = options
        self._max_errors = max_errors
        self._formats = _formats(options)
        self._text = TextReader(self._formats.text, options)
        self._names = {row.name for row in self._formats.text}
        self._names |= {row.name for row in self._formats.json}

    def read_body(self, body: bytes) -> ReadResult:
        """The logs of a decompressed body. Raises FormatUnknown, FormatAmbiguous, TooManyLines."""
        batch = _Batch()
        text = decode(body)
        self._limit(text.count("\n"))
        self._limit((text.count("{") + text.count("[")) // _MAX_VALUES)
        only = self._text.only
        if is_document(text) and not only:
            self._read(events_of_text(text, self._formats.json), batch)
            return batch.result(self._options, self._max_errors)
        lines = text.split("\n")
        left: Sequence[int]
        if only and only[0] not in _PLAIN_NAMES:
            left = _read_only(lines, *only, batch)
        else:
            left = self._read_plain(lines, range(1, len(lines) + 1), batch)
        others = [Event(index + 1, lines[index]) for index in left if not _is_blank(lines[index])]
        if others and not (batch.names or batch.skipped):
            self._read(events_of_text(text, self._formats.json), batch)
        else:
            self._read(others, batch)
        return batch.result(self._options, self._max_errors)

    def read_events(self, events: Iterable[Event]) -> ReadResult:
        """The logs of events. Raises FormatUnknown, FormatAmbiguous, TooManyLines."""
        batch = _Batch()
        events = [carried_text(event) for event in events]
        self._limit(len(events))
        indices = [index for index, event in enumerate(events) if isinstance(event.value, str)]
        texts = [str(events[index].value) for index in indices]
        left = self._read_plain(texts, [events[index].position for index in indices], batch)
        if len(left) < len(texts):
            read = set(indices).difference(indices[index] for index in left)
            events = [event for index, event in enumerate(events) if index not in read]
        self._read(events, batch)
        return batch.result(self._options, self._max_errors)

    def _limit(self, lines: int) -> None:
        """Before anything of them is kept: a megabyte may hold a million lines that are no logs."""
        limit = self._options.max_lines
        if 0 < limit < lines:
            raise TooManyLines(f"At most {limit} lines fit into one request")

    def _read_plain(
        self, texts: Sequence[str], positions: Sequence[int], batch: _Batch
    ) -> Sequence[int]:
        """Read texts that need neither unwrapping nor guessing; returns the others' indices."""
        left: Sequence[int] = range(len(texts))
        for plain in _PLAIN:
            if texts and plain.name in self._names:
                left = _read_matches(plain, texts, positions, left, self._options, batch)
        return left

    def _read(self, events: Iterable[Event], batch: _Batch) -> None:
        lines: list[TextLine] = []
        leaves = 0
        for count, event in enumerate(joined_parts(events), start=1):
            self._limit(count)
            if self._reads_as_it_is(event, batch):
                continue
            record = record_of(event.value)
            row = recognize(record, self._formats.json) if record else None
            if record and row:  # the usual case, without the steps of `unwrap`
                self._read_record(record, row, event.position, event.time, batch)
                continue
            empty = True
            for leaf in unwrap(event, self._formats.json):
                empty = False
                leaves += 1
                self._limit(leaves)
                if isinstance(leaf.value, str):
                    lines.append(TextLine(event.position, leaf.value, leaf.time))
                else:
                    self._read_record(leaf.value, leaf.format, event.position, leaf.time, batch)
            batch.skipped += empty
        left = self._read_plain(
            [line.text for line in lines], [line.position for line in lines], batch
        )
        self._read_lines([lines[index] for index in left], batch)

    def _read_lines(self, lines: Sequence[TextLine], batch: _Batch) -> None:
        if lines and self._formats.text:
            batch.has_unknown_text = not self._text.read(lines, batch)
            return
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
        time: Value,
        batch: _Batch,
    ) -> None:
        formats = self._formats.json
        row = row or (formats[0] if len(formats) == 1 else None)
        if row is None and self._options.log_format:
            line = Event(position, msgspec.json.encode(record).decode())
            if self._reads_as_it_is(line, batch):
                return
        if row is None:
            batch.reject(position, "a JSON object without a request of a known format")
            return
        try:
            batch.add(row.parse(record), position, time, row.name)
        except ParseError as error:
            batch.reject(position, str(error))
        except (LookupError, TypeError, AttributeError):
            # A format that was named reads what it recognizes; this record it does not.
            batch.reject(position, f"not a record of the format {row.name}")


def _formats(options: ReadOptions) -> Candidates:
    if options.log_format:
        return Candidates((directive_format(options.log_format),), ())
    return candidates(options.format, options.named_formats)


def _is_blank(line: str) -> bool:
    return not line or line.isspace()


def _read_matches(
    plain: _Plain,
    texts: Sequence[str],
    positions: Sequence[int],
    indices: Sequence[int],
    options: ReadOptions,
    batch: _Batch,
) -> Sequence[int]:
    """Read the texts of these indices that `plain` takes; returns the indices of the others."""
    if not any(map(plain.match, texts[:_PROBED])):
        return indices
    matches = [plain.match(texts[index]) for index in indices]
    if max(map(len, texts)) > MAX_LINE:
        pairs = zip(indices, matches, strict=True)
        matches = [None if len(texts[index]) > MAX_LINE else match for index, match in pairs]
    left: Sequence[int] = ()
    if None in matches:
        pairs = zip(indices, matches, strict=True)
        left = [index for index, match in pairs if match is None]
        taken = [index for index, match in zip(indices, matches, strict=True) if match is not None]
        matches = [match for match in matches if match is not None]
        positions = [positions[index] for index in taken]
    elif len(indices) < len(texts):
        positions = [positions[index] for index in indices]
    if not matches:
        return left
    raw = plain.columns(matches)
    try:
        batch.parts.append(normalize_columns(raw, positions, options))
    except ParseError:
        batch.raws.extend(map(RawLog._make, zip(*raw, strict=True)))
        batch.positions.extend(positions)
    batch.names[plain.name] += len(matches)
    return left


def _read_only(
    lines: Sequence[str], name: str, parse: Parse, batch: _Batch, event: Event | None = None
) -> Sequence[int]:
    """Read lines in the one format asked for; returns the indices of the others."""
    left: list[int] = []
    start, time = (event.position, event.time) if event else (1, None)
    for index, line in enumerate(lines):
        if _is_blank(line):
            continue
        try:
            if len(line) > MAX_LINE:
                raise ParseError("too long")
            batch.add(parse(line.strip()), start + index, time, name)
        except ParseError:
            left.append(index)
    return left
