"""Who is compared: one row each, from static rules to our model.

A contender learns from a data set's training part, without labels, and gives each log of the test
part a score; no later log may change it. To add one is to add a row to `contenders`. One that is
told some verdicts has to take them from the training part, so that the test part stays unseen.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from api_anomaly.detector import Detector, FitOptions, Detections, fit
from api_anomaly.rules import RuleSet, tune
from benchmarks.quality.analyst import VERDICTS, Analyst
from benchmarks.quality.baselines import forest_scores, habit_scores
from benchmarks.quality.datasets import Dataset, Floats

BUDGET = 0.001  # alerts per training log that each contender's own threshold is set for
TUNING_BUDGETS = (0.001, 0.003, 0.01, 0.03)
OURS = "our model"
TUNED = "rules tuned at"


class Scored(NamedTuple):
    """What a contender said of the m test logs.

    scores     float64 (m,)  higher = more anomalous
    threshold  its own, fixed in training; a log at or above it is an alert
    verdicts   our model's own words, for those who look at reasons
    """

    scores: Floats
    threshold: float
    verdicts: Detections | None = None


class Contender(NamedTuple):
    """A row of the tables: its name, whether it is a rule set, how it scores a data set, and how
    many labels of the training part it may ask for.
    """

    name: str
    is_rules: bool
    score: Callable[[Dataset], Scored]
    verdicts: int = 0


def contenders() -> tuple[Contender, ...]:
    """All of them, in the order of the tables."""
    default = RuleSet.default()
    unscripted = default.without("script_agent")
    analyst = Analyst(BUDGET)
    return (
        Contender("default rules", True, lambda data: by_rules(data, default)),
        Contender("default rules, no script_agent", True, lambda data: by_rules(data, unscripted)),
        *(_tuned(default, budget) for budget in TUNING_BUDGETS),
        Contender("stateless forest", False, _of_halves(forest_scores)),
        Contender("per-user z-scores", False, _of_halves(habit_scores)),
        Contender(OURS, False, by_our_model),
        *(_judged(analyst, verdicts) for verdicts in VERDICTS),
    )


def after(verdicts: int) -> str:
    """The name of our model after so many verdicts."""
    return f"{OURS}, {verdicts} verdicts"


def _judged(analyst: Analyst, verdicts: int) -> Contender:
    def score(data: Dataset) -> Scored:
        return _as_scored(*analyst.scores(data, verdicts))

    return Contender(after(verdicts), False, score, verdicts)


def _tuned(default: RuleSet, budget: float) -> Contender:
    def score(data: Dataset) -> Scored:
        return by_rules(data, tune(data.rules[: data.cut], default, budget))

    return Contender(f"{TUNED} {budget:g}", True, score)


def by_rules(data: Dataset, rules: RuleSet) -> Scored:
    """1 where any rule fires, else 0; the rules' windows reach back into the training part."""
    alerted = rules.evaluate(data.rules).any()[data.cut :]
    return Scored(alerted.astype(np.float64), 1.0)


def _of_halves(scores: Callable[[Dataset], tuple[Floats, Floats]]) -> Callable[[Dataset], Scored]:
    """A contender that scores both parts: its threshold is what BUDGET of training logs reach."""

    def score(data: Dataset) -> Scored:
        training, test = scores(data)
        return Scored(test, float(np.quantile(training, 1.0 - BUDGET, method="higher")))

    return score


def by_our_model(data: Dataset, budget: float = BUDGET) -> Scored:
    """The product out of the box: trained on the training part, then the test part as it came."""
    fitted = fit(data.training, FitOptions(alert_budget=budget))
    verdicts = Detector(fitted.model, fitted.memory).observe(data.test)
    return _as_scored(verdicts.scores, verdicts.threshold)._replace(verdicts=verdicts)


def _as_scored(scores: Floats, threshold: float) -> Scored:
    """Out of scores and threshold of the wire."""
    # An anomaly is below the wire's threshold, an alert here at or above it: hence the next number.
    return Scored(-scores, float(np.nextafter(-threshold, 1.0)))
