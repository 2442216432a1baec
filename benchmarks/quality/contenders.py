"""The contenders, one row each: static rules, two baselines, and our model.

A contender learns from the training part of a data set, without labels, and scores each log of the
test part; no later log may change a score. To add a contender, add a row to `contenders`. One that
uses verdicts takes them from the training part, so that the test part stays unseen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from api_anomaly.detector import Detections, Detector
from api_anomaly.model.fit import fit
from api_anomaly.model.scorer import FitOptions
from api_anomaly.rules import RuleSet, tune
from benchmarks.quality.analyst import VERDICTS, Analyst
from benchmarks.quality.baselines import forest_scores, zscores_per_user
from benchmarks.quality.datasets import Dataset, Floats

BUDGET = 0.001  # alerts per training log that each contender's own threshold is set for
TUNING_BUDGETS = (0.001, 0.003, 0.01, 0.03)
OURS = "our model"
TUNED = "rules tuned at"


class Scored(NamedTuple):
    """A contender's result for the m test logs.

    scores      float64 (m,)  higher = more anomalous
    threshold   fixed in training; a log at or above it is an alert
    detections  of our model, with reasons
    """

    scores: Floats
    threshold: float
    detections: Detections | None = None


class Contender(NamedTuple):
    """Name, whether it is a rule set, the scoring function, and the number of labels of the
    training part that it uses.
    """

    name: str
    is_rules: bool
    score: Callable[[Dataset], Scored]
    verdicts: int = 0


def contenders() -> tuple[Contender, ...]:
    """All contenders in the order of the tables."""
    default = RuleSet.default()
    unscripted = default.without("script_agent")
    analyst = Analyst(BUDGET)
    return (
        Contender("default rules", True, lambda data: score_with_rules(data, default)),
        Contender(
            "default rules, no script_agent", True, lambda data: score_with_rules(data, unscripted)
        ),
        *(_tuned(default, budget) for budget in TUNING_BUDGETS),
        Contender("stateless forest", False, _with_budget(forest_scores)),
        Contender("per-user z-scores", False, _with_budget(zscores_per_user)),
        Contender(OURS, False, score_with_our_model),
        *(_with_verdicts(analyst, verdicts) for verdicts in VERDICTS),
    )


def with_verdicts(verdicts: int) -> str:
    """The name of our model trained with that many verdicts."""
    return f"{OURS}, {verdicts} verdicts"


def _with_verdicts(analyst: Analyst, verdicts: int) -> Contender:
    def score(data: Dataset) -> Scored:
        return _as_scored(*analyst.scores(data, verdicts))

    return Contender(with_verdicts(verdicts), False, score, verdicts)


def _tuned(default: RuleSet, budget: float) -> Contender:
    def score(data: Dataset) -> Scored:
        return score_with_rules(data, tune(data.rules[: data.cut], default, budget))

    return Contender(f"{TUNED} {budget:g}", True, score)


def score_with_rules(data: Dataset, rules: RuleSet) -> Scored:
    """1 where any rule fires, else 0; the windows reach back into the training part."""
    alerted = rules.evaluate(data.rules).any()[data.cut :]
    return Scored(alerted.astype(np.float64), 1.0)


def _with_budget(scores: Callable[[Dataset], tuple[Floats, Floats]]) -> Callable[[Dataset], Scored]:
    """A contender that scores both parts; BUDGET of the training logs reach its threshold."""

    def score(data: Dataset) -> Scored:
        training, test = scores(data)
        return Scored(test, float(np.quantile(training, 1.0 - BUDGET, method="higher")))

    return score


def score_with_our_model(data: Dataset, budget: float = BUDGET) -> Scored:
    """The service with its defaults: trained on the training part, then the test part in order."""
    fitted = fit(data.training, FitOptions(alert_budget=budget))
    detections = Detector(fitted.model, fitted.memory).detect(data.test)
    return _as_scored(detections.scores, detections.threshold)._replace(detections=detections)


def _as_scored(scores: Floats, threshold: float) -> Scored:
    """From scores and threshold as published (lower = more anomalous)."""
    # An anomaly scores below the published threshold, an alert here at or above: the next number.
    return Scored(-scores, float(np.nextafter(-threshold, 1.0)))
