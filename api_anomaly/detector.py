"""The two verbs: `fit` learns from a history, `Detector.observe` judges logs as they come.

Scores are on the wire's scale (see `model`): in [-1, 0), lower is more anomalous. A log is an
anomaly when its score is below the threshold.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.model.executor import Executor, serial
from api_anomaly.features.extract import Extraction, extract
from api_anomaly.model.calibration import Calibration, TailCurve
from api_anomaly.logs.columns import Columns
from api_anomaly.feedback.rescoring import Feedback
from api_anomaly.model.forest import Forest
from api_anomaly.model.training_labels import TrainingLabels
from api_anomaly.feedback.labels import LABEL, labels_of
from api_anomaly.features.memory import Memory
from api_anomaly.model.bundle import Model, odds_of_abuse, to_score
from api_anomaly.model.classifier import AbuseClassifier
from api_anomaly.explain.reasons import Reason, explain
from api_anomaly.model.peer_baseline import PeerBaseline
from api_anomaly.model.classifier_training import (
    excluded_from_threshold,
    synthetic_rows,
    train_classifier,
)
from api_anomaly.errors import TooFewLogs

MINIMUM_LOGS = 10
ENOUGH_HISTORY = 20  # logs of a user or its address before it can be judged by its own past
_NO_LABELS = np.zeros(0, LABEL)
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
    """An anomalous log: its place in the batch, its score on the wire's scale, why, and its id."""

    index: int  # type: ignore[assignment]  # hides tuple.index, which nobody calls
    score: float
    risk: float
    severity: str
    reasons: tuple[Reason, ...]
    id: str


@dataclass(frozen=True)
class Detections:
    """n scores on the wire's scale, the threshold used, the anomalies, the share of logs with
    enough history, the anomalies as lessons without a verdict (m,), and how many logs are anomalies
    (`raised`), or are none (`quieted`), because of feedback.
    """

    scores: NDArray[np.float64]
    threshold: float
    anomalies: tuple[Anomaly, ...]
    confidence: float
    labels: NDArray[Any]
    raised: int = 0
    quieted: int = 0


def fit(
    columns: Columns,
    options: FitOptions,
    progress: Progress | None = None,
    labels: NDArray[Any] | None = None,
    executor: Executor = serial,
) -> Fitted:
    """Learn from n logs in any order, and from verdicts: `labels` (m,), the last given last.
    Without a second stage (see `synthetic`) verdicts teach nothing here. The model is the same
    however `executor` does what is independent.

    Raises TooFewLogs under 10. About 13 seconds of processor for 100,000 logs, and 7 microseconds
    for each further log; 452 bytes a log for its behaviours, and half as much again for the rest.
    """
    tell = progress or (lambda _step, _done: None)
    if len(columns) < MINIMUM_LOGS:
        raise TooFewLogs(f"Training needs at least {MINIMUM_LOGS} logs, got {len(columns)}.")
    order = columns.in_time_order()
    columns = columns.take(order)
    memory = Memory.empty(entities := options.memory_entities)
    cut = min(len(order) - 1, max(1, round(len(order) * (1.0 - options.test_size))))
    cold = int(_COLD * cut)
    history, seed = columns.between(cold, cut), options.seed
    tell("features", 0.0)
    generating = partial(synthetic_rows, history, seed, entities, executor)
    (rows, _, keys), synthetic_sets = executor([partial(extract, memory, columns), generating])
    tell("baseline", 0.25)
    peer_baseline = PeerBaseline.of(rows[:cut], executor)
    past = rows[cold:], keys[cold:, 0].copy(), columns.time[cold:]
    training_labels = (
        None
        if labels is None or len(labels) == 0
        else TrainingLabels.of(labels, *past, peer_baseline)
    )
    tell("trees", 0.35)
    of_trees = rows[:cut], options.trees, options.sample, seed, executor
    hostile = partial(
        train_classifier, history, rows[cold:cut], synthetic_sets, seed, training_labels, executor
    )
    classifier, forest = executor([hostile, partial(Forest.grow_trimmed, *of_trees)])
    tell("calibration", 0.9)
    sums = forest.trees.sums(rows, executor), classifier and classifier.trees.sums(rows, executor)
    model = _uncalibrated(
        forest, classifier, peer_baseline, sums, slice(cold, cut), options.alert_budget
    )
    evidence = model.evidence_from(*sums)
    odds = (
        None if sums[1] is None or classifier is None else classifier.log_odds_from(sums[1][cold:])
    )
    excluded = (
        None if odds is None else excluded_from_threshold(odds, past[1], keys[cold:, 1], past[2])
    )
    # The held-out logs alone are few actors on few days, so the history before them has a say too.
    of = evidence[cold:], past[1], options.alert_budget, len(rows) - cut, excluded
    until = (
        training_labels.until if training_labels is not None and classifier is not None else -np.inf
    )
    model = replace(model, calibration=Calibration.of(*of), labels_until=until)
    return Fitted(model.explainable(rows[:cut]), memory, _facts(model, evidence, order, cut))


def _uncalibrated(
    forest: Forest,
    classifier: AbuseClassifier | None,
    peer_baseline: PeerBaseline,
    sums: tuple[NDArray[np.float64], NDArray[np.float64] | None],
    warm: slice,
    budget: float,
) -> Model:
    """The model before its threshold is known, from the `sums` (n,) of all logs over both kinds of
    trees: they are walked once. Of these, the `warm` ones say what is usual."""
    suspicion, abuse = forest.suspicion_from(sums[0][warm]), None
    rarity = TailCurve.of(suspicion)
    if classifier is not None and sums[1] is not None:
        odds = classifier.log_odds_from(sums[1][warm])
        own = TailCurve.of(odds)
        odds_of_abuse(odds, rarity.evidence_of(suspicion))
        raised = TailCurve.of(odds)
        # Where the ranker is sure the slope is that of its own odds, which `contributions` takes it
        # by; among the undecided rarity pushes the odds together, and so the slope up.
        abuse = raised._replace(slope=min(own.slope, raised.slope))
    return Model(forest, rarity, classifier, abuse, Calibration(rarity, budget), peer_baseline)


def _facts(
    model: Model, evidence: NDArray[np.float64], order: NDArray[np.int64], cut: int
) -> TrainingFacts:
    flagged = to_score(evidence) < model.threshold
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
    """A model at work with a memory, and what verdicts taught. Not thread-safe: its owner lets one
    call in at a time.
    """

    def __init__(self, model: Model, memory: Memory, feedback: Feedback | None = None) -> None:
        self.model = model
        self.memory = memory
        self.feedback = feedback

    def observe(
        self, columns: Columns, threshold: float | None = None, remember: bool = True
    ) -> Detections:
        """Judge n logs in the order given, each against the past before it, and remember them.

        `threshold` is on the wire's scale; None is the model's own. An empty batch gives empty
        verdicts.
        """
        limit = self.model.threshold if threshold is None else threshold
        seen = extract(self.memory, columns, remember)
        base = self.model.evidence(seen.rows)
        evidence = self._adjusted(base, seen.rows, seen.keys[:, 0])
        scores = to_score(evidence)
        found = (scores < limit).nonzero()[0]
        known = int(np.count_nonzero(seen.history >= ENOUGH_HISTORY))
        confidence = known / max(1, len(scores))
        labels = _labels(seen, columns, found)
        anomalies = self._anomalies(found, evidence[found], labels)
        raised, quieted = _moved(base, evidence, limit)
        return Detections(scores, limit, anomalies, confidence, labels, raised, quieted)

    def labels(self, columns: Columns) -> NDArray[Any]:
        """Lessons without a verdict of n logs (n,): each alone, as if it came now, and forgotten.

        About 0.2 milliseconds a log: what all users share is copied for each.
        """
        labels = np.zeros(len(columns), LABEL)
        for i in range(len(columns)):
            one = columns.take(np.array([i]))
            labels[i] = _labels(extract(self.memory, one, False), one, np.array([0]))[0]
        return labels

    def scores(self, labels: NDArray[Any]) -> NDArray[np.float64]:
        """Scores on the wire's scale of the logs that `labels` (m,) are about, as of now."""
        rows = np.ascontiguousarray(labels["row"])
        return to_score(self._adjusted(self.model.evidence(rows), rows, labels["user"]))

    def _adjusted(
        self, evidence: NDArray[np.float64], rows: NDArray[np.float32], users: NDArray[np.uint64]
    ) -> NDArray[np.float64]:
        feedback = self.feedback
        return evidence if feedback is None else feedback.adjusted(evidence, rows, users)

    def _anomalies(
        self, found: NDArray[np.int64], evidence: NDArray[np.float64], labels: NDArray[Any]
    ) -> tuple[Anomaly, ...]:
        if len(found) == 0:
            return ()
        calibration = self.model.calibration
        risks, severities = calibration.risk(evidence), calibration.severity(evidence)
        reasons = explain(np.ascontiguousarray(labels["row"]), self.model.peer_baseline, self.model)
        scores, ids = to_score(evidence), np.char.decode(labels["anomaly"])
        return tuple(
            Anomaly(int(index), float(score), round(float(risk), 1), severity, reason, str(name))
            for index, score, risk, severity, reason, name in zip(
                found, scores, risks, severities, reasons, ids, strict=True
            )
        )


def _labels(seen: Extraction, columns: Columns, found: NDArray[np.int64]) -> NDArray[Any]:
    if len(found) == 0:  # nearly every request
        return _NO_LABELS
    return labels_of(seen.rows[found], seen.keys[found], columns.time[found])


def _moved(
    base: NDArray[np.float64], adjusted: NDArray[np.float64], limit: float
) -> tuple[int, int]:
    """How many logs feedback made anomalies, and how many it made none."""
    if adjusted is base:
        return 0, 0
    before, after = to_score(base) < limit, to_score(adjusted) < limit
    return int((after & ~before).sum()), int((before & ~after).sum())
