"""What a log format is, and what parsing a line gives."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

#: A decoded JSON value.
Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]
#: One log in the ten fields of the HTTP contract.
Log = dict[str, str | int | float | None]


class ParseError(Exception):
    """A line that cannot become a log; the text is the reason."""


class Label(NamedTuple):
    """What a labelled file knows about a log. Used in reports, never sent to the service."""

    is_attack: bool | None  # None = unknown
    attack: str | None  # family of the attack
    actor: str | None  # who sent the request, where the file says so
    case: str | None  # simulated files: which hard case of benign behaviour

    @property
    def description(self) -> str:
        """`attack: FAMILY`, `benign`, `benign: CASE` or `unknown`."""
        if self.is_attack is None:
            return "unknown"
        if self.is_attack:
            return f"attack: {self.attack or 'unnamed'}"
        return f"benign: {self.case}" if self.case else "benign"


class ParsedLog(NamedTuple):
    """One log, and its label where the file has labels."""

    log: Log
    label: Label | None


#: None for a line that holds no request by design: a comment or a header. Raises ParseError.
Parse = Callable[[str], ParsedLog | None]


class Format(NamedTuple):
    """A log format of one log a line."""

    name: str  # as in `--format NAME`
    title: str
    parse: Parse
    sniff: Callable[[Sequence[str]], int]  # how many of these lines are in this format
    example: str  # one line, from the documentation of the format


def count_parsed(parse: Parse) -> Callable[[Sequence[str]], int]:
    """The usual `sniff`: counts the lines that can be parsed."""

    def is_parsed(line: str) -> bool:
        try:
            parse(line)
        except ParseError:
            return False
        return True

    return lambda lines: sum(map(is_parsed, lines))
