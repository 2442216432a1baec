"""What is known about the lines of a file: those that are no logs, and the header of a W3C log."""

import re
from collections.abc import Sequence
from typing import NamedTuple

from api_anomaly.client.source import Line, SourceError

MAX_BAD_LINES_SHOWN = 5
# From this many lines on, an input of mostly bad lines is given up without reading the rest.
_GIVE_UP_LINES = 1_000
_DIRECTIVE = re.compile(rb"#\s?([A-Za-z][\w-]*):")
_MAX_DIRECTIVES = 16


class BadLine(NamedTuple):
    """A line that did not become a log."""

    number: int
    reason: str


class LineCount:
    """Counts lines. `bad_lines` has the first few of the bad ones."""

    def __init__(self) -> None:
        self.read = 0
        self.bad = 0
        self.bad_lines: list[BadLine] = []

    def add(self, read: int, bad: int, bad_lines: Sequence[BadLine]) -> None:
        """Count lines; `bad_lines` may name only some of the bad ones. Raises SourceError when
        more than half of many lines are bad."""
        self.read += read
        self.bad += bad
        self.bad_lines += bad_lines[: MAX_BAD_LINES_SHOWN - len(self.bad_lines)]
        if self.read >= _GIVE_UP_LINES:
            self.check()

    def check(self) -> None:
        """Raises SourceError when more than half of the lines are bad, or there are none."""
        if not self.read:
            raise SourceError("the input is empty")
        if self.bad * 2 > self.read:
            examples = "; ".join(f"line {line.number}: {line.reason}" for line in self.bad_lines)
            raise SourceError(
                f"{self.bad:,} of the first {self.read:,} lines are no logs in the format asked for"
                f" or found (--format, --log-format). {examples}"
            )


class Header:
    """The directives (`#Fields: ...`) that hold for the next line. A W3C log names its columns
    once: a part of it can be read only with the header before it."""

    def __init__(self) -> None:
        self._directives: dict[bytes, bytes] = {}

    def follow(self, lines: Sequence[Line]) -> None:
        """Take notice of the directives in these lines."""
        for line in lines:
            match = _DIRECTIVE.match(line.text) if line.text.startswith(b"#") else None
            if match and (
                match[1].lower() in self._directives or len(self._directives) < _MAX_DIRECTIVES
            ):
                self._directives[match[1].lower()] = line.text

    @property
    def lines(self) -> list[bytes]:
        """The directives; empty before columns were named."""
        return list(self._directives.values()) if b"fields" in self._directives else []
