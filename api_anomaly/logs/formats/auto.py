"""Lines of text whose format is to be found: all formats are tried on a sample, the best reads."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple, Protocol

from api_anomaly.logs.formats.format import (
    FormatAmbiguous,
    Parse,
    ParseError,
    RawLog,
    ReadOptions,
    TextFormat,
    Value,
)
from api_anomaly.logs.formats.normalize import normalize

_SAMPLE_LINES = 60
#: Longer lines of text are no logs: servers cut what clients send far below.
MAX_LINE = 65_536


class Sink(Protocol):
    """Takes what was read."""

    def add(self, raw: RawLog | None, position: int, time: Value, name: str) -> None:
        """A line that `name` read; `raw` is None for a line that is no log by design."""

    def reject(self, position: int, reason: str) -> None:
        """A line that is no log."""


class TextLine(NamedTuple):
    """A line and its position."""

    position: int
    text: str
    time: Value


class TextReader:
    """Reads the lines of one stream in `formats`, for each batch of lines the best one first."""

    def __init__(self, formats: Sequence[TextFormat], options: ReadOptions) -> None:
        self._formats = formats
        self._options = options
        self._parsers: list[tuple[str, Parse]] = [(row.name, row.start()) for row in formats]

    @property
    def only(self) -> tuple[str, Parse] | None:
        """The name and parser of the format, where there is one alone."""
        return self._parsers[0] if len(self._parsers) == 1 else None

    def read(self, lines: Sequence[TextLine], sink: Sink) -> bool:
        """Give what each line holds to `sink`. Returns whether any format reads any line.
        Raises FormatAmbiguous."""
        order, reads_any = self._order(lines)
        parsers = [self._parsers[index] for index in order]
        for line in lines:
            self._read_line(line, parsers, reads_any, sink)
        return reads_any

    def _read_line(
        self, line: TextLine, parsers: Sequence[tuple[str, Parse]], reads_any: bool, sink: Sink
    ) -> None:
        text = line.text.strip()
        if len(text) > MAX_LINE:
            sink.reject(line.position, f"longer than {MAX_LINE:,} characters")
            return
        reason = ""
        for name, parse in parsers:
            try:
                sink.add(parse(text), line.position, line.time, name)
                return
            except ParseError as error:
                reason = reason or str(error)
        if text.startswith(("{", "[{", '["')):
            reason = "no valid JSON, and no line of a known format"
        sink.reject(line.position, reason if reads_any else "no known format reads this line")

    def _order(self, lines: Sequence[TextLine]) -> tuple[list[int], bool]:
        """The indices of the formats, the best first, and whether any reads the sample."""
        if len(self._formats) == 1:
            return [0], True
        sample = _sample(lines)
        reads = [_read_sample(row.start(), sample) for row in self._formats]
        counts = [sum(raw is not None for raw in row) for row in reads]
        best = max(counts, default=0)
        if best:
            self._check_agreement(
                [index for index, count in enumerate(counts) if count == best], reads
            )
        return sorted(range(len(counts)), key=lambda index: -counts[index]), best > 0

    def _check_agreement(self, best: list[int], reads: list[list[RawLog | None]]) -> None:
        for first, second in combinations(best, 2):
            pairs = zip(reads[first], reads[second], strict=True)
            if any(a and b and _differ(a, b, self._options) for a, b in pairs):
                names = " and ".join(self._formats[index].name for index in (first, second))
                raise FormatAmbiguous(
                    f"the formats {names} both read these lines, and disagree on a time, a duration"
                    " or a client; name one with ?format="
                )


def _sample(lines: Sequence[TextLine]) -> list[str]:
    step = max(1, len(lines) // _SAMPLE_LINES)
    texts = [line.text.strip() for line in lines[::step]]
    headers = [line.text for line in lines if step > 1 and line.text.startswith("#")]
    return [text for text in headers[:_SAMPLE_LINES] + texts if len(text) <= MAX_LINE]


def _read_sample(parse: Parse, sample: Sequence[str]) -> list[RawLog | None]:
    return [_read(parse, text) for text in sample]


def _read(parse: Parse, text: str) -> RawLog | None:
    try:
        return parse(text)
    except ParseError:
        return None


def _differ(a: RawLog, b: RawLog, options: ReadOptions) -> bool:
    """Whether two readings of one line contradict each other."""
    one, two = (normalize([raw], [1], options).records for raw in (a, b))
    if not (one.count and two.count):
        return False
    durations = one.response_time[0], two.response_time[0]
    clients = one.ip_address[0], two.ip_address[0]
    return (
        one.time != two.time
        or None not in durations
        and durations[0] != durations[1]
        or None not in clients
        and clients[0] != clients[1]
    )
