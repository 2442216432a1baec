"""What the checks of a set-up (`logs/setup_checks.py`) read of the logs: a block of 1,000 of them.

A block holds keys of a log's user, user agent, address and endpoint, never their texts. When it is
full its `Facts` are computed once.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.kernels import kernel
from api_anomaly.logs.columns import ColumnArrays, Columns
from api_anomaly.logs.templates import Bytes, join, mix, read_path

#: Logs in a block. A field that is absent in one block is absent in 1,000 logs.
BLOCK_LOGS = 1_000
#: Blocks that are read of one batch at most, evenly spread and each of adjacent logs. A training
#: with a million logs costs as much as 8,000 logs, and each stretch still shows who comes back.
_MAX_BLOCKS = 8

_USER, _AGENT, _ADDRESS, _ENDPOINT, _CLIENT = range(5)
_KEYS = 5
_TIME, _SECONDS = range(2)
_REQUEST_SIZE, _RESPONSE_SIZE, _SUCCESS, _PRIVATE, _OWN_ADDRESS, _PREFIX = (1, 2, 4, 8, 16, 32)

_NO_KEY = np.uint64(0)
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_IPV4 = np.uint64(0xFFFF)


@kernel
def _fill(
    columns: ColumnArrays,
    first: int,
    count: int,
    row: int,
    keys: NDArray[np.uint64],
    numbers: NDArray[np.float64],
    flags: NDArray[np.uint8],
) -> None:
    """Write `count` logs from log `first` on into the block's rows from `row` on."""
    for i in range(first, first + count):
        start, stop = columns.user.offsets[i], columns.user.offsets[i + 1]
        high, low = columns.address[i, 0], columns.address[i, 1]
        own, prefix = _read_user(columns.user.data, start, stop, low)
        user = _NO_KEY if start == stop or own else _key(columns.user.data, start, stop)
        start, stop = columns.agent.offsets[i], columns.agent.offsets[i + 1]
        # Many logs write "-" for none.
        agent = _key(columns.agent.data, start, stop) if stop - start > 1 else _NO_KEY
        address = join(high, low) if high != 0 or low != 0 else _NO_KEY
        start, stop = columns.endpoint.offsets[i], columns.endpoint.offsets[i + 1]
        keys[_USER, row], keys[_AGENT, row], keys[_ADDRESS, row] = user, agent, address
        keys[_ENDPOINT, row] = read_path(columns.endpoint.data, start, stop)[0]
        keys[_CLIENT, row] = user if user != _NO_KEY else join(address, agent)
        numbers[_TIME, row] = columns.time[i]
        numbers[_SECONDS, row] = columns.response_time[i]
        flag = _REQUEST_SIZE * (columns.request_size[i] >= 0.0)
        flag += _RESPONSE_SIZE * (columns.response_size[i] >= 0.0)
        flag += _SUCCESS * (columns.status[i] < 400) + _PRIVATE * _is_private(high, low)
        flags[row] = flag + _OWN_ADDRESS * own + _PREFIX * prefix
        row += 1


@kernel
def _key(data: Bytes, start: int, stop: int) -> np.uint64:
    """Key of the bytes data[start:stop], eight at a time: four times as fast as `text_key`."""
    key, position, end = np.uint64(stop - start), np.uint64(start), np.uint64(stop)
    while position + np.uint64(8) <= end:
        word = np.uint64(0)
        for k in range(8):
            word |= np.uint64(data[position + np.uint64(k)]) << np.uint64(8 * k)
        key = (key ^ word) * _PRIME
        key ^= key >> np.uint64(29)
        position += np.uint64(8)
    while position < end:
        key = (key ^ np.uint64(data[position])) * _PRIME
        position += np.uint64(1)
    return mix(key)


@kernel
def _is_private(high: np.uint64, low: np.uint64) -> bool:
    """Whether an address is private, shared (RFC 6598), of the link or of this machine."""
    if high == 0 and (low >> np.uint64(32)) == _IPV4:
        a, b = (low >> np.uint64(24)) & np.uint64(0xFF), (low >> np.uint64(16)) & np.uint64(0xFF)
        if a == 10 or a == 127:
            return True
        if a == 172:
            return bool(16 <= b < 32)
        if a == 100:
            return bool(64 <= b < 128)
        return bool((a == 192 and b == 168) or (a == 169 and b == 254))
    local = high >> np.uint64(57) == 0x7E or high >> np.uint64(54) == 0x3FA
    return bool(local or (high == 0 and low == 1))


@kernel
def _read_user(data: Bytes, start: int, stop: int, address: np.uint64) -> tuple[bool, bool]:
    """Whether the user is the log's own IPv4 address, and whether it looks like what stands in
    front of a log line: a date, a time, the header of syslog or Compose, another address.

    A name of a month alone is no sign: people are called Jan, April and May.
    """
    if stop == start:
        return False, False
    first = data[start]
    separators, digits, dots, run = 0, 0, 0, 0
    number, part, ipv4 = np.uint64(0), np.uint64(0), True
    clock = 0  # of dd:dd:dd: groups of two digits in a row that a colon joins
    for position in range(start, stop):
        byte = data[position]
        if 48 <= byte <= 57:
            digits, run = digits + 1, run + 1
            part = part * np.uint64(10) + np.uint64(byte - 48)
            ipv4 = ipv4 and run <= 3
            if clock == 2 and run == 2:
                return False, True
            continue
        if byte == 46 and run > 0 and part < 256:
            dots, number, part = dots + 1, (number << np.uint64(8)) | part, np.uint64(0)
        else:
            ipv4 = False
        clock = clock + 1 if byte == 58 and run == 2 else 0
        # "|" after a space: "web-1  | "
        separators += byte == 124 and position > start and data[position - 1] == 32
        run = 0
    if ipv4 and dots == 3 and run > 0 and part < 256:
        own = ((number << np.uint64(8)) | part) == address & np.uint64(0xFFFFFFFF)
        return own, not own
    header = first == 60 or first == 91 or data[stop - 1] == 58 or separators > 0
    return False, header or _is_date(data, start, stop)


@kernel
def _is_date(data: Bytes, start: int, stop: int) -> bool:
    """Whether a text begins with 2024-01-31, 2024/01/31, 31/Jan/2024 or "Jan 31"."""
    kinds = 0  # of the first six characters, one decimal each: 1 digit, 2 letter, 3 - or /, 4 space
    for position in range(start, min(start + 6, stop)):
        byte = data[position]
        letter = 65 <= byte <= 90 or 97 <= byte <= 122
        kind = 1 if 48 <= byte <= 57 else 2 if letter else 4 if byte == 32 else 5
        if byte == 45 or byte == 47:
            kind = 3
        kinds = kinds * 10 + kind
    if stop - start >= 10 and kinds == 111131:
        return bool(data[start + 7] == data[start + 4])
    if stop - start >= 11 and kinds == 113222:
        return bool(data[start + 6] == data[start + 2])
    return bool(kinds // 10 == 22241 or kinds == 222441)


class Quantiles(NamedTuple):
    """Of the response times above 0 in a block, in seconds. `whole`: the share of whole numbers."""

    low: float
    median: float
    high: float
    highest: float
    whole: float


class Crowd(NamedTuple):
    """Numbers of different users, user agents, addresses and endpoints."""

    users: int
    agents: int
    addresses: int
    endpoints: int


class Facts(NamedTuple):
    """A block of n logs. `weight`: the logs it stands for. `present`: the share with each of
    FIELDS, `absent`: how many logs at the end lack it. `behind`: those of the most frequent
    address if it has nearly all, else all. `top`: frequent clients and their logs.
    `prefixes`: the share of users that look like the prefix of a line, of all users that are not
    the address of their log.
    """

    n: int
    weight: float
    first: float
    last: float
    present: dict[str, float]
    absent: dict[str, int]
    crowd: Crowd
    success: float
    address_share: float
    behind: Crowd
    behind_success: float
    private: float
    clients: int
    top: list[tuple[int, int]]
    user_logs: int
    prefixes: float
    machines: int
    seconds: Quantiles | None


#: Fields that can stop, by their name in a sentence.
FIELDS = (
    "response times",
    "users",
    "addresses",
    "user agents",
    "request sizes",
    "response sizes",
)
#: From this share on an address has nearly all logs: a few come from health checks and hosts beside
#: the proxy.
NEARLY_ALL = 0.95
#: A frequent client has at least one log in eight.
_FREQUENT = 8
#: Response times that quantiles need: the tenth of 200 is the 20th value.
_MIN_SECONDS = 200


class Block:
    """Up to BLOCK_LOGS logs of one source."""

    __slots__ = ("_keys", "_numbers", "_flags", "_rows", "_weight")

    def __init__(self) -> None:
        self._keys = np.zeros((_KEYS, BLOCK_LOGS), np.uint64)
        self._numbers = np.zeros((2, BLOCK_LOGS))
        self._flags = np.zeros(BLOCK_LOGS, np.uint8)
        self._rows, self._weight = 0, 0.0

    def __len__(self) -> int:
        return self._rows

    def add(self, columns: ColumnArrays, first: int, count: int, weight: float) -> None:
        """Add `count` logs from `first` on, at most as many as fit; each stands for `weight`."""
        _fill(columns, first, count, self._rows, self._keys, self._numbers, self._flags)
        self._rows += count
        self._weight += count * weight

    def take(self) -> Facts:
        """The facts of the logs (at least one), after which the block is empty."""
        n = self._rows
        facts = _facts(self._keys[:, :n], self._numbers[:, :n], self._flags[:n], self._weight)
        self._rows, self._weight = 0, 0.0
        return facts


def stretches(columns: Columns) -> list[tuple[int, int]]:
    """(first, end) of the adjacent logs to read of a batch; all of them if it is not large."""
    n = len(columns)
    if n <= _MAX_BLOCKS * BLOCK_LOGS:
        return [(0, n)]
    starts = np.linspace(0, n - BLOCK_LOGS, _MAX_BLOCKS).astype(np.int64).tolist()
    return [(start, start + BLOCK_LOGS) for start in starts]


def _facts(
    keys: NDArray[np.uint64],
    numbers: NDArray[np.float64],
    flags: NDArray[np.uint8],
    weight: float,
) -> Facts:
    n = len(flags)
    has = np.empty((len(FIELDS), n), np.bool_)
    np.greater_equal(numbers[_SECONDS], 0.0, out=has[0])  # NaN: unknown
    known_user = keys[_USER] != 0
    np.logical_or(known_user, flags & _OWN_ADDRESS, out=has[1])
    np.not_equal(keys[_ADDRESS], 0, out=has[2])
    np.not_equal(keys[_AGENT], 0, out=has[3])
    np.not_equal(flags & _REQUEST_SIZE, 0, out=has[4])
    np.not_equal(flags & _RESPONSE_SIZE, 0, out=has[5])
    present = has.sum(axis=1).tolist()
    addresses, address_logs = _counts(keys[_ADDRESS])
    clients, client_logs = _counts(keys[_CLIENT])
    user_logs = int(np.count_nonzero(known_user))
    most = int(address_logs.max()) if len(addresses) else 0
    frequent = np.flatnonzero(client_logs >= n // _FREQUENT)
    success = (flags & _SUCCESS) != 0
    crowd = _crowd(keys, len(addresses))
    behind, behind_success = crowd, float(success.mean())
    if most < n and most >= NEARLY_ALL * present[2] > 0:
        rows = keys[_ADDRESS] == addresses[address_logs.argmax()]
        behind, behind_success = _crowd(keys[:, rows], 1), float(success[rows].mean())
    return Facts(
        n=n,
        weight=weight,
        first=float(numbers[_TIME].min()),
        last=float(numbers[_TIME].max()),
        present={name: logs / n for name, logs in zip(FIELDS, present, strict=True)},
        absent=dict(zip(FIELDS, _trailing(has), strict=True)),
        crowd=crowd,
        success=float(success.mean()),
        address_share=most / present[2] if most else 0.0,
        behind=behind,
        behind_success=behind_success,
        private=np.count_nonzero(flags & _PRIVATE) / present[2] if most else 0.0,
        clients=len(clients),
        top=list(zip(clients[frequent].tolist(), client_logs[frequent].tolist(), strict=True)),
        user_logs=user_logs,
        prefixes=np.count_nonzero(flags & _PREFIX) / user_logs if user_logs else 0.0,
        machines=_different(keys[_ADDRESS] ^ (keys[_AGENT] >> np.uint64(1))),
        seconds=_quantiles(numbers[_SECONDS]),
    )


def _counts(keys: NDArray[np.uint64]) -> tuple[NDArray[np.uint64], NDArray[np.int64]]:
    """The different keys except 0, and how often each occurs."""
    ordered = np.sort(keys)
    starts = np.concatenate([[0], np.flatnonzero(ordered[1:] != ordered[:-1]) + 1])
    counts = np.diff(starts, append=len(ordered))
    skip = 1 if ordered[0] == 0 else 0
    return ordered[starts[skip:]], counts[skip:]


def _different(keys: NDArray[np.uint64]) -> int:
    """How many different keys there are except 0."""
    ordered = np.sort(keys)
    return int(np.count_nonzero(ordered[1:] != ordered[:-1])) + int(ordered[0] != 0)


def _crowd(keys: NDArray[np.uint64], addresses: int) -> Crowd:
    users, agents, endpoints = (_different(keys[kind]) for kind in (_USER, _AGENT, _ENDPOINT))
    return Crowd(users, agents, addresses, endpoints)


def _trailing(has: NDArray[np.bool_]) -> list[int]:
    """For each field how many logs at the end lack it."""
    n = has.shape[1]
    last = has[:, ::-1].argmax(axis=1).tolist()
    return [absent if row[-1 - absent] else n for row, absent in zip(has, last, strict=True)]


def _quantiles(seconds: NDArray[np.float64]) -> Quantiles | None:
    known = np.sort(seconds[seconds > 0])
    n = len(known)
    if n < _MIN_SECONDS:
        return None
    low, median, high, highest = known[[n // 10, n // 2, n * 9 // 10, n * 99 // 100]].tolist()
    return Quantiles(low, median, high, highest, np.count_nonzero(known == np.rint(known)) / n)
