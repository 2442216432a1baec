"""The stage of a rehearsal: a team's own logs, from which attackers borrow endpoints, agents and
users.
"""

from collections import Counter
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from api_anomaly.logs.columns import METHODS, Columns, Texts, address_words

_WRITES = np.array([METHODS.index(name) for name in ("POST", "PUT", "PATCH", "DELETE")], np.uint8)
_LETTERS = np.frombuffer(b"abcdefghijklmnopqrstuvwxyz", np.uint8)
_ESTABLISHED = 20  # logs of a user whose account is worth taking over
_SAMPLE = 2_000  # logs that are looked through for numbered endpoints


@dataclass
class Episode:
    """One attacker's m logs: `rows` (m,) of the team's logs to start from, and what differs."""

    rows: NDArray[np.int64]
    time: NDArray[np.float64]
    user: str | None
    address: NDArray[np.uint64]  # (m, 2)
    agent: int  # the row whose user agent is borrowed; -1: each log keeps its own row's
    endpoint: list[str] | None = None
    status: NDArray[np.int16] | None = None
    method: int | None = None
    users: list[str | None] | None = None
    size_factor: float = 1.0
    time_factor: float = 1.0


class TrafficSampler:
    """The team's own logs, as the attackers' material."""

    def __init__(
        self, columns: Columns, users: NDArray[np.uint64], rng: np.random.Generator
    ) -> None:
        self.columns, self.rng = columns, rng
        self.all = np.arange(len(columns))
        self.writes = np.flatnonzero(np.isin(columns.method, _WRITES))
        status = columns.status[self.writes]
        self.refused = self.writes[(status >= 400) & (status < 500)]
        looked = rng.choice(self.all, min(len(self.all), _SAMPLE))
        self.numbered = np.array([row for row in looked if _digits(self.text(row))], np.int64)
        self.rare = _seldom(columns, looked)
        keys, first, counts = np.unique(users, return_index=True, return_counts=True)
        named = np.array([self._named(int(row)) for row in first])
        self.accounts = keys[(counts >= _ESTABLISHED) & named]
        self.users = users
        self.begin, self.end = float(columns.time[0]), float(columns.time[-1])
        self.anonymous = float((np.diff(columns.user.offsets) == 0).mean())

    def _named(self, row: int) -> bool:
        """Whether the log's user is somebody, not nobody and not the address under another name."""
        user = _row(self.columns.user, row)
        return user is not None and not _is_address(user)

    def text(self, row: int) -> str:
        """The endpoint of one log."""
        return _row(self.columns.endpoint, row) or "/"

    def pick(self, rows: NDArray[np.int64], size: int) -> NDArray[np.int64]:
        """`size` of `rows` (or of all logs when there are none), with replacement."""
        return self.rng.choice(rows if len(rows) else self.all, size)

    def length(self, low: int = 4, high: int = 400) -> int:
        """How many logs an attacker sends: log-uniform."""
        return int(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def times(self, size: int, fastest: float = 0.2, slowest: float = 600.0) -> NDArray[np.float64]:
        """Times of `size` logs, steady or not, at a pace between two gaps in seconds, log-uniform.

        They lie in the history's span; a longer episode is squeezed into it.
        """
        pace = np.exp(self.rng.uniform(np.log(fastest), np.log(slowest)))
        irregular = self.rng.random() < 0.6
        gaps = pace * (
            self.rng.exponential(1.0, size) if irregular else self.rng.uniform(0.9, 1.1, size)
        )
        span, whole = self.end - self.begin, float(gaps.sum())
        latest = max(self.begin, self.end - whole)
        early = min(latest, self.begin + 0.2 * span)
        squeezed = min(1.0, (span + 1.0) / (whole + 1.0))
        return self.rng.uniform(early, latest) + np.cumsum(gaps) * squeezed

    def stranger(self) -> tuple[str | None, NDArray[np.uint64]]:
        """A user that nobody knows (none, as often as the team's logs have none), a new address."""
        address = self.new_addresses(1)
        if self.rng.random() < self.anonymous:
            return None, address
        return f"rehearsed-{self.rng.integers(1 << 40)}", address

    def new_addresses(self, size: int) -> NDArray[np.uint64]:
        """Random public-looking IPv4 addresses as words (size, 2)."""
        v4 = self.rng.integers(0x01000000, 0xDF000000, size, dtype=np.uint64)
        return np.stack([np.zeros(size, np.uint64), v4 | np.uint64(0xFFFF << 32)], axis=1)

    def account(self) -> tuple[str | None, NDArray[np.int64]]:
        """An established user and its rows. Only where there are accounts."""
        rows = np.flatnonzero(self.users == self.rng.choice(self.accounts))
        return _row(self.columns.user, int(rows[0])), rows

    def renumbered(self, text: str, number: int) -> str:
        """The endpoint with its last number replaced."""
        stop = max((i for i, letter in enumerate(text) if letter.isdigit()), default=-1) + 1
        start = stop
        while start > 0 and text[start - 1].isdigit():
            start -= 1
        return f"{text[:start]}{number}{text[stop:]}" if stop else f"{text.rstrip('/')}/{number}"

    def word(self) -> str:
        """A path segment that nobody uses."""
        return bytes(self.rng.choice(_LETTERS, self.rng.integers(3, 14))).decode()


def _seldom(columns: Columns, looked: NDArray[np.int64]) -> NDArray[np.int64]:
    """Those of the rows `looked` at whose endpoint none other of them has."""
    texts = [_row(columns.endpoint, int(row)) for row in looked]
    met = Counter(texts)
    return looked[[met[text] == 1 for text in texts]]


def _row(texts: Texts, row: int) -> str | None:
    data = texts.data[texts.offsets[row] : texts.offsets[row + 1]]
    return bytes(data).decode("utf-8", "surrogatepass") if len(data) else None


def _is_address(text: str) -> bool:
    try:
        return address_words(text) != (0, 0)
    except ValueError:
        return False


def _digits(text: str) -> bool:
    return any(letter.isdigit() for letter in text)


def mixed(sampler: TrafficSampler, size: int, choices: tuple[int, ...]) -> NDArray[np.int16]:
    """Statuses in a random mix of `choices`."""
    shares = sampler.rng.dirichlet(np.full(len(choices), 0.7))
    return sampler.rng.choice(choices, size, p=shares).astype(np.int16)


def repeated(address: NDArray[np.uint64], size: int) -> NDArray[np.uint64]:
    """One address (1, 2) for each of `size` logs."""
    return np.repeat(address, size, axis=0)
