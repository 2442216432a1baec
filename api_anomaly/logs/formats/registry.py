"""The formats that can be read, as a table, and the guess which one an input is in."""

import io
import json
import re
from collections.abc import Callable, Iterator
from typing import NamedTuple

from api_anomaly.logs.formats.fields import BadLine, Parsed, Value
from api_anomaly.logs.formats.text import access_line, alb_line
from api_anomaly.logs.formats.json_records import record
from api_anomaly.client.source import SourceRefused, Unit, array_items, head, text_lines

GUESS_LINES = 20
_ARRAY = re.compile(r'\s*(?:\[\s*[{\]]|\{\s*"logs"\s*:\s*\[)')


class Format(NamedTuple):
    """A format: how the input falls into units and how a unit becomes a log."""

    title: str
    units: Callable[[io.BufferedReader], Iterator[Unit]]
    parse: Callable[[Value], Parsed]


def json_line(value: Value) -> Parsed:
    """One line that holds one JSON object."""
    try:
        return record(json.loads(str(value)))
    except (ValueError, RecursionError) as error:
        raise BadLine("not a JSON object on one line") from error


FORMATS = {
    "combined": Format("Apache or nginx combined access log", text_lines, access_line),
    "common": Format("Apache common access log", text_lines, access_line),
    "alb": Format("AWS Application Load Balancer access log", text_lines, alb_line),
    "ndjson": Format("JSON lines, one log a line", text_lines, json_line),
    "json": Format("JSON array of logs", array_items, record),
}


def guess(stream: io.BufferedReader) -> str:
    """The name of the format, from the first lines, which stay in the stream."""
    beginning = head(stream)
    if _ARRAY.match(beginning):
        return "json"
    lines = [line for line in beginning.splitlines() if line.strip()]
    # The last line may be cut by the end of what was looked at.
    lines = lines[: max(1, min(len(lines) - 1, GUESS_LINES))]
    if not lines:
        raise SourceRefused("the input is empty")
    fits = {
        name: sum(_fits(FORMATS[name], line) for line in lines)
        for name in ("ndjson", "alb", "combined")
    }
    name = max(fits, key=lambda candidate: fits[candidate])
    if fits[name] * 2 <= len(lines):
        raise SourceRefused(
            f"none of the known formats fits the first {len(lines)} lines;"
            f" say which with --format ({', '.join(FORMATS)}). The first line: {lines[0][:120]!r}"
        )
    if name == "combined" and not any(_has_agent(line) for line in lines):
        return "common"
    return name


def _fits(form: Format, line: str) -> bool:
    try:
        form.parse(line)
    except BadLine:
        return False
    return True


def _has_agent(line: str) -> bool:
    # A combined line has three quoted texts, a common line one.
    return line.count('"') >= 5
