"""A batch of logs as arrays: the one form in which logs reach extraction, training and rules.

Every field of n logs is one array of n rows, in the order in which the logs were sent. A text field
is UTF-8 bytes in one flat buffer, so that kernels hash and measure texts without Python objects.
"""

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from api_anomaly.kernels import kernel

#: HTTP methods by code; every other method shares the last code.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "other")
_METHOD_CODES = {name: code for code, name in enumerate(METHODS)}
_OTHER = len(METHODS) - 1


class Texts(NamedTuple):
    """n texts as UTF-8: row i is ``data[offsets[i]:offsets[i + 1]]``, and unknown when empty."""

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, values: Sequence[str | None]) -> Self:
        """Encode n texts; None becomes an empty row. O(total bytes)."""
        rows = [value.encode("utf-8", "surrogatepass") if value else b"" for value in values]
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(np.fromiter(map(len, rows), np.int64, len(rows)), out=offsets[1:])
        return cls(np.frombuffer(bytearray(b"".join(rows)), np.uint8), offsets)

    def take(self, rows: NDArray[np.int64]) -> "Texts":
        """The texts of `rows` (m,), in that order."""
        starts, lengths = self.offsets[rows], np.diff(self.offsets)[rows]
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        data = np.empty(offsets[-1], np.uint8)
        _copy(self.data, starts, offsets, data)
        return Texts(data, offsets)

    def between(self, first: int, end: int) -> "Texts":
        """The texts from row `first` up to `end`, whose bytes are not copied."""
        offsets = self.offsets[first : end + 1]
        return Texts(self.data[offsets[0] : offsets[-1]], offsets - offsets[0])


@kernel
def _copy(
    data: NDArray[np.uint8],
    starts: NDArray[np.int64],
    offsets: NDArray[np.int64],
    copied: NDArray[np.uint8],
) -> None:
    """Copy the texts of `data` that begin at `starts` (m,) to their `offsets` (m + 1,)."""
    for i in range(len(starts)):
        shift = starts[i] - offsets[i]
        for position in range(offsets[i], offsets[i + 1]):
            copied[position] = data[position + shift]


class ColumnArrays(NamedTuple):
    """The fields of Columns."""

    time: NDArray[np.float64]
    user: Texts
    endpoint: Texts
    agent: Texts
    method: NDArray[np.uint8]
    status: NDArray[np.int16]
    response_time: NDArray[np.float64]
    request_size: NDArray[np.float64]
    response_size: NDArray[np.float64]
    address: NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class Columns:
    """n logs. Times are Unix seconds (UTC), durations seconds, sizes bytes, `method` an index of
    METHODS, `address` (n, 2) see `address_words`; NaN, an empty text and the address (0, 0) are
    unknown.
    """

    time: NDArray[np.float64]
    user: Texts
    endpoint: Texts
    agent: Texts
    method: NDArray[np.uint8]
    status: NDArray[np.int16]
    response_time: NDArray[np.float64]
    request_size: NDArray[np.float64]
    response_size: NDArray[np.float64]
    address: NDArray[np.uint64]

    def __len__(self) -> int:
        return len(self.time)

    def arrays(self) -> ColumnArrays:
        """The fields as the tuple that kernels take."""
        return ColumnArrays(*_fields(self))

    def take(self, rows: NDArray[np.int64]) -> "Columns":
        """The logs of `rows` (m,), in that order; adjacent rows are views, not copies."""
        if len(rows) and (np.diff(rows) == 1).all():
            return self.between(int(rows[0]), int(rows[-1]) + 1)
        taken: Any = (a.take(rows) if isinstance(a, Texts) else a[rows] for a in _fields(self))
        return Columns(*taken)

    def between(self, first: int, end: int) -> "Columns":
        """The logs from row `first` up to `end`: views, not copies."""
        part: Any = (
            a.between(first, end) if isinstance(a, Texts) else a[first:end] for a in _fields(self)
        )
        return Columns(*part)

    def in_time_order(self) -> NDArray[np.int64]:
        """Rows by time; logs of the same time keep the order in which they were sent."""
        return np.argsort(self.time, kind="stable")


#: The fields of Columns, in their order.
_fields: Callable[[Columns], tuple[Any, ...]] = attrgetter(*Columns.__dataclass_fields__)


def joined(parts: Sequence[Columns]) -> Columns:
    """The logs of all `parts` (at least one), one after the other."""
    return Columns(*map(_concatenate, zip(*map(_fields, parts), strict=True)))


def _concatenate(arrays: tuple[Any, ...]) -> Any:
    if not isinstance(arrays[0], Texts):
        return np.concatenate(arrays)
    lengths = np.concatenate([np.diff(texts.offsets) for texts in arrays])
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Texts(np.concatenate([texts.data for texts in arrays]), offsets)


def columns_of(
    time: Sequence[float],
    user_id: Sequence[str | None],
    endpoint: Sequence[str],
    method: Sequence[str],
    status_code: Sequence[int],
    response_time: Sequence[float | None],
    ip_address: Sequence[str | None],
    user_agent: Sequence[str | None],
    request_size: Sequence[int | None],
    response_size: Sequence[int | None],
) -> Columns:
    """Columns from n validated values per field; None is unknown.

    Methods are expected in upper case. Raises ValueError for an invalid `ip_address`.
    """
    n = len(time)
    return Columns(
        time=np.fromiter(time, np.float64, n),
        user=Texts.of(user_id),
        endpoint=Texts.of(endpoint),
        agent=Texts.of(user_agent),
        method=np.fromiter((_METHOD_CODES.get(name, _OTHER) for name in method), np.uint8, n),
        status=np.fromiter(status_code, np.int16, n),
        response_time=_numbers(response_time),
        request_size=_numbers(request_size),
        response_size=_numbers(response_size),
        address=np.array([address_words(text) for text in ip_address], np.uint64).reshape(n, 2),
    )


def _numbers(values: Sequence[Any]) -> NDArray[np.float64]:
    return np.array(values, np.float64)  # None becomes NaN


@lru_cache(maxsize=65_536)
def address_words(text: str | None) -> tuple[int, int]:
    """An IP address as two words, IPv4 as ``::ffff:a.b.c.d``; (0, 0) when unknown.

    Raises ValueError for an invalid address.
    """
    if not text:
        return (0, 0)
    address = ipaddress.ip_address(text)
    number = int(address) if address.version == 6 else (0xFFFF << 32) | int(address)
    return (number >> 64, number & 0xFFFFFFFFFFFFFFFF)
