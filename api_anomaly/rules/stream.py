"""The rules on live traffic: logs as they were sent, call by call, in bounded room.

The twin of `RuleSet.evaluate` for a service. On logs in time order it fires the same rules on the
same logs, however the logs are cut into calls. Logs that come late join where they belong and are
judged by where their actor stands by now, as the detector does it.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from api_anomaly.rules.logs import RuleLogs
from api_anomaly.rules.rule import SCOPES, Rule, RuleError
from api_anomaly.rules.ruleset import Fired, RuleSet

MAX_KEYS = 50_000
MAX_TIMES = 1_000_000
#: A log older than its actor's latest by more than this many seconds means that a clock had
#: jumped: the actor's past is forgotten and its clock set back, so that it is not blind for ever.
JUMP = 86_400.0
_LONG_KEY = 64  # characters, beyond which a digest stands for the text


class SentLogs(RuleLogs):
    """The same columns in any order of time: as they were sent."""

    in_order = False


class RuleStream:
    """A rule set at work. Not thread-safe: its owner lets one call in at a time.

    Each actor keeps the times that its rules still count: at most as many as a rule's threshold
    and as its window holds. There are `max_keys` actors (and as many addresses, and as many
    endpoints) and `max_times` times of each of these kinds at most; who was seen longest ago goes
    first. One that was forgotten starts from zero: rules fire late, never wrongly. By default some
    70 MB for each kind, when full. Raises RuleError for a rule that counts further than that.
    """

    def __init__(
        self, rules: RuleSet, max_keys: int = MAX_KEYS, max_times: int = MAX_TIMES
    ) -> None:
        if max_keys < 1:
            raise ValueError("max_keys must be at least 1")
        self.rules = rules
        self._places: dict[str, list[int]] = {}
        self._pasts: dict[str, _Pasts] = {}
        for scope in SCOPES:
            places = [i for i, rule in enumerate(rules.rules) if rule.window and rule.per == scope]
            counting = [rules.rules[place] for place in places]
            for rule in counting:
                if rule.at_least > max_times:
                    raise RuleError(
                        f"rule {rule.id!r}: on live traffic {max_times} is the highest threshold"
                    )
            if places:
                self._places[scope] = places
                self._pasts[scope] = _Pasts(counting, max_keys, max_times)

    @property
    def remembered(self) -> dict[str, tuple[int, int]]:
        """How many actors, addresses or endpoints are in memory, and how many times of theirs."""
        return {scope: (len(past.known), past.times) for scope, past in self._pasts.items()}

    def fired(self, logs: SentLogs, remember: bool = True) -> Fired:
        """Which rule fires on which of n logs, in the order sent. About 5 microseconds a log.

        With `remember` false the logs still see one another, then all is as it was.
        """
        matrix = np.zeros((len(logs), len(self.rules.rules)), dtype=np.bool_)
        for column, rule in enumerate(self.rules.rules):
            matrix[:, column] = rule.match.rows(logs)
        times = logs.time.tolist()
        for scope, places in self._places.items():
            past = self._pasts[scope] if remember else self._pasts[scope].scratch()
            keys = self.rules.rules[places[0]].keys(logs)
            rows = matrix[:, places].tolist()
            told = [past.count(*log) for log in zip(keys, times, rows, strict=True)]
            matrix[:, places] = np.array(told, np.bool_).reshape(len(logs), len(places))
        return Fired(matrix, self.rules.ids)


class _Past:
    """One key's latest time, and for each rule the times that it counts, ascending."""

    __slots__ = ("latest", "rings")

    def __init__(self, latest: float, rings: list[list[float]]) -> None:
        self.latest = latest
        self.rings = rings


class _Pasts:
    """The pasts of all keys of one scope, least recently seen first."""

    def __init__(self, rules: Sequence[Rule], max_keys: int, max_times: int) -> None:
        self.rules = rules
        self.limits = [(rule.window or 0.0, rule.at_least) for rule in rules]
        self.max_keys, self.max_times = max_keys, max_times
        self.known: OrderedDict[str, _Past] = OrderedDict()
        self.times = 0

    def scratch(self) -> _Scratch:
        """These pasts for a call that must leave no trace."""
        return _Scratch(self)

    def count(self, key: str | None, time: float, hits: list[bool]) -> list[bool]:
        """Take one log in, and say for each rule whether its count is reached.

        A log of nobody is never counted.
        """
        if key is None:
            return [False] * len(hits)
        past = self.past_of(key if len(key) <= _LONG_KEY else _digest(key), time)
        if past.latest - time > JUMP:
            self.times -= sum(map(len, past.rings))
            past.latest, past.rings = time, [[] for _ in hits]
        now = past.latest = max(past.latest, time)
        reached = []
        for ring, hit, (window, at_least) in zip(past.rings, hits, self.limits, strict=True):
            before = len(ring)
            _slide(ring, time if hit else None, now - window, at_least)
            self.times += len(ring) - before
            reached.append(len(ring) == at_least)
        self.make_room()
        return reached

    def past_of(self, key: str, time: float) -> _Past:
        """The key's past, a blank one when it is new, now the most recently seen."""
        past = self.known.get(key)
        if past is None:
            past = self.known[key] = _Past(time, [[] for _ in self.limits])
        else:
            self.known.move_to_end(key)
        return past

    def make_room(self) -> None:
        """Forget whoever was seen longest ago until the bounds are kept."""
        while len(self.known) > self.max_keys or (
            self.times > self.max_times and len(self.known) > 1
        ):
            _, past = self.known.popitem(last=False)
            self.times -= sum(map(len, past.rings))


class _Scratch(_Pasts):
    """Pasts that are copied from others when they are first asked for; bounded by its one call."""

    def __init__(self, source: _Pasts) -> None:
        super().__init__(source.rules, source.max_keys, source.max_times)
        self.source = source

    def past_of(self, key: str, time: float) -> _Past:
        """The key's own copy."""
        past = self.known.get(key)
        if past is None:
            real = self.source.known.get(key)
            past = (
                _Past(time, [[] for _ in self.limits])
                if real is None
                else _Past(real.latest, [ring.copy() for ring in real.rings])
            )
            self.known[key] = past
        return past

    def make_room(self) -> None:
        """Nothing to do: it ends with its call."""


def _slide(ring: list[float], time: float | None, oldest: float, at_least: int) -> None:
    """Let `time` (None: not counted) join `ring` (ascending) and drop what is older than `oldest`,
    and more than the latest `at_least`.
    """
    if time is not None and time >= oldest:
        if not ring or time >= ring[-1]:
            ring.append(time)
        else:
            insort(ring, time)
    if ring and ring[0] < oldest:
        del ring[: bisect_left(ring, oldest)]
    if len(ring) > at_least:
        del ring[: len(ring) - at_least]


def _digest(key: str) -> str:
    return blake2b(key.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
