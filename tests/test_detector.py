"""The two verbs: learning is deterministic and survives any history, judging has a memory."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from api_anomaly.model.executor import Task
from api_anomaly.features.extract import extract
from api_anomaly.features.table import FEATURES
from api_anomaly.model.calibration import SEVERITIES
from api_anomaly.detector import Detector, FitOptions, Fitted, fit
from api_anomaly.features.memory import Memory
from api_anomaly.model.bundle import Model
from api_anomaly.errors import ModelIncompatible, TooFewLogs
from tests.support.records import contents
from tests.support.streams import START, YEAR_1, YEAR_9999, columns, plain, traffic

FAMILY = {row.name: row.family for row in FEATURES}
SMALL = FitOptions(trees=10, memory_entities=500)
Logs = list[dict[str, Any]]


PAST, TODAY = np.split(np.array(traffic(1_400, users=8)), [1_200])


@pytest.fixture(scope="module")
def team() -> Fitted:
    """A model of a team with accounts and writes."""
    return fit(columns(PAST), SMALL)


def later(count: int) -> Logs:
    """What the same team does next."""
    return list(TODAY[:count])


def alike(one: Any, other: Any) -> bool:
    """Whether two models' parts are the same, all the way down."""
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(alike(one[key], other[key]) for key in one)
    return bool(np.array_equal(one, other))


def test_under_ten_logs_there_is_nothing_to_learn() -> None:
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
    verdicts = Detector(fitted.model, fitted.memory).observe(columns(logs[:5] + later(20)))
    assert fitted.model.classifier is None  # too little to rehearse on
    for scores in (verdicts.scores, np.array([fitted.model.threshold])):
        assert ((scores >= -1.0) & (scores < 0.0)).all()
    assert 1 <= len(fitted.facts.held_out) < len(logs)
    assert fitted.facts.training_samples == len(logs)


def test_the_same_seed_and_logs_in_any_order_give_the_same_model(team: Fitted) -> None:
    shuffled = np.random.default_rng(0).permutation(1_200)
    again = fit(columns(PAST[shuffled]), SMALL).model
    assert team.model.classifier is not None
    assert alike(team.model.parts(), again.parts())
    seeds = (fit(columns(PAST[:50]), FitOptions(trees=10, seed=seed)).model for seed in (0, 1))
    assert not alike(*(model.parts() for model in seeds))


def test_the_memory_of_a_training_is_that_of_having_observed_its_logs(team: Fitted) -> None:
    watched = Detector(team.model, Memory.empty(500))
    watched.observe(columns(PAST))
    assert contents(watched.memory) == contents(team.memory)


def test_held_out_are_the_latest_logs_in_whatever_order_they_come() -> None:
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


def test_progress_is_told_step_by_step() -> None:
    told: list[tuple[str, float]] = []
    fit(columns(traffic(20)), SMALL, lambda step, done: told.append((step, done)))
    done = [share for _, share in told]
    assert done == sorted(done) and 0.0 <= done[0] and done[-1] < 1.0
    assert len({step for step, _ in told}) == len(told) >= 3


def test_the_model_is_the_same_when_what_is_independent_is_done_last_first(team: Fitted) -> None:
    def backwards(tasks: Sequence[Task]) -> list[Any]:
        return [task() for task in tasks[::-1]][::-1]

    again = fit(columns(PAST), SMALL, executor=backwards)
    assert alike(again.model.parts(), team.model.parts())
    assert alike(contents(again.memory), contents(team.memory))


def test_a_model_put_together_from_its_parts_scores_the_same(team: Fitted) -> None:
    model = Model.from_parts(team.model.parts())
    batch = columns(later(200))
    scores = [
        Detector(m, team.memory).observe(batch, remember=False).scores for m in (team.model, model)
    ]
    assert np.array_equal(*scores)
    assert model.threshold == team.model.threshold
    assert team.model.classifier is not None


def test_evidence_from_walks_that_were_taken_before_is_the_same(team: Fitted) -> None:
    few = fit(columns(traffic(20)), SMALL).model  # has no second stage
    rows = extract(Memory.empty(500), columns(later(200))).rows
    for model in (team.model, few):
        hostilely = model.classifier and model.classifier.trees.sums(rows)
        evidence = model.evidence_from(model.forest.trees.sums(rows), hostilely)
        assert np.array_equal(evidence, model.evidence(rows))


def test_a_model_without_a_second_stage_survives_too() -> None:
    fitted = fit(columns(traffic(20)), SMALL)
    assert fitted.model.classifier is None
    assert Model.from_parts(fitted.model.parts()).abuse is None


@pytest.mark.parametrize("part", ["isolation_forest", "scaler"])
def test_parts_of_other_behaviours_are_refused(team: Fitted, part: str) -> None:
    parts = team.model.parts()
    parts[part] = parts[part] | {"schema": "another"}
    with pytest.raises(ModelIncompatible, match="other behaviours"):
        Model.from_parts(parts)


@pytest.mark.parametrize(
    "broken",
    [
        {},
        {"isolation_forest": {}, "scaler": {}},
        {"isolation_forest": None, "scaler": None},
    ],
)
def test_what_is_no_models_parts_is_refused(broken: Any) -> None:
    with pytest.raises(ModelIncompatible, match="Train again"):
        Model.from_parts(broken)


def test_parts_with_something_missing_or_unknown_are_refused(team: Fitted) -> None:
    for name in ("forest", "rarity", "classifier", "abuse", "calibration", "labels_until"):
        parts = team.model.parts()
        missing = {key: value for key, value in parts["isolation_forest"].items() if key != name}
        with pytest.raises(ModelIncompatible):
            Model.from_parts(parts | {"isolation_forest": missing})
    odd = team.model.parts()
    odd["scaler"]["scaler"]["unknown"] = 1
    with pytest.raises(ModelIncompatible):
        Model.from_parts(odd)


def test_the_same_log_all_day_is_no_anomaly() -> None:
    checks = [plain(START + 10.0 * i, user_id=None, endpoint="/health") for i in range(6_000)]
    facts = fit(columns(checks), FitOptions(trees=20, memory_entities=100)).facts
    assert facts.test_anomalies <= 5


def burst() -> Logs:
    """One user's token guessed and used from a new place: denials, other agents, many objects."""
    start = TODAY[-1]["time"]
    return [
        plain(
            start + 0.2 * i,
            user_id="user-1",
            ip_address="198.51.100.9",
            user_agent="other/9",
            endpoint=f"/orders/{100 + i}/secret",
            method="DELETE",
            status_code=403,
        )
        for i in range(80)
    ]


def test_abuse_is_found_and_said_in_order_of_the_batch(team: Fitted) -> None:
    quiet, loud = later(200), burst()
    verdicts = Detector(team.model, team.memory).observe(columns(quiet + loud), remember=False)
    found = [anomaly.index for anomaly in verdicts.anomalies]
    assert found == sorted(found)
    assert sum(index >= 200 for index in found) > 60
    assert sum(index < 200 for index in found) <= 10
    for anomaly in verdicts.anomalies:
        assert anomaly.score == verdicts.scores[anomaly.index] < verdicts.threshold
        assert 0.0 <= anomaly.risk <= 100.0
        assert anomaly.severity in SEVERITIES[1:]
        assert 1 <= len(anomaly.reasons) <= 3
    last = {FAMILY[reason.feature] for reason in verdicts.anomalies[-1].reasons}
    assert last & {"denied", "errors", "writes", "peers", "rate", "new_endpoints", "counterparts"}


def test_a_given_threshold_decides_instead_of_the_models_own(team: Fitted) -> None:
    detector, batch = Detector(team.model, team.memory), columns(later(50) + burst())
    for threshold in (-1.0, -0.9, -0.5, -1e-10):
        verdicts = detector.observe(batch, threshold, remember=False)
        assert verdicts.threshold == threshold
        flagged = np.flatnonzero(verdicts.scores < threshold).tolist()
        assert [anomaly.index for anomaly in verdicts.anomalies] == flagged
    assert len(verdicts.anomalies) == len(batch)
    assert "low" in {anomaly.severity for anomaly in verdicts.anomalies}


def test_scores_do_not_depend_on_how_logs_are_sent(team: Fitted) -> None:
    logs = later(40) + burst()[:20]
    at_once = Detector(team.model, Memory.empty(500)).observe(columns(logs)).scores
    single = Detector(team.model, Memory.empty(500))
    assert [single.observe(columns([log])).scores[0] for log in logs] == at_once.tolist()


def test_confidence_is_the_share_of_logs_whose_user_or_address_has_a_history(team: Fitted) -> None:
    detector = Detector(team.model, Memory.empty(500))
    assert detector.observe(columns(later(1))).confidence == 0.0
    newcomers = [plain(START + i, user_id=f"n{i}", ip_address=None) for i in range(30)]
    regular = [plain(START + i) for i in range(70)]
    assert detector.observe(columns(newcomers + regular)).confidence == pytest.approx(0.5)


def test_an_empty_batch_is_judged_to_nothing(team: Fitted) -> None:
    verdicts = Detector(team.model, team.memory).observe(columns([]))
    assert (verdicts.scores.shape, verdicts.anomalies, verdicts.confidence) == ((0,), (), 0.0)
    assert verdicts.threshold == team.model.threshold


def test_the_deepest_path_that_fits_is_explained(team: Fitted) -> None:
    deep = columns([plain(START + 1e5, endpoint="/a" * 4_096)])
    verdicts = Detector(team.model, team.memory).observe(deep, -1e-10, remember=False)
    assert len(verdicts.anomalies[0].reasons) == 3
