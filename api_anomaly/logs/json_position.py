"""Where in a body broken JSON is: in which log."""

import re

import numpy as np
from numpy.typing import NDArray

from api_anomaly.kernels import kernel

_PLACE = re.compile(r" at line (\d+) column (\d+)$")
_QUOTE, _BACKSLASH, _COMMA = 0x22, 0x5C, 0x2C
_OPEN, _CLOSE = (0x5B, 0x7B), (0x5D, 0x7D)
_NAME = np.frombuffer(b'"logs"', np.uint8)


def broken_log(body: bytes, message: str) -> int | None:
    """The position of the log in which a parser found the fault of `message`, which ends with its
    line and column; None if it is in no log."""
    place = _PLACE.search(message)
    if place is None:
        return None
    line, column = int(place[1]), int(place[2])
    data = np.frombuffer(body, np.uint8)
    before = 0
    if line > 1:
        breaks = np.flatnonzero(data == 0x0A)
        before = int(breaks[line - 2]) + 1 if line - 2 < len(breaks) else 0
    index = int(_log_at(data, min(before + column - 1, len(data))))
    return index if index >= 0 else None


@kernel
def _log_at(data: NDArray[np.uint8], end: int) -> int:
    """The position of the log that holds byte `end`; -1 for none. About 1 ns a byte."""
    depth, index, opened, named, in_logs, in_text = 0, 0, 0, False, False, False
    escaped = False
    for position in range(end):
        byte = data[position]
        if in_text:
            if escaped:
                escaped = False
            elif byte == _BACKSLASH:
                escaped = True
            elif byte == _QUOTE:
                in_text = False
                named = depth == 1 and _is_name(data, opened, position)
        elif byte == _QUOTE:
            in_text, opened = True, position
        elif byte == _OPEN[0] or byte == _OPEN[1]:
            depth += 1
            if depth == 2 and named and byte == _OPEN[0]:
                in_logs, index = True, 0
        elif byte == _CLOSE[0] or byte == _CLOSE[1]:
            depth -= 1
            in_logs = in_logs and depth >= 2
        elif byte == _COMMA and in_logs and depth == 2:
            index += 1
    return index if in_logs else -1


@kernel
def _is_name(data: NDArray[np.uint8], first: int, last: int) -> bool:
    """Whether the text of these bytes, with its quotes, is "logs"."""
    if last - first + 1 != len(_NAME):
        return False
    for k in range(len(_NAME)):
        if data[first + k] != _NAME[k]:
            return False
    return True
