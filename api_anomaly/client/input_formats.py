"""The formats of input files by name.

Apart from the reader, because the help of a command lists them and needs no installed package.
"""

import io
from collections.abc import Callable, Iterator
from typing import NamedTuple

from api_anomaly.client.source import Record, read_array, read_lines
from api_anomaly.logs.formats.registry import ANY_JSON, FORMATS


class InputFormat(NamedTuple):
    """How the input is split into records, and the log format of a record."""

    title: str
    split: Callable[[io.BufferedReader], Iterator[Record]]
    format: str


#: Every log format of one log a line, and the JSON array.
INPUT_FORMATS = {
    **{name: InputFormat(row.title, read_lines, name) for name, row in FORMATS.items()},
    "json": InputFormat("JSON array of logs", read_array, ANY_JSON),
}
