"""A whole body: its options and its logs, into arrays that become columns without a copy."""

import math
import threading
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.kernels import bare_kernel
from api_anomaly.logs.columns import Columns, Texts
from api_anomaly.logs.scan.logs import LOG, scan_log
from api_anomaly.logs.scan.marks import (
    CLOSE_LIST,
    CLOSE_OBJECT,
    COMMA,
    MINUS,
    ODD,
    OPEN_LIST,
    OPEN_OBJECT,
    QUOTE,
    after_space,
    extent,
    is_digit,
    literal,
)
from api_anomaly.logs.scan.names import member, table
from api_anomaly.logs.scan.numbers import number
from api_anomaly.logs.scan.texts import copy_text

# Rows of the arrays that a scan fills.
_TIME, _DURATION, _REQUEST, _RESPONSE, _LABEL = range(5)
_START, _STOP = 3, 4  # of a log in the body; before them the ends of its texts

#: Options by place: an ordinary one is null, a truth or a number.
OPTIONS = ("logs", "threshold", "test_size", "include_scores", "include_rules", "update_state")
_LOGS, _THRESHOLD, _TEST_SIZE = range(3)
_NAMES = table(OPTIONS)


class _Scratch(threading.local):
    """Where a thread reads its log at hand: made once, because that takes as long as a log."""

    def __init__(self) -> None:
        self.log = np.empty(1, LOG)


_SCRATCH = _Scratch()


class Scanned(NamedTuple):
    """n logs in a body, m of them as columns in their order, the others odd.

    The rows of `places` hold from the fourth on where the logs begin in the body, and where they
    end, below 0 (the negative) for an odd one. `value` is the number among the options, NaN when
    there is none, `words` are the others.
    """

    logs: int
    columns: Columns
    numbers: NDArray[np.float64]
    places: NDArray[np.int64]
    value: float
    words: int

    @property
    def labels(self) -> NDArray[np.float64]:
        """Labels (m,): 0, 1 or NaN."""
        labels: NDArray[np.float64] = self.numbers[_LABEL]
        return labels

    @property
    def is_odd(self) -> NDArray[np.bool_]:
        """Which of the n logs are odd."""
        odd: NDArray[np.bool_] = self.places[_STOP, : self.logs] < 0
        return odd

    def extent(self, log: int) -> slice:
        """Where a log is in the body."""
        return slice(int(self.places[_START, log]), abs(int(self.places[_STOP, log])))

    def truth(self, place: int) -> bool | None:
        """The option of this place in OPTIONS; None when it is null or absent."""
        word = self.words >> 2 * place & 3
        return word == 2 if word else None


def known(*names: str) -> int:
    """The options that a body may have, for `scan`; values of others are judged and ignored."""
    return sum(1 << OPTIONS.index(name) for name in names)


def scan(body: bytes, most_logs: int, options: int) -> Scanned | None:
    """What `body` holds, or None when it is not ordinary. O(bytes); memory for the columns only."""
    most = min(body.count(b"{") - 1, most_logs)
    if most < 0:
        return None
    floats = np.empty((5, most), np.float64)
    words = np.empty((most, 2), np.uint64)
    methods = np.empty(most, np.uint8)
    statuses = np.empty(most, np.int16)
    places = np.empty((5, most + 1), np.int64)
    size = len(body)
    texts = np.empty(3 * size, np.uint8)  # no text is longer than in JSON
    logs, rows, value, label_report, user, endpoint, agent = _scan(
        body, options, _SCRATCH.log, floats, words, methods, statuses, places, texts
    )
    if logs < 0:
        return None
    if rows < most:
        floats, words, methods, statuses = (
            floats[:, :rows],
            words[:rows],
            methods[:rows],
            statuses[:rows],
        )
    ends = places if rows == most else places[:, : rows + 1]
    columns = Columns(
        floats[_TIME],
        Texts(texts[:user], ends[0]),
        Texts(texts[size : size + endpoint], ends[1]),
        Texts(texts[2 * size : 2 * size + agent], ends[2]),
        methods,
        statuses,
        floats[_DURATION],
        floats[_REQUEST],
        floats[_RESPONSE],
        words,
    )
    return Scanned(logs, columns, floats, places, value, label_report)


@bare_kernel
def _scan(  # type: ignore[no-untyped-def]
    data, known, scratch, floats, words, methods, statuses, places, texts
):
    """Fill the arrays: how many logs and rows, the number and the words of the options, and where
    the texts end; or logs below 0."""
    stop, seen, logs, rows, value, label_report = len(data), 0, 0, 0, math.nan, 0
    for kind in range(3):
        places[kind, 0] = 0
    position = after_space(data, 0, stop)
    if position >= stop or data[position] != OPEN_OBJECT:
        return ODD, 0, 0.0, 0, 0, 0, 0
    position = after_space(data, position + 1, stop)
    while position < stop and data[position] == QUOTE:
        option, position = member(data, position + 1, stop, _NAMES)
        option = option if option >= 0 and known >> option & 1 else -1
        if position < 0 or (option >= 0 and seen >> option & 1):
            break
        if option == _LOGS:
            position, logs, rows = _logs(
                data, position, stop, scratch[0], floats, words, methods, statuses, places, texts
            )
        else:
            position, number, word = _option(data, position, stop, option, texts, places[0, rows])
            value = number if option == _THRESHOLD or option == _TEST_SIZE else value
            label_report |= word << 2 * option if option >= 0 else 0
        seen |= 1 << option if option >= 0 else 0
        if position < 0:
            break
        position = after_space(data, position, stop)
        if position < stop and data[position] == CLOSE_OBJECT:
            if after_space(data, position + 1, stop) < stop or not seen & 1:
                break
            return (
                logs,
                rows,
                value,
                label_report,
                places[0, rows],
                places[1, rows],
                places[2, rows],
            )
        if position >= stop or data[position] != COMMA:
            break
        position = after_space(data, position + 1, stop)
    return ODD, 0, 0.0, 0, 0, 0, 0


@bare_kernel
def _option(data, position, stop, option, texts, end):  # type: ignore[no-untyped-def]
    """Read the value of an option, which is below 0 when unknown: where it ends, its number or NaN,
    and its word or 0."""
    byte = data[position]
    if byte == QUOTE:
        position, _, _ = copy_text(data, position + 1, stop, texts, end)
        return position if option < 0 else ODD, math.nan, 0
    if byte == MINUS or is_digit(byte):
        value, position, _ = number(data, position, stop)
        return position if option <= _TEST_SIZE else ODD, value, 0
    word, position = literal(data, position, stop)
    if option == _THRESHOLD or option == _TEST_SIZE:
        return position if word == 0 else ODD, math.nan, 0
    return position, math.nan, word


@bare_kernel
def _logs(  # type: ignore[no-untyped-def]
    data, position, stop, log, floats, words, methods, statuses, places, texts
):
    """Read the list of logs at `position`: where it ends, how many logs and how many rows."""
    logs, rows = 0, 0
    if data[position] != OPEN_LIST:
        return ODD, 0, 0
    position = after_space(data, position + 1, stop)
    if position < stop and data[position] == CLOSE_LIST:
        return position + 1, 0, 0
    while position < stop and data[position] == OPEN_OBJECT and logs < len(methods):
        end = scan_log(data, position, stop, texts, places, rows, log)
        places[_START, logs], places[_STOP, logs] = position, end
        if end >= 0:
            _keep(log, rows, floats, words, methods, statuses)
            rows += 1
        else:
            end = extent(data, position, stop)
            if end < 0:
                break
            places[_STOP, logs] = -end
        logs += 1
        position = after_space(data, end, stop)
        if position < stop and data[position] == CLOSE_LIST:
            return position + 1, logs, rows
        if position >= stop or data[position] != COMMA:
            break
        position = after_space(data, position + 1, stop)
    return ODD, 0, 0


@bare_kernel
def _keep(log, row, floats, words, methods, statuses):  # type: ignore[no-untyped-def]
    """Put the log that was read into its row."""
    floats[_TIME, row], floats[_LABEL, row] = log.time, log.label
    floats[_DURATION, row] = log.response_time
    floats[_REQUEST, row], floats[_RESPONSE, row] = log.request_size, log.response_size
    words[row, 0], words[row, 1] = log.high, log.low
    methods[row], statuses[row] = log.method, log.status
