"""Tail probabilities, the threshold from the alert budget, risk and severity.

The tail probability of a value is the share of ordinary logs with at least that value; evidence is
-ln of it. A `TailCurve` keeps it as quantiles, linear in between, and continues exponentially
beyond the last quantile that still has a handful of logs behind it.
"""

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from api_anomaly.kernels import kernel

SEVERITIES = ("low", "medium", "high", "critical")
#: A log that is this many times rarer than the budget has at least the severity at that index + 1.
_SEVERITY_STEPS = np.array([1.0, 10.0, 100.0])
_QUANTILE_LOGS = 5  # logs behind the last quantile, so that one outlier does not set the tail
_QUANTILES_PER_DECADE = 16
#: Logs beyond a point that count of one actor at most, and the share of the logs that should lie
#: there. Measured as alerts over the budget: with a fixed limit of five logs, weeks without attacks
#: got 2.6 times the budget of 0.01; with a share of 1/20, a real blog with attacks in its history
#: got 0.1 of it. With these, ten weeks got 1.43 times 0.01 and 1.32 times 0.001, the blog 0.64
#: times 0.01.
_ACTOR_LOGS, _ACTOR_SHARE = 7, 0.02
_MAX_FLAGGED = 5.0  # times the budget
#: Times _MAX_FLAGGED, with the excluded logs. It decides little: from five to a hundred, benign
#: logs of four simulations with attacks in the history got 0.45 to 0.48 of the budget of 0.001.
_MAX_FLAGGED_EXCLUDED = 8.0
_MIN_RISE = 1e-9  # between values that are all but equal, so that a slope stays finite
_RISK_DECADES = 6.0  # a tail probability of 1e-6 is risk 100


class TailCurve(NamedTuple):
    """Evidence by value: `value` (k,) ascending, `evidence` (k,) = -ln(tail probability) ascending
    from 0. `slope` is evidence per value beyond the last quantile; `of` and `through` take it over
    the rarer half.
    """

    value: NDArray[np.float64]
    evidence: NDArray[np.float64]
    slope: float

    @classmethod
    def of(cls, ordinary: NDArray[np.float64]) -> Self:
        """From the values (n,) of ordinary logs, n >= 1. O(n)."""
        tails = _tail_probabilities(len(ordinary))
        return cls.through(tails, np.quantile(ordinary, 1.0 - tails))

    @classmethod
    def through(cls, tails: NDArray[np.float64], value: NDArray[np.float64]) -> Self:
        """Through values (k,), ascending, of which `tails` (k,) of the ordinary logs lie above."""
        rises = np.append(True, np.diff(value) > 0)  # of equal values the most frequent stays
        value, evidence = value[rises], -np.log(tails[rises])
        if len(value) == 1:  # all logs have one value: anything above it is beyond the curve
            above = value + np.maximum(1.0, np.abs(value))
            value, evidence = np.append(value, above), np.array([0.0, -np.log(tails[-1])])
        middle = min(int(np.searchsorted(evidence, evidence[-1] / 2.0)), len(value) - 2)
        rise = max(value[-1] - value[middle], _MIN_RISE)
        slope = (evidence[-1] - evidence[middle]) / rise
        return cls(value, evidence, float(slope))

    def evidence_of(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evidence >= 0 of each value (n,); it grows without bound beyond the last quantile."""
        evidence = np.empty(len(values))
        interpolate(self, values, evidence)
        return evidence

    def value_of(self, evidence: float) -> float:
        """The value that has this evidence."""
        if evidence <= self.evidence[-1]:
            return float(np.interp(evidence, self.evidence, self.value))
        return float(self.value[-1] + (evidence - self.evidence[-1]) / self.slope)


@kernel
def interpolate(curve: TailCurve, values: NDArray[np.float64], found: NDArray[np.float64]) -> None:
    """Evidence of `values` (n,) into found (n,), which may be the same array. O(n log k)."""
    value, evidence = curve.value, curve.evidence
    last = len(value) - 1
    for i in range(len(values)):
        x = values[i]
        if x >= value[last]:
            found[i] = evidence[last] + (x - value[last]) * curve.slope
        elif x <= value[0]:
            found[i] = evidence[0]
        else:
            j = np.searchsorted(value, x, side="right") - 1
            part = (x - value[j]) / (value[j + 1] - value[j])
            found[i] = evidence[j] + part * (evidence[j + 1] - evidence[j])


class Calibration(NamedTuple):
    """The tail curve of the history's evidence, and the alert budget: false alarms per ordinary
    log."""

    curve: TailCurve
    budget: float

    @classmethod
    def of(
        cls,
        evidence: NDArray[np.float64],
        actors: NDArray[np.uint64],
        budget: float,
        held_out: int | None = None,
        excluded: NDArray[np.bool_] | None = None,
    ) -> Self:
        """From the evidence (n,) against logs of `actors` (n,); the last `held_out` of them (None:
        all) are those that the model was not trained on.

        Beyond any point an actor counts for at most 7 logs or 1/50 of the logs that should lie
        there, so that no actor dominates; with its `excluded` (n,) logs for one. These limits are
        doubled until neither all logs nor the held-out ones are flagged at more than 5 times the
        budget (40 times, counting excluded logs): a threshold that flags more of a history than
        that is too low. The limits thin out the middle of the curve, so the slope beyond its end is
        the steeper one of with and without them. O(n log n).
        """
        if excluded is None:
            excluded = np.zeros(len(evidence), np.bool_)
        ranks = _ranks_within_actor(evidence, actors)
        ranks[excluded & (ranks > 0)] = len(evidence)
        order = np.argsort(evidence)
        ascending, ranks = evidence[order], ranks[order]
        tails = _tail_probabilities(len(evidence))
        uncapped = TailCurve.through(tails, quantiles(ascending, 1.0 - tails))
        tested = slice(-held_out if held_out else None, None)
        actor_logs = _ACTOR_LOGS
        while True:
            curve = _capped_curve(ascending, ranks, actor_logs)
            found = cls(curve._replace(slope=max(curve.slope, uncapped.slope)), budget)
            flagged = evidence > found.threshold()
            included = flagged & ~excluded
            share = max(float(included.mean()), float(included[tested].mean()))
            share = max(share, float(flagged.mean()) / _MAX_FLAGGED_EXCLUDED)
            if share <= _MAX_FLAGGED * budget or actor_logs >= len(evidence):
                return found
            actor_logs *= 2

    def threshold(self) -> float:
        """The evidence whose tail probability is the budget."""
        return self.curve.value_of(-float(np.log(self.budget)))

    def risk(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """0 to 100: tail probability 1 is 0, 1e-6 and rarer is 100, linear in its logarithm."""
        decades = self.curve.evidence_of(evidence) / np.log(10.0)
        risk: NDArray[np.float64] = np.minimum(100.0, 100.0 * decades / _RISK_DECADES)
        return risk

    def severity(self, evidence: NDArray[np.float64]) -> list[str]:
        """By how much rarer a log is than the budget: not rarer is low, up to 10 times medium, up
        to 100 times high, more critical.
        """
        rarer = self.budget * np.exp(np.minimum(500.0, self.curve.evidence_of(evidence)))
        return [SEVERITIES[step] for step in np.searchsorted(_SEVERITY_STEPS, rarer, side="right")]


def quantiles(ascending: NDArray[Any], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """What ``np.quantile`` gives for ascending values (n,), without sorting them again."""
    at = shares * (len(ascending) - 1)
    low = at.astype(np.int64)
    value, next_ = ascending[low], ascending[np.minimum(low + 1, len(ascending) - 1)]
    part, rise = at - low, next_ - value
    found: NDArray[np.float64] = np.where(
        part < 0.5, value + rise * part, next_ - rise * (1 - part)
    )
    return found


def positions_within_groups(groups: NDArray[Any]) -> NDArray[np.int64]:
    """The position (m,) of each element among its equals, from 0. `groups` (m,) has equal values
    side by side. O(m)."""
    starts = np.flatnonzero(np.append(True, groups[1:] != groups[:-1]))
    return np.arange(len(groups)) - np.repeat(starts, np.diff(np.append(starts, len(groups))))


def _tail_probabilities(logs: int) -> NDArray[np.float64]:
    """The tail probabilities of a curve's quantiles, from 1 down."""
    last = min(0.5, _QUANTILE_LOGS / logs)
    return np.geomspace(1.0, last, num=2 + int(-_QUANTILES_PER_DECADE * np.log10(last)))


def _capped_curve(
    values: NDArray[np.float64], ranks: NDArray[np.int64], actor_logs: int
) -> TailCurve:
    """The curve of `values` (n,), ascending, whose positions among their actor's are `ranks` (n,),
    in which no actor has more than `actor_logs` or its share beyond a quantile. So neither an
    attacker among the logs nor one busy machine sets the tail.
    """
    tails = _tail_probabilities(len(values))
    shares = np.maximum(1.0, _ACTOR_SHARE * tails * len(values) / actor_logs)
    caps = actor_logs * np.exp2(np.ceil(np.log2(shares)))  # few different ones: each costs a pass
    value = np.empty(len(tails))
    for cap in np.unique(caps):
        counted = values[ranks < cap]
        lowest = np.full(len(values) - len(counted), values[0])
        capped = np.concatenate([lowest, counted])  # still ascending
        value[caps == cap] = quantiles(capped, 1.0 - tails[caps == cap])
    # A quantile with a wider cap may lie above a rarer one; the rarer one rests on more actors.
    return TailCurve.through(tails, np.minimum.accumulate(value[::-1])[::-1])


def _ranks_within_actor(
    values: NDArray[np.float64], actors: NDArray[np.uint64]
) -> NDArray[np.int64]:
    """The position of each of `values` (n,) among those of its actor (n,), the highest first."""
    order = np.lexsort((-values, actors))
    ranks = np.empty(len(values), np.int64)
    ranks[order] = positions_within_groups(actors[order])
    return ranks
