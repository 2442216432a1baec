"""How rare is it: tail probabilities, the threshold from the alert budget, risk and severity.

The tail probability of a value is the share of ordinary logs with at least that value. It is kept
as a ladder of quantiles, log-linear in between, and goes on exponentially beyond the last rung
that still has a handful of logs behind it.
"""

from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from api_anomaly.kernels import kernel
from api_anomaly.model.ranks import places

SEVERITIES = ("low", "medium", "high", "critical")
#: A log that is this many times rarer than the budget has at least the severity beside it.
_SEVERITY_STEPS = np.array([1.0, 10.0, 100.0])
_QUANTILE_LOGS = 5  # logs behind the last rung, so that one outlier does not set the tail
_QUANTILES_PER_DECADE = 16
#: Logs beyond a point that an actor counts for at most, and the share of what should lie there.
#: Measured as observed over promised alerts: at a fixed five, calm weeks got 2.6 times the budget
#: of 0.01; at a twentieth, a real blog with attacks in its history got 0.1 of it. As it is, ten
#: calm weeks got 1.43 times 0.01 and 1.32 times 0.001, and the blog 0.64 times 0.01.
_ACTOR_LOGS, _ACTOR_SHARE = 7, 0.02
_MOST_FLAGGED = 5.0  # times the budget
#: Times that, with those who are doubted. It decides little: with five to a hundred, benign logs of
#: four simulations with attacks in the history had 0.45 to 0.48 of the promised alerts at 0.001.
_MOST_DOUBTED = 8.0
_LEAST_RISE = 1e-9  # between values that are all but equal, so that a slope stays finite
_RISK_DECADES = 6.0  # a tail probability of 1e-6 is risk 100


class TailCurve(NamedTuple):
    """Rungs of ascending value (k,) and their evidence (k,): -ln(tail probability), ascending from
    0 on. `slope` is evidence per value beyond the last rung: of a ladder made here, that over the
    rarer half.
    """

    value: NDArray[np.float64]
    evidence: NDArray[np.float64]
    slope: float

    @classmethod
    def of(cls, ordinary: NDArray[np.float64]) -> Self:
        """From the values (n,) of ordinary logs, n >= 1."""
        tails = _tails(len(ordinary))
        return cls.through(tails, np.quantile(ordinary, 1.0 - tails))

    @classmethod
    def through(cls, tails: NDArray[np.float64], value: NDArray[np.float64]) -> Self:
        """Through values (k,), ascending, of which `tails` (k,) of the ordinary logs lie above."""
        higher = np.append(True, np.diff(value) > 0)  # of equal rungs the most usual stays
        value, evidence = value[higher], -np.log(tails[higher])
        if len(value) == 1:  # all logs look alike: anything above them is beyond the ladder
            above = value + np.maximum(1.0, np.abs(value))
            value, evidence = np.append(value, above), np.array([0.0, -np.log(tails[-1])])
        middle = min(int(np.searchsorted(evidence, evidence[-1] / 2.0)), len(value) - 2)
        rise = max(value[-1] - value[middle], _LEAST_RISE)
        slope = (evidence[-1] - evidence[middle]) / rise
        return cls(value, evidence, float(slope))

    def evidence_of(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """Evidence >= 0 of each value (n,); it grows without bound beyond the last rung."""
        interpolated = np.empty(len(values))
        interpolate(self.value, self.evidence, self.slope, values, interpolated)
        return interpolated

    def value_of(self, evidence: float) -> float:
        """The value that has this evidence."""
        if evidence <= self.evidence[-1]:
            return float(np.interp(evidence, self.evidence, self.value))
        return float(self.value[-1] + (evidence - self.evidence[-1]) / self.slope)


@kernel
def interpolate(value, evidence, slope, values, interpolated):  # type: ignore[no-untyped-def]
    """Evidence of `values` (n,) into climbed (n,): linear between rungs, on by `slope` above."""
    last = len(value) - 1
    for i in range(len(values)):
        here = values[i]
        if here >= value[last]:
            interpolated[i] = evidence[last] + (here - value[last]) * slope
        elif here <= value[0]:
            interpolated[i] = evidence[0]
        else:
            quantile = np.searchsorted(value, here, side="right") - 1
            part = (here - value[quantile]) / (value[quantile + 1] - value[quantile])
            interpolated[i] = evidence[quantile] + part * (
                evidence[quantile + 1] - evidence[quantile]
            )


class Calibration(NamedTuple):
    """The ladder of the history's evidence and the alert budget: false alarms per ordinary log."""

    curve: TailCurve
    budget: float

    @classmethod
    def of(
        cls,
        evidence: NDArray[np.float64],
        actors: NDArray[np.uint64],
        budget: float,
        held_out: int | None = None,
        excluded_from_threshold: NDArray[np.bool_] | None = None,
    ) -> Self:
        """From the evidence (n,) against logs of `actors` (n,), none of whom dominates. The last
        `held_out` of them (None: all) are those that the model was not trained on.

        Beyond any point an actor counts seven times at most, or for a fiftieth of what should lie
        beyond it, or once where its logs are `excluded_from_threshold` (n,); or as many times
        more as are needed
        for neither all logs nor the held out ones to be flagged at five times the budget, and with
        the doubted ones at forty times: a threshold that would flag more of a history than that is
        not believed, and silence is preferred. Capping thins the middle of the ladder, so the slope
        beyond its end is the steeper of both.
        """
        late = slice(-held_out if held_out else None, None)
        excluded_from_threshold = (
            np.zeros(len(evidence), np.bool_)
            if excluded_from_threshold is None
            else excluded_from_threshold
        )
        ranks = _ranks(evidence, actors)
        ranks[excluded_from_threshold & (ranks > 0)] = len(evidence)
        order = np.argsort(evidence)
        ascending, ranks = evidence[order], ranks[order]
        tails = _tails(len(evidence))
        whole = TailCurve.through(tails, quantiles(ascending, 1.0 - tails))
        least = _ACTOR_LOGS
        while True:
            curve = _capped_curve(ascending, ranks, least)
            found = cls(curve._replace(slope=max(curve.slope, whole.slope)), budget)
            over = evidence > found.threshold()
            sure = over & ~excluded_from_threshold
            flagged = max(float(sure.mean()), float(sure[late].mean()))
            flagged = max(flagged, float(over.mean()) / _MOST_DOUBTED)
            if flagged <= _MOST_FLAGGED * budget or least >= len(evidence):
                return found
            least *= 2

    def threshold(self) -> float:
        """The evidence whose tail probability is the budget."""
        return self.curve.value_of(-float(np.log(self.budget)))

    def risk(self, evidence: NDArray[np.float64]) -> NDArray[np.float64]:
        """0 to 100: tail probability 1 is 0, 1e-6 and rarer is 100, linear in its logarithm."""
        decades = self.curve.evidence_of(evidence) / np.log(10.0)
        risk: NDArray[np.float64] = np.minimum(100.0, 100.0 * decades / _RISK_DECADES)
        return risk

    def severity(self, evidence: NDArray[np.float64]) -> list[str]:
        """How much rarer than the budget: not at all low, up to 10 times medium, up to 100 times
        high, more critical.
        """
        rarer = self.budget * np.exp(np.minimum(500.0, self.curve.evidence_of(evidence)))
        return [SEVERITIES[step] for step in np.searchsorted(_SEVERITY_STEPS, rarer, side="right")]


def _tails(logs: int) -> NDArray[np.float64]:
    """The tail probabilities of a ladder's rungs, from 1 down."""
    last = min(0.5, _QUANTILE_LOGS / logs)
    return np.geomspace(1.0, last, num=2 + int(-_QUANTILES_PER_DECADE * np.log10(last)))


def quantiles(ascending: NDArray[Any], shares: NDArray[np.float64]) -> NDArray[np.float64]:
    """What ``np.quantile`` gives for ascending values (n,), which it would put in order anew."""
    at = shares * (len(ascending) - 1)
    low = at.astype(np.int64)
    here, next_ = ascending[low], ascending[np.minimum(low + 1, len(ascending) - 1)]
    part, rise = at - low, next_ - here
    found: NDArray[np.float64] = np.where(part < 0.5, here + rise * part, next_ - rise * (1 - part))
    return found


def _capped_curve(values: NDArray[np.float64], ranks: NDArray[np.int64], least: int) -> TailCurve:
    """The ladder of `values` (n,), ascending, whose places among their actor's are `ranks`: one in
    which no actor has more than its share beyond a rung. So
    neither an attacker among the logs nor one busy machine sets the tail.
    """
    tails = _tails(len(values))
    shares = np.maximum(1.0, _ACTOR_SHARE * tails * len(values) / least)
    most = least * np.exp2(np.ceil(np.log2(shares)))  # few different ones: each costs a pass
    value = np.empty(len(tails))
    for cap in np.unique(most):
        counted = values[ranks < cap]
        least_ones = np.full(len(values) - len(counted), values[0])
        capped = np.concatenate([least_ones, counted])  # ascending still
        value[most == cap] = quantiles(capped, 1.0 - tails[most == cap])
    # A rung with a wider cap may lie above a rarer one; the rarer one is the better founded.
    return TailCurve.through(tails, np.minimum.accumulate(value[::-1])[::-1])


def _ranks(values: NDArray[np.float64], actors: NDArray[np.uint64]) -> NDArray[np.int64]:
    """The place of each of `values` (n,) among those of its actor (n,), the highest first."""
    order = np.lexsort((-values, actors))
    ranks = np.empty(len(values), np.int64)
    ranks[order] = places(actors[order])
    return ranks
