"""The team's own traffic, from which attacks take endpoints, user agents, addresses and users."""

from collections import Counter
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.logs.columns import METHODS, Columns, Texts, address_words

_WRITES = np.array([METHODS.index(name) for name in ("POST", "PUT", "PATCH", "DELETE")], np.uint8)
_LETTERS = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", np.uint8)
_MIN_ACCOUNT_LOGS = 20  # of a user whose account is worth taking over
_SAMPLED_LOGS = 2_000  # searched for URLs with numbers and for rare URLs
_SECONDS_PER_DAY = 86_400.0
#: Prefix of invented users. It is hashed into keys, so another text gives slightly other models.
_UNKNOWN_USER = "rehearsed-"


@dataclass
class Episode:
    """The m logs of one attacker: copies of the own logs `rows` (m,), and what differs in them."""

    rows: NDArray[np.int64]
    time: NDArray[np.float64]  # (m,), Unix seconds
    user: str | None
    address: NDArray[np.uint64]  # (m, 2), as words
    agent: int  # the row whose user agent all logs get; -1: each log keeps that of its own row
    endpoint: list[str] | None = None
    status: NDArray[np.int16] | None = None
    method: int | None = None
    users: list[str | None] | None = None  # (m,), where they are not all `user`
    size_factor: float = 1.0  # of the response size
    time_factor: float = 1.0  # of the response time


class Actor(NamedTuple):
    """An attacker: its user, its address (1, 2), and the row of its usual user agent, if any."""

    user: str | None
    address: NDArray[np.uint64]
    agent: int | None


class TrafficSampler:
    """Random choices from n own logs in time order; `users` (n,) are the keys of their users."""

    def __init__(
        self, columns: Columns, users: NDArray[np.uint64], rng: np.random.Generator
    ) -> None:
        self.columns, self.rng = columns, rng
        self.all = np.arange(len(columns))
        self.writes = np.flatnonzero(np.isin(columns.method, _WRITES))
        status = columns.status[self.writes]
        self.failed_writes = self.writes[(status >= 400) & (status < 500)]
        sampled = rng.choice(self.all, min(len(self.all), _SAMPLED_LOGS))
        self.numbered = np.array([row for row in sampled if _has_digit(self.url(row))], np.int64)
        self.rare = _with_unique_url(columns, sampled)
        keys, first, counts = np.unique(users, return_index=True, return_counts=True)
        named = np.array([self._is_named(int(row)) for row in first])
        self.accounts = keys[(counts >= _MIN_ACCOUNT_LOGS) & named]
        self.users = users
        self.begin, self.end = float(columns.time[0]), float(columns.time[-1])
        self.anonymous_share = float((np.diff(columns.user.offsets) == 0).mean())

    def _is_named(self, row: int) -> bool:
        """Whether the log has a user, and not one that is called like an address."""
        user = _text(self.columns.user, row)
        return user is not None and not _is_address(user)

    def url(self, row: int) -> str:
        return _text(self.columns.endpoint, row) or "/"

    def pick(self, rows: NDArray[np.int64], size: int) -> NDArray[np.int64]:
        """`size` of `rows` (of all logs when `rows` is empty), with replacement."""
        return self.rng.choice(rows if len(rows) else self.all, size)

    def pick_one(self, rows: NDArray[np.int64]) -> int:
        """One of `rows`; one of all logs when `rows` is empty."""
        return int(self.pick(rows, 1)[0])

    def write_row(self) -> int:
        """A write to repeat. Failed writes are preferred: where a password or code is asked for,
        some of the team's own attempts fail."""
        failed = self.failed_writes if self.rng.random() < 0.3 else self.writes
        return self.pick_one(failed if len(failed) else self.writes)

    def size(self, low: int = 4, high: int = 400) -> int:
        """How many logs an attacker sends: log-uniform."""
        return int(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def factor(self, low: float, high: float) -> float:
        """A log-uniform number."""
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def times(self, size: int, min_gap: float = 0.2, max_gap: float = 600.0) -> NDArray[np.float64]:
        """Times of `size` logs, in Unix seconds, with regular or irregular gaps; the mean gap is
        log-uniform between the two in seconds.

        They lie within the history; a longer episode is compressed to fit.
        """
        mean_gap = np.exp(self.rng.uniform(np.log(min_gap), np.log(max_gap)))
        irregular = self.rng.random() < 0.6
        gaps = mean_gap * (
            self.rng.exponential(1.0, size) if irregular else self.rng.uniform(0.9, 1.1, size)
        )
        span, total = self.end - self.begin, float(gaps.sum())
        last_start = max(self.begin, self.end - total)
        first_start = min(last_start, self.begin + 0.2 * span)
        compression = min(1.0, (span + 1.0) / (total + 1.0))
        return self.rng.uniform(first_start, last_start) + np.cumsum(gaps) * compression

    def shift_to_inactive_hours(
        self, rows: NDArray[np.int64], times: NDArray[np.float64]
    ) -> NDArray[np.float64]:
        """`times` (m,) moved to start 8 to 16 hours after the mean hour of the logs `rows`; within
        the history if it is long enough."""
        angles = self.columns.time[rows] / _SECONDS_PER_DAY * 2.0 * np.pi
        mean_hour = float(np.angle(np.exp(1j * angles).sum())) / (2.0 * np.pi) * _SECONDS_PER_DAY
        shift = float(self.rng.integers(8, 16)) * 3_600.0
        delay = (mean_hour + shift - float(times[0])) % _SECONDS_PER_DAY
        fits = float(times[-1]) + delay <= self.end
        return times + (delay if fits else delay - _SECONDS_PER_DAY)

    def stranger(self) -> Actor:
        """A new user (anonymous as often as the team's logs are) at a new address."""
        address = self.new_addresses(1)
        if self.rng.random() < self.anonymous_share:
            return Actor(None, address, None)
        return Actor(f"{_UNKNOWN_USER}{self.rng.integers(1 << 40)}", address, None)

    def account(self) -> tuple[str | None, NDArray[np.int64]]:
        """An established user and its rows. Only where there are accounts."""
        rows = np.flatnonzero(self.users == self.rng.choice(self.accounts))
        return _text(self.columns.user, int(rows[0])), rows

    def account_user(self) -> Actor:
        """An established user: at its own address with its own user agent, or somewhere else."""
        user, own = self.account()
        if self.rng.random() < 0.5:
            return Actor(user, self.new_addresses(1), None)
        row = self.pick_one(own)
        return Actor(user, self.address(row), row)

    def actor(self) -> Actor:
        """An established user or a stranger."""
        return self.account_user() if self.rng.random() < 0.5 else self.stranger()

    def address(self, row: int) -> NDArray[np.uint64]:
        """The address (1, 2) of one log."""
        return self.columns.address[row : row + 1]

    def new_addresses(self, size: int) -> NDArray[np.uint64]:
        """Random public-looking IPv4 addresses as words (size, 2)."""
        v4 = self.rng.integers(0x01000000, 0xDF000000, size, dtype=np.uint64)
        return np.stack([np.zeros(size, np.uint64), v4 | np.uint64(0xFFFF << 32)], axis=1)

    def pick_addresses(self, pool: NDArray[np.uint64], size: int) -> NDArray[np.uint64]:
        """`size` of the addresses `pool` (k, 2), with replacement."""
        return pool[self.rng.integers(0, len(pool), size)]

    def user_names(self, row: int, size: int) -> list[str | None]:
        """New users for `size` attempts at the write `row`; none if the own logs of it have
        none.
        """
        anonymous = self.columns.user.offsets[row] == self.columns.user.offsets[row + 1]
        if self.anonymous_share > 0.9 or anonymous:
            return [None] * size
        return [f"{_UNKNOWN_USER}{number}" for number in self.rng.integers(0, 1 << 40, size)]

    def agent(self, own: int | None = None) -> int:
        """The row of an actor's `own` user agent if it has one, else of any."""
        return self.pick_one(self.all) if own is None else own

    def one_agent_or_many(self) -> int:
        """The row of one user agent; or, for one attacker in five, -1: another with each log."""
        return -1 if self.rng.random() < 0.2 else self.agent()

    def statuses(self, size: int, choices: tuple[int, ...]) -> NDArray[np.int16]:
        """Statuses (size,) in a random mix of `choices`."""
        shares = self.rng.dirichlet(np.full(len(choices), 0.7))
        return self.rng.choice(choices, size, p=shares).astype(np.int16)

    def attempt_statuses(self, row: int, size: int, choices: tuple[int, ...]) -> NDArray[np.int16]:
        """Statuses (size,) of attempts at the write `row`: a random mix of `choices`, or that of
        the own log with a few successes."""
        if self.rng.random() < 0.7:
            return self.statuses(size, choices)
        status = np.full(size, self.columns.status[row], np.int16)
        status[self.rng.random(size) < self.rng.uniform(0.0, 0.3)] = 200
        return status

    def word(self) -> str:
        """A random path segment, which no log has."""
        return bytes(self.rng.choice(_LETTERS, self.rng.integers(3, 14))).decode()

    def unused_path(self, row: int) -> str:
        """A path that no log has, beside that of one log."""
        parts = self.url(row).split("?")[0].split("/")[: int(self.rng.integers(1, 4))]
        words = [self.word(), *([self.word()] if self.rng.random() < 0.4 else [])]
        return "/".join([*parts, *words])


def replace_number(url: str, number: int) -> str:
    """The URL with its last number replaced; with one appended if it has none."""
    stop = max((i for i, letter in enumerate(url) if letter.isdigit()), default=-1) + 1
    start = stop
    while start > 0 and url[start - 1].isdigit():
        start -= 1
    return f"{url[:start]}{number}{url[stop:]}" if stop else f"{url.rstrip('/')}/{number}"


def repeat_address(address: NDArray[np.uint64], size: int) -> NDArray[np.uint64]:
    """One address (1, 2) for each of `size` logs."""
    return np.repeat(address, size, axis=0)


def _with_unique_url(columns: Columns, rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of `rows` whose URL no other of them has."""
    urls = [_text(columns.endpoint, int(row)) for row in rows]
    counts = Counter(urls)
    return rows[[counts[url] == 1 for url in urls]]


def _text(texts: Texts, row: int) -> str | None:
    data = texts.data[texts.offsets[row] : texts.offsets[row + 1]]
    return bytes(data).decode("utf-8", "surrogatepass") if len(data) else None


def _is_address(text: str) -> bool:
    try:
        return address_words(text) != (0, 0)
    except ValueError:
        return False


def _has_digit(text: str) -> bool:
    return any(letter.isdigit() for letter in text)
