"""The rule engine: evaluates rules over logs in any time order, call by call, in bounded memory.

Tuning, benchmarks and live traffic use this one engine. On logs in time order a counting rule
fires while the sliding window that ends at the log holds enough counted logs, however the logs are
split into calls. A log that arrives late is counted at its own time and evaluated at the latest
time of its actor, as the detector does it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from api_anomaly.rules.logs import RuleLogs
from api_anomaly.rules.rule import SCOPES, Rule, RuleError

MAX_KEYS = 50_000
MAX_TIMES = 1_000_000
#: A log older than the latest of its key by more than this many seconds means that a clock was
#: wrong: the key's windows are emptied and its clock is set back, so that its rules fire again.
MAX_CLOCK_STEP = 86_400.0
_MAX_KEY_CHARACTERS = 64  # of a longer key a digest is stored


class Fired(NamedTuple):
    """Which rule fired on which log.

    matrix    bool (n, rules)
    rule_ids  the rule of each column
    """

    matrix: npt.NDArray[np.bool_]
    rule_ids: tuple[str, ...]

    def any(self) -> npt.NDArray[np.bool_]:
        """bool (n,): at least one rule fired on the log."""
        alerted: npt.NDArray[np.bool_] = np.asarray(self.matrix.any(axis=1))
        return alerted

    def by_rule(self) -> dict[str, int]:
        """Number of logs on which each rule fired."""
        return dict(zip(self.rule_ids, self.matrix.sum(axis=0).tolist(), strict=True))


class RuleEngine:
    """Rules with their sliding windows. Not thread-safe: one call at a time.

    Whether a count has reached k needs no count: it has if the k-th latest counted log is still in
    the window. So each key (actor, address or endpoint) stores per rule the times in its window, at
    most k of them. Per scope at most `max_keys` keys and `max_times` times are stored; the key that
    was seen least recently is dropped first and starts from zero when it returns, so with too small
    a limit rules fire late, never wrongly. The defaults take about 70 MB per scope when full.

    Raises ValueError for max_keys < 1, RuleError for a rule whose threshold exceeds `max_times`.
    """

    def __init__(
        self, rules: Sequence[Rule], max_keys: int = MAX_KEYS, max_times: int = MAX_TIMES
    ) -> None:
        if max_keys < 1:
            raise ValueError("max_keys must be at least 1")
        self.rules = tuple(rules)
        self._columns: dict[str, list[int]] = {}
        self._windows: dict[str, _Windows] = {}
        for scope in SCOPES:
            columns = [i for i, rule in enumerate(rules) if rule.window and rule.per == scope]
            counting = [self.rules[column] for column in columns]
            for rule in counting:
                if rule.at_least > max_times:
                    raise RuleError(
                        f"rule {rule.id!r}: on live traffic {max_times} is the highest threshold"
                    )
            if columns:
                self._columns[scope] = columns
                self._windows[scope] = _Windows(counting, max_keys, max_times)

    @property
    def remembered(self) -> dict[str, tuple[int, int]]:
        """By scope: number of keys in memory, and number of stored times."""
        return {scope: (len(w.entries), w.times) for scope, w in self._windows.items()}

    def evaluate(self, logs: RuleLogs, remember: bool = True) -> Fired:
        """Apply every rule to n logs in the order in which they arrived; about 5 µs a log.

        With `remember` false the logs of this call still count for each other, and the stored
        windows are left unchanged.
        """
        matrix = np.zeros((len(logs), len(self.rules)), dtype=np.bool_)
        for column, rule in enumerate(self.rules):
            matrix[:, column] = rule.match.rows(logs)
        times = logs.time.tolist()
        for scope, columns in self._columns.items():
            windows = self._windows[scope] if remember else _ScratchWindows(self._windows[scope])
            keys = self.rules[columns[0]].keys(logs)
            matches = matrix[:, columns].tolist()
            reached = [windows.count(*log) for log in zip(keys, times, matches, strict=True)]
            matrix[:, columns] = np.array(reached, np.bool_).reshape(len(logs), len(columns))
        return Fired(matrix, tuple(rule.id for rule in self.rules))


class _Entry:
    """One key: its latest time, and for each rule the counted times in its window, ascending."""

    __slots__ = ("latest", "counted")

    def __init__(self, latest: float, counted: list[list[float]]) -> None:
        self.latest = latest
        self.counted = counted


class _Windows:
    """The sliding windows of all keys of one scope, least recently seen key first."""

    def __init__(self, rules: Sequence[Rule], max_keys: int, max_times: int) -> None:
        self.rules = rules
        self.limits = [(rule.window or 0.0, rule.at_least) for rule in rules]
        self.max_keys, self.max_times = max_keys, max_times
        self.entries: OrderedDict[str, _Entry] = OrderedDict()
        self.times = 0

    def count(self, key: str | None, time: float, matches: list[bool]) -> list[bool]:
        """Count one log and return for each rule whether its threshold is reached.

        A log without a key is never counted.
        """
        if key is None:
            return [False] * len(matches)
        entry = self.entry_of(key if len(key) <= _MAX_KEY_CHARACTERS else _digest(key), time)
        if entry.latest - time > MAX_CLOCK_STEP:
            self.times -= sum(map(len, entry.counted))
            entry.latest, entry.counted = time, [[] for _ in matches]
        now = entry.latest = max(entry.latest, time)
        reached = []
        for counted, match, (window, at_least) in zip(
            entry.counted, matches, self.limits, strict=True
        ):
            before = len(counted)
            _slide(counted, time if match else None, now - window, at_least)
            self.times += len(counted) - before
            reached.append(len(counted) == at_least)
        self.evict()
        return reached

    def entry_of(self, key: str, time: float) -> _Entry:
        """The key's entry, created if it is new, now the most recently seen."""
        entry = self.entries.get(key)
        if entry is None:
            entry = self.entries[key] = _Entry(time, [[] for _ in self.limits])
        else:
            self.entries.move_to_end(key)
        return entry

    def evict(self) -> None:
        """Drop least recently seen keys until the limits are kept."""
        while len(self.entries) > self.max_keys or (
            self.times > self.max_times and len(self.entries) > 1
        ):
            _, entry = self.entries.popitem(last=False)
            self.times -= sum(map(len, entry.counted))


class _ScratchWindows(_Windows):
    """Copies of another scope's entries, made on first use, for a call that changes nothing.

    Not limited: it holds the keys of one call only.
    """

    def __init__(self, source: _Windows) -> None:
        super().__init__(source.rules, source.max_keys, source.max_times)
        self.source = source

    def entry_of(self, key: str, time: float) -> _Entry:
        entry = self.entries.get(key)
        if entry is None:
            original = self.source.entries.get(key)
            entry = (
                _Entry(time, [[] for _ in self.limits])
                if original is None
                else _Entry(original.latest, [times.copy() for times in original.counted])
            )
            self.entries[key] = entry
        return entry

    def evict(self) -> None:
        pass


def _slide(counted: list[float], time: float | None, oldest: float, at_least: int) -> None:
    """Insert `time` (None: no match) into the ascending times, then drop those before `oldest`
    and all but the latest `at_least`.
    """
    if time is not None and time >= oldest:
        if not counted or time >= counted[-1]:
            counted.append(time)
        else:
            insort(counted, time)
    if counted and counted[0] < oldest:
        del counted[: bisect_left(counted, oldest)]
    if len(counted) > at_least:
        del counted[: len(counted) - at_least]


def _digest(key: str) -> str:
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
