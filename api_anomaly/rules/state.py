"""What counting rules remember between logs: a few recent times per actor, and no more."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from api_anomaly.rules.logs import RuleLogs
from api_anomaly.rules.rule import SCOPES, Rule, RuleError

MAX_ACTORS = 100_000


class RuleState:
    """The sliding windows of all counting rules of one rule set.

    Whether a count has reached k needs no count: it has when the k-th latest counted log is still
    in the window. So each actor keeps the last k times per rule and a log costs O(rules).

    At most ``max_actors`` actors (and as many addresses, and as many endpoints) are remembered;
    the one seen longest ago goes first. One that was forgotten starts from zero: with too small a
    limit rules fire late, never wrongly. Not thread safe: one caller at a time.
    """

    def __init__(self, rules: Sequence[Rule], max_actors: int = MAX_ACTORS) -> None:
        if max_actors < 1:
            raise ValueError("max_actors must be at least 1")
        self.rules = tuple(rule for rule in rules if rule.window is not None)
        self.max_actors = max_actors
        self.evictions = 0
        self.last_time = -np.inf
        self._recent: dict[str, OrderedDict[str, tuple[deque[float], ...]]] = {
            scope: OrderedDict() for scope in SCOPES
        }

    def remembered(self) -> dict[str, int]:
        """How many actors, addresses and endpoints are in memory."""
        return {scope: len(recent) for scope, recent in self._recent.items()}

    def advance(self, logs: RuleLogs, hits: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
        """Take the logs in and say where each counting rule stands.

        hits   bool (n, counting rules): the logs that a rule counts
        returns bool (n, counting rules): the count is reached, the log itself included
        Raises RuleError when the first log is older than the last one taken in before.
        """
        fired = np.zeros(hits.shape, dtype=np.bool_)
        if not len(logs):
            return fired
        if logs.time[0] < self.last_time:
            raise RuleError("rule logs must not be older than those of the call before")
        self.last_time = float(logs.time[-1])
        for scope in SCOPES:
            places = [i for i, rule in enumerate(self.rules) if rule.per == scope]
            if places:
                fired[:, places] = self._slide(scope, places, logs, hits[:, places])
        return fired

    def _slide(
        self, scope: str, places: list[int], logs: RuleLogs, hits: npt.NDArray[np.bool_]
    ) -> npt.NDArray[np.bool_]:
        """Slide the windows of the rules of one scope over the logs, one log after the other."""
        rules = [self.rules[place] for place in places]
        windows = [rule.window or 0.0 for rule in rules]
        sizes = [rule.at_least for rule in rules]
        keys, rows = rules[0].keys(logs), hits.tolist()
        fired = []
        for key, time, row in zip(keys, logs.time.tolist(), rows, strict=True):
            if key is None:
                fired.append([False] * len(rules))
                continue
            rings = self._rings(scope, key, sizes)
            for ring, hit in zip(rings, row, strict=True):
                if hit:
                    ring.append(time)
            fired.append(
                [
                    len(ring) == size and ring[0] >= time - window
                    for ring, size, window in zip(rings, sizes, windows, strict=True)
                ]
            )
        return np.array(fired, dtype=np.bool_)

    def _rings(self, scope: str, key: str, sizes: list[int]) -> tuple[deque[float], ...]:
        """The key's recent times, one ring per rule; makes room for a new key."""
        recent = self._recent[scope]
        rings = recent.get(key)
        if rings is not None:
            recent.move_to_end(key)
            return rings
        if len(recent) >= self.max_actors:
            recent.popitem(last=False)
            self.evictions += 1
        rings = tuple(deque(maxlen=size) for size in sizes)
        recent[key] = rings
        return rings


def window_counts(logs: RuleLogs, rule: Rule, hits: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """int64 (n,): at each log, the counted logs of its key in the rule's window, itself included.

    The exact count that ``RuleState`` avoids; tuning needs it. O(n log n), whole logs at once.
    """
    rows_of: dict[str, list[int]] = {}
    for row, key in enumerate(rule.keys(logs)):
        if key is not None:
            rows_of.setdefault(key, []).append(row)
    counts = np.zeros(len(logs), dtype=np.int64)
    window = rule.window or 0.0
    for rows in rows_of.values():
        times = logs.time[rows]
        total = np.concatenate(([0], np.cumsum(hits[rows])))
        oldest = np.searchsorted(times, times - window, side="left")
        counts[rows] = total[1:] - total[oldest]
    return counts
