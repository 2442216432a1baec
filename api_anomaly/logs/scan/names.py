"""Names in JSON objects: tables of them, and finding one among the few that are known."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from api_anomaly.kernels import bare_kernel
from api_anomaly.logs.scan.eights import eight
from api_anomaly.logs.scan.marks import COLON, ODD, after_space
from api_anomaly.logs.scan.texts import bare_end

_LONGEST = 16


# Rows of a table. The last two hold places counted from 1, so that 0 is none.
_FIRST, _LAST, _MASK, _BY_LENGTH, _AFTER = range(5)


def table(names: Sequence[str]) -> NDArray[np.uint64]:
    """A table of names of at most 16 bytes, by place their first and last eight bytes as words; and
    by length the first place that has it, by place the next one of the same length."""
    made = np.zeros((5, _LONGEST + 1), np.uint64)
    made[_MASK] = [(1 << 8 * min(length, 8)) - 1 for length in range(_LONGEST + 1)]
    for place, name in reversed(list(enumerate(names))):
        made[_FIRST, place], made[_LAST, place] = _word(name[:8]), _word(name[-8:])
        made[_AFTER, place] = made[_BY_LENGTH, len(name)]
        made[_BY_LENGTH, len(name)] = place + 1
    return made


def _word(text: str) -> int:
    return int.from_bytes(text.encode(), "little")


@bare_kernel
def member(data, position, stop, names):  # type: ignore[no-untyped-def]
    """The place in a table of the name that begins at `position`, after its quote, or -1; and where
    its value begins, or ODD."""
    end = bare_end(data, position, stop)
    if end < 0:
        return -1, ODD
    colon = after_space(data, end + 1, stop)
    if colon >= stop or data[colon] != COLON:
        return -1, ODD
    value = after_space(data, colon + 1, stop)
    return find(data, position, end, names), value if value < stop else ODD


@bare_kernel
def find(data, start, stop, names):  # type: ignore[no-untyped-def]
    """The place of the name data[start:stop] in a table, or -1. A name so near the end of the data
    that eight bytes are not left is in no complete body."""
    length = stop - start
    if length > _LONGEST or length == 0 or start + 8 > len(data):
        return -1
    mask = names[_MASK, length]
    first = eight(data, start) & mask
    last = eight(data, max(start, stop - 8)) & mask
    place = np.int64(names[_BY_LENGTH, length]) - 1
    while place >= 0:
        if names[_FIRST, place] == first and names[_LAST, place] == last:
            return place
        place = np.int64(names[_AFTER, place]) - 1
    return -1
