"""A batch of logs as arrays: the one form in which logs reach extraction, training and rules.

Every field of n logs is one array of n rows, in the order in which the logs were sent. A text field
is UTF-8 bytes in one flat buffer, so that kernels hash and measure texts without Python objects.
"""

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate, chain
from operator import attrgetter
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from api_anomaly.kernels import kernel

#: HTTP methods by code; every other method shares the last code.
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE", "other")
_METHOD_CODES = {name: code for code, name in enumerate(METHODS)}
#: Code of methods without a code of their own.
OTHER_METHOD = len(METHODS) - 1


class Texts(NamedTuple):
    """n texts as UTF-8: row i is ``data[offsets[i]:offsets[i + 1]]``, and unknown when empty."""

    data: NDArray[np.uint8]
    offsets: NDArray[np.int64]

    @classmethod
    def of(cls, values: Sequence[str | None]) -> Self:
        """Encode n texts; None becomes an empty row. O(total bytes)."""
        texts = [value or "" for value in values]
        text = "".join(texts)
        data = text.encode("utf-8", "surrogatepass")
        lengths = map(len, texts) if text.isascii() else map(_utf8_length, texts)
        offsets = np.fromiter(accumulate(lengths, initial=0), np.int64, len(texts) + 1)
        return cls(np.frombuffer(bytearray(data), np.uint8), offsets)

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


def _utf8_length(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


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


def joined(parts: Iterable[Columns]) -> Columns:
    """The logs of all `parts` (at least one), one after the other.

    Each part is copied as it comes into buffers that grow in place, so that the parts of a
    generator do not exist at the same time.
    """
    buffers: list[_Buffer] = []
    for part in parts:
        buffers = buffers or [_Buffer() for _ in _fields(part)]
        for buffer, field in zip(buffers, _fields(part), strict=True):
            buffer.append(field)
    return Columns(*(buffer.field() for buffer in buffers))


class _Buffer:
    """One field of several Columns, one after the other."""

    def __init__(self) -> None:
        self._data = bytearray()
        self._lengths: list[NDArray[np.int64]] = []
        self._last: Any = None

    def append(self, field: Any) -> None:
        self._last = field
        if isinstance(field, Texts):
            self._lengths.append(np.diff(field.offsets))
            self._data.extend(field.data.data)
        else:
            self._data.extend(field.data)

    def field(self) -> Any:
        if isinstance(self._last, Texts):
            offsets = np.concatenate([[0], np.cumsum(np.concatenate(self._lengths))])
            return Texts(np.frombuffer(self._data, np.uint8), offsets.astype(np.int64))
        shape = (-1, *self._last.shape[1:])
        return np.frombuffer(self._data, self._last.dtype).reshape(shape)


def columns_of(
    time: Sequence[float],
    user_id: Sequence[str | None],
    endpoint: Sequence[str],
    method: Sequence[str],
    status_code: Sequence[int],
    response_time: Sequence[float | None],
    ip_address: Sequence[str | None],
    user_agent: Sequence[str | None],
    request_size: Sequence[float | None],
    response_size: Sequence[float | None],
) -> Columns:
    """Columns from n valid values per field; None and negative amounts are unknown.

    Methods are expected in upper case. Raises ValueError for an invalid `ip_address`.
    """
    n = len(time)
    amounts = np.array([response_time, request_size, response_size], np.float64)  # None: NaN
    amounts[amounts < 0] = np.nan
    words = np.fromiter(chain.from_iterable(map(address_words, ip_address)), np.uint64, 2 * n)
    return Columns(
        time=np.fromiter(time, np.float64, n),
        user=Texts.of(user_id),
        endpoint=Texts.of(endpoint),
        agent=Texts.of(user_agent),
        method=np.fromiter((_METHOD_CODES.get(name, OTHER_METHOD) for name in method), np.uint8, n),
        status=np.fromiter(status_code, np.int16, n),
        response_time=amounts[0],
        request_size=amounts[1],
        response_size=amounts[2],
        address=words.reshape(n, 2),
    )


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
