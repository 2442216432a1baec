"""The two verbs: `fit` learns from a history, `Detector.observe` judges logs as they come.

Scores are on the wire's scale (see `model`): in [-1, 0), lower is more anomalous. A log is an
anomaly when its score is below the threshold.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.core.behaviour_pass import actor_keys, observe
from api_anomaly.core.calibration import Calibration, Ladder
from api_anomaly.core.columns import Columns
from api_anomaly.core.forest import Forest
from api_anomaly.core.memory import Memory
from api_anomaly.core.model import Model, wire
from api_anomaly.core.reasons import Reason, Scaler, explain
from api_anomaly.core.second_stage import second_stage
from api_anomaly.errors import TooFewLogs

MINIMUM_LOGS = 10
ENOUGH_HISTORY = 20  # logs of a user or its address before it can be judged by its own past
_COLD = 0.2  # of the training logs: what came first had no past to be judged by

Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class FitOptions:
    """How to learn: `test_size` is the share of the latest logs held out, `alert_budget` the false
    alarms per ordinary log, `sample` how many rows a tree grows on.
    """

    test_size: float = 0.2
    alert_budget: float = 0.001
    trees: int = 100
    sample: int = 256
    seed: int = 0
    memory_entities: int = 1_000_000


@dataclass(frozen=True)
class TrainingFacts:
    """What a training measured: `accuracy` is the share of held-out logs left unflagged, `held_out`
    are their rows (m,) in the columns given, `threshold` is on the wire's scale.
    """

    training_samples: int
    train_anomalies: int
    test_anomalies: int
    accuracy: float
    threshold: float
    feature_count: int
    held_out: NDArray[np.int64]
    held_out_flagged: NDArray[np.bool_]


class Fitted(NamedTuple):
    """A trained model, the memory of the history it was trained on, and what was measured."""

    model: Model
    memory: Memory
    facts: TrainingFacts


class Anomaly(NamedTuple):
    """An anomalous log: its place in the batch, its score on the wire's scale and why."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    score: float
    risk: float
    severity: str
    reasons: tuple[Reason, ...]


@dataclass(frozen=True)
class Verdicts:
    """n scores on the wire's scale, the threshold used, the anomalies, and the share of logs
    with enough history.
    """

    scores: NDArray[np.float64]
    threshold: float
    anomalies: tuple[Anomaly, ...]
    confidence: float


def fit(columns: Columns, options: FitOptions, progress: Progress | None = None) -> Fitted:
    """Learn from n logs in any order.

    Raises TooFewLogs under 10. A few seconds, and about 15 microseconds a log.
    """
    tell = progress or (lambda _step, _done: None)
    if len(columns) < MINIMUM_LOGS:
        raise TooFewLogs(f"Training needs at least {MINIMUM_LOGS} logs, got {len(columns)}.")
    order = columns.in_time_order()
    columns = columns.take(order)
    memory = Memory.empty(options.memory_entities)
    tell("behaviours", 0.0)
    rows = observe(memory, columns).rows
    cut = min(len(rows) - 1, max(1, round(len(rows) * (1.0 - options.test_size))))
    tell("forest", 0.3)
    cold = int(_COLD * cut)
    warm = rows[cold:cut]
    forest = Forest.grow_trimmed(rows[:cut], options.trees, options.sample, options.seed)
    rarity = Ladder.of(forest.suspicion(warm))
    tell("rehearsal", 0.5)
    ranker = second_stage(
        columns.take(np.arange(cold, cut)),
        warm,
        options.seed,
        options.memory_entities,
        lambda done: tell("rehearsal", 0.5 + 0.4 * done),
    )
    hostility = ranker and Ladder.of(ranker.log_odds(warm))
    tell("calibration", 0.9)
    uncalibrated = Calibration(rarity, options.alert_budget)
    model = Model(forest, rarity, ranker, hostility, uncalibrated, Scaler.of(rows[:cut]))
    evidence = model.evidence(rows)
    actors = actor_keys(columns)[cut:]
    calibration = Calibration.of(evidence[cut:], actors, options.alert_budget)
    model = replace(model, calibration=calibration).explainable(rows[:cut])
    return Fitted(model, memory, _facts(model, evidence, order, cut))


def _facts(
    model: Model, evidence: NDArray[np.float64], order: NDArray[np.int64], cut: int
) -> TrainingFacts:
    flagged = wire(evidence) < model.threshold
    return TrainingFacts(
        training_samples=len(order),
        train_anomalies=int(flagged[:cut].sum()),
        test_anomalies=int(flagged[cut:].sum()),
        accuracy=float(1.0 - flagged[cut:].mean()),
        threshold=model.threshold,
        feature_count=model.feature_count,
        held_out=order[cut:],
        held_out_flagged=flagged[cut:],
    )


class Detector:
    """A model at work with a memory. Not thread-safe: its owner lets one call in at a time."""

    def __init__(self, model: Model, memory: Memory) -> None:
        self.model = model
        self.memory = memory

    def observe(
        self, columns: Columns, threshold: float | None = None, remember: bool = True
    ) -> Verdicts:
        """Judge n logs in the order given, each against the past before it, and remember them.

        `threshold` is on the wire's scale; None is the model's own. An empty batch gives empty
        verdicts.
        """
        limit = self.model.threshold if threshold is None else threshold
        seen = observe(self.memory, columns, remember)
        evidence = self.model.evidence(seen.rows)
        scores = wire(evidence)
        found = np.flatnonzero(scores < limit)
        confidence = float((seen.history >= ENOUGH_HISTORY).mean()) if len(columns) else 0.0
        return Verdicts(
            scores, limit, self._anomalies(found, evidence[found], seen.rows[found]), confidence
        )

    def _anomalies(
        self, found: NDArray[np.int64], evidence: NDArray[np.float64], rows: NDArray[np.float32]
    ) -> tuple[Anomaly, ...]:
        if len(found) == 0:
            return ()
        calibration = self.model.calibration
        risks, severities = calibration.risk(evidence), calibration.severity(evidence)
        reasons = explain(rows, self.model.scaler, self.model)
        scores = wire(evidence)
        return tuple(
            Anomaly(int(index), float(score), round(float(risk), 1), severity, reason)
            for index, score, risk, severity, reason in zip(
                found, scores, risks, severities, reasons, strict=True
            )
        )
