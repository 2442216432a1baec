"""Training is deterministic and works for any history; a model is stored and loaded whole."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from api_anomaly.detector import Detector
from api_anomaly.errors import ModelIncompatible, TooFewLogs
from api_anomaly.features.extract import extract
from api_anomaly.features.memory import Memory
from api_anomaly.model.bundle import Model
from api_anomaly.model.ensemble import Ensemble
from api_anomaly.model.executor import Task
from api_anomaly.model.fit import Fitted, fit
from api_anomaly.model.scorer import FitOptions
from tests.support.records import contents
from tests.support.streams import START, YEAR_1, YEAR_9999, columns, plain, traffic

SMALL = FitOptions(trees=10, memory_entities=500)

Logs = list[dict[str, Any]]

PAST, TODAY = np.split(np.array(traffic(1_400, users=8)), [1_200])


@pytest.fixture(scope="module")
def team() -> Fitted:
    """A model of a team whose users write too."""
    return fit(columns(PAST), SMALL)


def later(count: int) -> Logs:
    """What the same team does next."""
    return list(TODAY[:count])


def ensemble(fitted: Fitted) -> Ensemble:
    scorer = fitted.model.scorers["ensemble"]
    assert isinstance(scorer, Ensemble)
    return scorer


def alike(one: Any, other: Any) -> bool:
    """Whether two models' parts are the same, all the way down."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    return bool(np.array_equal(one, other))


def test_training_needs_ten_logs() -> None:
    with pytest.raises(TooFewLogs, match="10 logs, got 9"):
        fit(columns(traffic(9)), SMALL)


UNKNOWN = {
    "user_id": None,
    "ip_address": None,
    "user_agent": None,
    "response_time": None,
    "request_size": None,
    "response_size": None,
    "endpoint": "",
    "method": "",
}

HISTORIES: dict[str, Logs] = {
    "ten logs": traffic(10),
    "ten times one log": [plain()] * 10,
    "nothing known": [plain(START + i) | UNKNOWN for i in range(60)],
    "one user": [plain(START + 3.0 * i) for i in range(110)],
    "one instant": [log | {"time": START} for log in traffic(110)],
    "any year": [plain((YEAR_1, START, YEAR_9999)[i % 3], user_id=f"u{i % 4}") for i in range(110)],
    "absurd": [plain(START + i, response_time=1e300, response_size=1e300) for i in range(60)],
}


@pytest.mark.parametrize("name", HISTORIES)
@pytest.mark.parametrize("test_size", [0.2, 0.001, 0.999])
def test_any_history_of_ten_logs_gives_a_model_that_scores(name: str, test_size: float) -> None:
    logs = HISTORIES[name]
    options = FitOptions(trees=5, memory_entities=100, test_size=test_size)
    fitted = fit(columns(logs), options)
    detections = Detector(fitted.model, fitted.memory).detect(columns(logs[:5] + later(20)))
    assert ensemble(fitted).classifier is None  # too little to generate attacks on
    for scores in (detections.scores, np.array([fitted.model.threshold])):
        assert ((scores >= -1.0) & (scores < 0.0)).all()
    assert 1 <= len(fitted.facts.held_out) < len(logs)
    assert fitted.facts.training_samples == len(logs)


def test_the_same_seed_and_logs_in_any_order_give_the_same_model(team: Fitted) -> None:
    shuffled = np.random.default_rng(0).permutation(1_200)
    again = fit(columns(PAST[shuffled]), SMALL).model
    assert ensemble(team).classifier is not None
    assert alike(team.model.parts(), again.parts())
    seeds = (fit(columns(PAST[:50]), FitOptions(trees=10, seed=seed)).model for seed in (0, 1))
    assert not alike(*(model.parts() for model in seeds))


def test_training_leaves_the_memory_that_detection_of_its_logs_leaves(team: Fitted) -> None:
    detector = Detector(team.model, Memory.empty(500))
    detector.detect(columns(PAST))
    assert contents(detector.memory) == contents(team.memory)


def test_the_latest_logs_are_held_out_in_whatever_order_they_come() -> None:
    shuffled = np.random.default_rng(3).permutation(100)
    facts = fit(columns(PAST[shuffled]), SMALL).facts
    assert shuffled[facts.held_out].tolist() == list(range(80, 100))
    assert facts.held_out_flagged.shape == (20,)


def test_facts_are_measured_on_the_logs_held_out(team: Fitted) -> None:
    facts = team.facts
    assert facts.held_out.tolist() == list(range(960, 1_200))
    assert facts.test_anomalies == facts.held_out_flagged.sum()
    assert facts.accuracy == pytest.approx(1.0 - facts.held_out_flagged.mean())
    assert facts.threshold == team.model.threshold
    assert facts.feature_count == team.model.feature_count == 113
    assert team.model.alert_budget == SMALL.alert_budget


def test_progress_is_reported_step_by_step() -> None:
    reported: list[tuple[str, float]] = []
    fit(columns(traffic(20)), SMALL, lambda step, done: reported.append((step, done)))
    done = [share for _, share in reported]
    assert done == sorted(done) and 0.0 <= done[0] and done[-1] < 1.0
    assert len({step for step, _ in reported}) == len(reported) >= 3


def test_the_model_does_not_depend_on_the_order_of_independent_tasks(team: Fitted) -> None:
    def backwards(tasks: Sequence[Task]) -> list[Any]:
        return [task() for task in tasks[::-1]][::-1]

    again = fit(columns(PAST), SMALL, executor=backwards)
    assert alike(again.model.parts(), team.model.parts())
    assert alike(contents(again.memory), contents(team.memory))


def test_a_model_from_its_parts_scores_the_same(team: Fitted) -> None:
    model = Model.from_parts(team.model.parts())
    batch = columns(later(200))
    scores = [
        Detector(m, team.memory).detect(batch, remember=False).scores for m in (team.model, model)
    ]
    assert np.array_equal(*scores)
    assert model.threshold == team.model.threshold


def test_evidence_from_sums_over_the_trees_is_the_same(team: Fitted) -> None:
    few = fit(columns(traffic(20)), SMALL)  # without a classifier
    rows = extract(Memory.empty(500), columns(later(200))).rows
    for scorer in (ensemble(team), ensemble(few)):
        votes = scorer.classifier and scorer.classifier.trees.sums(rows)
        evidence = scorer._evidence_from(scorer.forest.trees.sums(rows), votes)
        assert np.array_equal(evidence, scorer.evidence(rows))


def test_a_model_without_a_classifier_is_stored_and_loaded_too() -> None:
    fitted = fit(columns(traffic(20)), SMALL)
    again = fitted._replace(model=Model.from_parts(fitted.model.parts()))
    assert ensemble(fitted).classifier is ensemble(again).classifier is None
    rows = extract(Memory.empty(500), columns(later(50))).rows
    assert np.array_equal(again.model.evidence(rows), fitted.model.evidence(rows))


@pytest.mark.parametrize("part", ["isolation_forest", "scaler"])
def test_parts_with_other_features_are_refused(team: Fitted, part: str) -> None:
    parts = team.model.parts()
    parts[part] = parts[part] | {"schema": "another"}
    with pytest.raises(ModelIncompatible, match="other features"):
        Model.from_parts(parts)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"isolation_forest": {}, "scaler": {}},
        {"isolation_forest": None, "scaler": None},
    ],
)
def test_parts_that_are_not_a_models_are_refused(broken: Any) -> None:
    with pytest.raises(ModelIncompatible, match="Train again"):
        Model.from_parts(broken)


def test_parts_with_something_missing_or_unknown_are_refused(team: Fitted) -> None:
    for name in ("scorers", "calibration", "labels_until"):
        parts = team.model.parts()
        del parts["isolation_forest"][name]
        with pytest.raises(ModelIncompatible):
            Model.from_parts(parts)
    for name in ("forest", "rarity", "classifier", "abuse"):
        parts = team.model.parts()
        del parts["isolation_forest"]["scorers"]["ensemble"][name]
        with pytest.raises(ModelIncompatible):
            Model.from_parts(parts)
    parts = team.model.parts()
    parts["scaler"]["peer_baseline"]["unknown"] = 1
    with pytest.raises(ModelIncompatible):
        Model.from_parts(parts)


def test_a_log_that_repeats_all_day_is_no_anomaly() -> None:
    checks = [plain(START + 10.0 * i, user_id=None, endpoint="/health") for i in range(6_000)]
    facts = fit(columns(checks), FitOptions(trees=20, memory_entities=100)).facts
    assert facts.test_anomalies <= 5
