"""The types of log formats: what a format is, what it finds in a line, how reading is asked for."""

from collections.abc import Callable, Mapping
from datetime import UTC, tzinfo
from ipaddress import IPv4Network, IPv6Network
from typing import NamedTuple

#: A decoded JSON value.
Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]
Network = IPv4Network | IPv6Network


class ParseError(Exception):
    """A line that cannot become a log; the text is the reason. It never holds values of the line:
    reasons are shown to people who may not see addresses, users or user agents."""


class RawLog(NamedTuple):
    """One log as a format finds it. `normalize.normalize` makes the ten fields of it."""

    timestamp: Value  # text or number, as logged
    method: Value
    endpoint: Value  # target or URL
    status: Value
    client: Value  # peer address, with or without port; a host name stands in for a missing user
    user: Value = None
    agent: Value = None
    seconds: float | None = None  # the format knows the unit
    request_size: Value = None
    response_size: Value = None
    forwarded: Value = None  # X-Forwarded-For, a text or a list
    no_status: int = 499  # what status 0, 000, -1 and - mean in this format


#: One text line. None: no log by design, such as a comment. Raises ParseError.
Parse = Callable[[str], RawLog | None]
#: One JSON object. None: no log by design. Raises ParseError.
ParseRecord = Callable[[dict[str, Value]], RawLog | None]


class TextFormat(NamedTuple):
    """A format of one log a line of text."""

    name: str  # as in `?format=NAME`
    title: str
    example: str  # one line, from the documentation of the format
    start: Callable[[], Parse]  # a parser with the state of one stream (the columns of W3C logs)


class JsonFormat(NamedTuple):
    """A format of one log a JSON object."""

    name: str
    title: str
    example: str
    recognizes: Callable[[dict[str, Value]], bool]  # cheap, by the object's own names
    parse: ParseRecord


class Event(NamedTuple):
    """One thing to read: a line of text or a decoded JSON object."""

    position: int  # its line or event number, from 1
    value: str | dict[str, Value]
    time: float | None = None  # Unix seconds by the shipper's clock, for a log without a time


class LineError(NamedTuple):
    """Why a line or event is no log."""

    line: int
    reason: str


class ReadOptions(NamedTuple):
    """How to read. `log_format`: a server's own directive, before `format`. `max_lines` of one
    body, whether they are logs or not; 0: no limit."""

    format: str = "auto"
    log_format: str | None = None
    trusted_proxies: tuple[Network, ...] = ()
    zone: tzinfo = UTC  # of times without an offset
    named_formats: Mapping[str, TextFormat] = {}
    max_lines: int = 0


class FormatUnknown(Exception):
    """No format of this name, or none that fits; the text says what to do."""


class TooManyLines(Exception):
    """A body has more than `ReadOptions.max_lines`; the text says so."""


class FormatAmbiguous(Exception):
    """Two formats read the lines and disagree; the text names them."""


def stateless(parse: Parse) -> Callable[[], Parse]:
    """The `start` of a format whose lines do not depend on each other."""
    return lambda: parse
