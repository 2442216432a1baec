"""One rule: which logs it matches, by which key it counts them, and when it fires."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from api_anomaly.rules.logs import RuleLogs

# The columns of RuleLogs by which a rule may count.
SCOPES = ("actor", "address", "endpoint")


class RuleError(ValueError):
    """Invalid rules. The message names the rule and the faulty entry."""


@dataclass(frozen=True, slots=True)
class Match:
    """Conditions on one log. All must hold; an empty condition always holds.

    status      inclusive ranges of status codes, any of them
    method      upper-case methods, any of them
    endpoint    lower-case texts, any of them contained
    agent       lower-case texts, any of them contained
    size_over   bytes: the response is larger than this (an unknown size is not)
    """

    status: tuple[tuple[int, int], ...] = ()
    method: tuple[str, ...] = ()
    endpoint: tuple[str, ...] = ()
    agent: tuple[str, ...] = ()
    size_over: int | None = None

    def rows(self, logs: RuleLogs) -> npt.NDArray[np.bool_]:
        """bool (n,): the logs that meet all conditions. O(n)."""
        met = np.ones(len(logs), dtype=np.bool_)
        if self.status:
            met &= np.any([(logs.status >= a) & (logs.status <= b) for a, b in self.status], axis=0)
        if self.method:
            wanted = frozenset(self.method)
            met &= np.fromiter((m in wanted for m in logs.method), np.bool_, len(logs))
        if self.endpoint:
            met &= _containing(logs.endpoint, self.endpoint)
        if self.agent:
            met &= _containing(logs.agent, self.agent)
        if self.size_over is not None:
            met &= logs.response_size > self.size_over
        return met


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule without a window fires on each matching log; one with a window counts.

    id           stable name, the column of the result
    description  one sentence for readers
    match        the logs that it looks at
    per          actor, address or endpoint: the key by which logs are counted
    window       seconds, or None for a rule that does not count
    at_least     the count from which it fires (1 without a window)
    """

    id: str
    description: str
    match: Match
    per: str = "actor"
    window: float | None = None
    at_least: int = 1

    def keys(self, logs: RuleLogs) -> Sequence[str | None]:
        """n texts: the key of each log; None is never counted."""
        columns = {"actor": logs.actor, "address": logs.address, "endpoint": logs.endpoint}
        return columns[self.per]


def _containing(values: Sequence[str | None], parts: tuple[str, ...]) -> npt.NDArray[np.bool_]:
    """bool (n,): the values that contain any part. Each distinct value is searched once."""
    found: dict[str | None, bool] = {None: False}
    for value in values:
        if value not in found:
            lowered = value.lower() if value else ""
            found[value] = any(part in lowered for part in parts)
    return np.fromiter((found[value] for value in values), np.bool_, len(values))
