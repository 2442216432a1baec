"""A threshold that keeps its word: alerts on ordinary logs against the budget that was set."""

from __future__ import annotations

from typing import NamedTuple

from benchmarks.quality.contenders import by_our_model
from benchmarks.quality.datasets import Dataset

BUDGETS = (0.01, 0.001)


class Promise(NamedTuple):
    """At one budget: benign logs of the test part, and how many of them were alerts."""

    budget: float
    logs: int
    alerts: int

    @property
    def ratio(self) -> float:
        """Observed alerts over promised alerts; 1 is a word kept."""
        return self.alerts / (self.budget * self.logs)


def kept(data: Dataset, budget: float) -> Promise:
    """Train for the budget on the training part, count on the benign logs of the test part."""
    scored = by_our_model(data, budget)
    benign = data.label[data.cut :] == 0
    alerts = int((scored.scores[benign] >= scored.threshold).sum())
    return Promise(budget, int(benign.sum()), alerts)


def together(promises: list[Promise]) -> Promise:
    """Several data sets at one budget as one; at least one."""
    logs = sum(promise.logs for promise in promises)
    return Promise(promises[0].budget, logs, sum(promise.alerts for promise in promises))
