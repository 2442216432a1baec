"""Access logs of KrakenD and other servers on the Gin framework.

Source: github.com/gin-gonic/gin, logger.go. The time is local and has no offset.
"""

import re

from api_anomaly.logs.formats.format import ParseError, RawLog, TextFormat, stateless

_LINE = re.compile(
    r"\[GIN\] (\d{4})/(\d\d)/(\d\d) - (\d\d:\d\d:\d\d) \| *(?P<status>\d+) *\|"
    r' *(?P<duration>\S+) *\| *(?P<client>\S+) *\| *(?P<method>[A-Z]+) +"?(?P<path>\S+?)"?\s*'
)
_COLOURS = re.compile(r"\x1b\[[\d;]*m")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(h|ms|µs|μs|us|ns|m|s)")
_SECONDS = {"h": 3600, "m": 60, "s": 1, "ms": 1e-3, "µs": 1e-6, "μs": 1e-6, "us": 1e-6, "ns": 1e-9}


def parse(line: str) -> RawLog:
    """One line."""
    match = _LINE.fullmatch(_COLOURS.sub("", line))
    if not match:
        raise ParseError("not a line of a Gin server")
    year, month, day, clock = match.group(1, 2, 3, 4)
    return RawLog(
        timestamp=f"{year}-{month}-{day}T{clock}",
        method=match["method"],
        endpoint=match["path"],
        status=match["status"],
        client=match["client"],
        seconds=_seconds(match["duration"]),
    )


def _seconds(text: str) -> float | None:
    """Go writes a duration as `1m2.5s` or `14.066µs`."""
    parts = _DURATION.findall(text)
    if not parts or "".join(map("".join, parts)) != text:
        return None
    return sum(float(count) * _SECONDS[unit] for count, unit in parts)


KRAKEND = TextFormat(
    name="krakend",
    title="KrakenD and other Gin servers",
    start=stateless(parse),
    example='[GIN] 2020/04/07 - 12:29:25 | 200 |      14.066µs |       127.0.0.1 | GET      "/x"',
)
