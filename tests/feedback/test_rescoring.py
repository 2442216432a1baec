"""Rescoring: which logs labels change, and which they must not change."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from api_anomaly.detector import Detector
from api_anomaly.features.table import NAMES
from api_anomaly.feedback.labels import LABEL, build_labels, latest, select_active
from api_anomaly.feedback.rescoring import (
    DISSIMILAR_DISTANCE,
    MAX_LABELS_OF_ALL,
    MAX_LABELS_OF_USER,
    MAX_SHIFT,
    SIMILAR_DISTANCE,
    Rescoring,
)
from api_anomaly.model.bundle import NEUTRAL, Model, to_score
from api_anomaly.model.fit import Fitted, fit
from api_anomaly.model.scorer import FitOptions
from tests.support.streams import START, columns, plain, traffic

TEN_TIMES_RARER = math.log(10.0)  # in evidence
WIDTH = len(NAMES)
ATTACKER, OTHER = np.uint64(7), np.uint64(9)


@pytest.fixture(scope="module")
def team() -> Fitted:
    return fit(columns(traffic(400, users=8)), FitOptions(trees=10, memory_entities=200))


def label(row: Any, hostile: bool, user: np.uint64 = ATTACKER, given: float = 1.0) -> Any:
    keys = np.array([[user, user, 1]], np.uint64)
    one = build_labels(np.asarray(row, np.float32)[None], keys, np.array([START]))
    one["hostile"], one["given"] = hostile, given
    return one


def row_at_distance(model: Model, row: Any, distance: float, seed: int = 0) -> NDArray[np.float32]:
    """A row at `distance` from `row`: every feature differs by that much, up or down."""
    up = np.random.default_rng(seed).random(WIDTH) < 0.5
    below, above = model.peer_baseline.spread()
    moved = np.asarray(row) + distance * np.where(up, above, -below)
    return np.asarray(moved, np.float32)


def rare_row(model: Model) -> NDArray[np.float32]:
    return row_at_distance(model, model.peer_baseline.usual[-1], 2.0)


def adjusted(rescoring: Rescoring, evidence: float, row: Any, user: np.uint64) -> float:
    """The evidence of one log after rescoring."""
    rows = np.asarray(row, np.float32)[None]
    return float(rescoring.adjusted(np.array([evidence]), rows, np.array([user], np.uint64))[0])


# --- the reference implementation ---------------------------------------------------------------


def reference_distance(model: Model, one: Any, other: Any) -> float:
    """Root of the mean squared difference, in spreads, each at most 3."""
    total, (below, above) = 0.0, model.peer_baseline.spread()
    for j in range(WIDTH):
        difference = float(one[j]) - float(other[j])
        spread = above[j] if difference > 0 else below[j]
        total += min(3.0, abs(difference) / float(spread)) ** 2
    return math.sqrt(total / WIDTH)


def similarity(value: float, similar: float, dissimilar: float) -> float:
    return min(1.0, max(0.0, (dissimilar - value) / (dissimilar - similar)))


def reference_adjusted(
    model: Model, labels: NDArray[Any], evidence: float, row: Any, user: np.uint64
) -> float:
    """The evidence of one log after rescoring, in plain Python."""
    last: dict[bytes, Any] = {}
    for label in labels:
        last.pop(label["anomaly"], None)
        last[label["anomaly"]] = label
    newest = list(last.values())[::-1]
    after = evidence
    if evidence > TEN_TIMES_RARER:
        included: list[Any] = []
        for label in newest:
            if sum(other["user"] == label["user"] for other in included) < 4:
                included.append(label)
        included = included[:MAX_LABELS_OF_ALL]
        total_weight, signed_weight = 1.0, 0.0
        for label in included:
            of_user = sum(other["user"] == label["user"] for other in included)
            limits = (0.4, 0.8) if label["hostile"] else (0.3, 0.6)
            distance = reference_distance(model, row, label["row"])
            weight = similarity(distance, *limits) / of_user
            total_weight += weight
            signed_weight += weight if label["hostile"] else -weight
        after += signed_weight / total_weight * min(MAX_SHIFT, evidence - TEN_TIMES_RARER)
    same_user = [label for label in newest if label["user"] == user][:MAX_LABELS_OF_USER]
    if same_user:
        distances = [reference_distance(model, row, label["row"]) for label in same_user]
        nearest = same_user[distances.index(min(distances))]
        weight = similarity(min(distances), SIMILAR_DISTANCE, DISSIMILAR_DISTANCE)
        excess = evidence - float(model.evidence(nearest["row"][None].copy())[0])
        threshold = model.calibration.threshold()
        if nearest["hostile"]:
            weight *= similarity(-excess, TEN_TIMES_RARER / 2, TEN_TIMES_RARER)
            after += weight * max(TEN_TIMES_RARER, threshold + 0.1 - after)
        else:
            weight *= similarity(excess, TEN_TIMES_RARER / 2, TEN_TIMES_RARER)
            after -= weight * max(0.0, after - NEUTRAL)
    return after


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 60), users=st.integers(1, 6))
def test_kernels_equal_the_reference_implementation(
    team: Fitted, seed: int, count: int, users: int
) -> None:
    rng, model = np.random.default_rng(seed), team.model
    base = team.model.peer_baseline.usual[-1]
    rows = np.stack(
        [
            row_at_distance(model, base, rng.choice([0.0, 0.3, 0.6, 0.9]), int(rng.integers(4)))
            for _ in range(count)
        ]
    )
    keys = np.repeat(rng.integers(0, users, (count, 1)).astype(np.uint64), 3, axis=1)
    labels = build_labels(rows, keys, rng.integers(0, 3, count).astype(np.float64))
    labels["hostile"] = rng.random(count) < 0.5
    rescoring = Rescoring.of(model, labels)
    logs = np.stack([row_at_distance(model, rows[i % count], rng.random(), i) for i in range(12)])
    log_users = rng.integers(0, users + 1, len(logs)).astype(np.uint64)
    evidence = rng.choice([0.0, 1.0, 2.2, 2.5, 3.4, 6.0, 9.0], len(logs)) + rng.random(len(logs))
    after = rescoring.adjusted(evidence, logs, log_users)
    expected = [
        reference_adjusted(model, labels, *log)
        for log in zip(evidence, logs, log_users, strict=True)
    ]
    np.testing.assert_allclose(after, expected, rtol=1e-4, atol=1e-4)
    assert (after >= 0.0).all() and ((to_score(after) >= -1) & (to_score(after) < 0)).all()


# --- labels of the same user --------------------------------------------------------------------


def evidence_of(model: Model, row: Any) -> float:
    return float(model.evidence(np.asarray(row, np.float32)[None])[0])


def test_false_positive_makes_similar_logs_of_the_user_neutral(team: Fitted) -> None:
    row = rare_row(team.model)
    at = evidence_of(team.model, row)
    rescoring = Rescoring.of(team.model, label(row, False))
    for distance in (0.0, 0.5):
        log = row_at_distance(team.model, row, distance)
        assert adjusted(rescoring, at, log, ATTACKER) == pytest.approx(NEUTRAL)
    dissimilar = row_at_distance(team.model, row, DISSIMILAR_DISTANCE + 0.05)
    assert adjusted(rescoring, at, dissimilar, ATTACKER) == at


@settings(max_examples=50)
@given(count=st.integers(1, 40), beyond=st.floats(0.0, 20.0))
def test_false_positives_never_lower_a_log_that_is_ten_times_rarer(
    team: Fitted, count: int, beyond: float
) -> None:
    row = rare_row(team.model)
    labels = np.concatenate(
        [label(row_at_distance(team.model, row, 0.01, i), False) for i in range(count)]
    )
    rarest = float(team.model.evidence(np.ascontiguousarray(labels["row"])).max())
    evidence = rarest + TEN_TIMES_RARER + beyond
    after = adjusted(Rescoring.of(team.model, labels), evidence, row, ATTACKER)
    assert after >= evidence - MAX_SHIFT


def test_true_positive_raises_similar_logs_of_the_user_over_the_threshold(team: Fitted) -> None:
    row = rare_row(team.model)
    at, threshold = evidence_of(team.model, row), team.model.calibration.threshold()
    rescoring = Rescoring.of(team.model, label(row, True))
    for evidence in (max(0.0, at - 0.5), at, at + 3.0):
        raised = adjusted(rescoring, evidence, row_at_distance(team.model, row, 0.3), ATTACKER)
        assert raised > threshold and raised >= evidence + 0.9 * TEN_TIMES_RARER


def test_true_positive_does_not_raise_ordinary_logs_of_the_victim(team: Fitted) -> None:
    row = rare_row(team.model)
    rescoring = Rescoring.of(team.model, label(row, True))
    ordinary = evidence_of(team.model, row) - TEN_TIMES_RARER - 0.01
    for evidence in (0.0, min(ordinary, TEN_TIMES_RARER)):
        assert adjusted(rescoring, max(0.0, evidence), row, ATTACKER) == max(0.0, evidence)


def test_nearest_label_decides_and_the_last_of_equally_near_ones(team: Fitted) -> None:
    row = rare_row(team.model)
    at = evidence_of(team.model, row)
    other = row_at_distance(team.model, row, 0.4)
    both = np.concatenate([label(row, False), label(other, True)])
    assert adjusted(Rescoring.of(team.model, both), at, row, ATTACKER) < at
    later = label(row, True)
    later["anomaly"] = b"equal log"
    changed = np.concatenate([label(row, False), later])
    assert adjusted(Rescoring.of(team.model, changed), at, row, ATTACKER) > at


# --- labels of all users ------------------------------------------------------------------------


@settings(max_examples=50)
@given(
    seed=st.integers(0, 2**32 - 1),
    hostile=st.booleans(),
    count=st.integers(1, 300),
    evidence=st.floats(0.0, 50.0),
)
def test_labels_of_other_users_move_a_log_by_at_most_max_shift(
    team: Fitted, seed: int, hostile: bool, count: int, evidence: float
) -> None:
    row = rare_row(team.model)
    many = np.concatenate([label(row, hostile, np.uint64(100 + i)) for i in range(count)])
    after = adjusted(Rescoring.of(team.model, many), evidence, row, OTHER)
    assert abs(after - evidence) <= MAX_SHIFT
    if evidence <= TEN_TIMES_RARER:
        assert after == evidence
    else:
        assert (after > evidence) == hostile


@pytest.mark.parametrize("count", [1, 5, 400])
def test_labels_of_one_user_have_one_weight_however_many(team: Fitted, count: int) -> None:
    row = rare_row(team.model)
    labels = np.concatenate(
        [label(row_at_distance(team.model, row, 0.01, i), False) for i in range(count)]
    )
    after = adjusted(Rescoring.of(team.model, labels), 8.0, row, OTHER)
    assert 8.0 - after == pytest.approx(MAX_SHIFT / 2.0, rel=0.01)


def test_labels_of_more_users_move_a_log_further(team: Fitted) -> None:
    row = rare_row(team.model)
    shifts = []
    for count in (1, 3, 30):
        labels = np.concatenate([label(row, False, np.uint64(50 + i)) for i in range(count)])
        shifts.append(8.0 - adjusted(Rescoring.of(team.model, labels), 8.0, row, OTHER))
    assert shifts[0] < shifts[1] < shifts[2] <= MAX_SHIFT


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), user=st.sampled_from([ATTACKER, OTHER]))
def test_rescoring_is_monotonic_in_evidence(team: Fitted, seed: int, user: np.uint64) -> None:
    rng = np.random.default_rng(seed)
    row = rare_row(team.model)
    labels = [
        label(
            row_at_distance(team.model, row, rng.random(), i),
            rng.random() < 0.5,
            ATTACKER + np.uint64(i % 3),
        )
        for i in range(8)
    ]
    rescoring = Rescoring.of(team.model, np.concatenate(labels))
    evidence = np.linspace(0.0, 20.0, 200)
    rows = np.repeat(row_at_distance(team.model, row, 0.2)[None], 200, axis=0)
    after = rescoring.adjusted(evidence, rows, np.full(200, user))
    assert (np.diff(after) >= -1e-9).all()


# --- label records ------------------------------------------------------------------------------


def test_id_depends_on_the_log_and_not_on_the_verdict(team: Fitted) -> None:
    row = np.zeros(WIDTH)
    assert label(row, True)["anomaly"] == label(row, False, given=9.0)["anomaly"]
    assert label(row, True)["anomaly"] != label(row, True, OTHER)["anomaly"]
    assert label(row, True)["anomaly"] != label(row + 0.1, True)["anomaly"]
    assert len(label(row, True)["anomaly"][0]) == 24


def test_last_verdict_on_an_anomaly_replaces_earlier_ones() -> None:
    rows = [np.zeros(WIDTH), np.ones(WIDTH)]
    labels = np.concatenate([label(rows[0], True), label(rows[1], True), label(rows[0], False)])
    assert latest(labels)["hostile"].tolist() == [True, False]
    assert len(latest(labels[:0])) == 0


def test_old_labels_expire_and_only_the_last_are_used() -> None:
    labels = np.concatenate([label(np.full(WIDTH, i), True, given=float(i)) for i in range(10)])
    assert select_active(labels, 10.0, 100.0, 4)["given"].tolist() == [6, 7, 8, 9]
    assert select_active(labels, 10.0, 3.0, 100)["given"].tolist() == [8, 9]
    assert len(select_active(labels, 1e9, 3.0, 100)) == 0


def test_detector_counts_anomalies_that_rescoring_adds_and_removes(team: Fitted) -> None:
    batch = columns([plain(START + 9_000.0 + i, user_id="unknown") for i in range(12)])
    unlabelled = Detector(team.model, team.memory).detect(batch, threshold=-0.2, remember=False)
    assert (unlabelled.raised, unlabelled.quieted) == (0, 0)
    assert [each.id.encode() for each in unlabelled.anomalies] == unlabelled.labels[
        "anomaly"
    ].tolist()
    labels = unlabelled.labels.copy()
    rescoring = Rescoring.of(team.model, labels)
    detector = Detector(team.model, team.memory, rescoring)
    after = detector.detect(batch, threshold=-0.5000001, remember=False)
    before = Detector(team.model, team.memory).detect(batch, -0.5000001, remember=False)
    assert after.quieted - after.raised == len(before.anomalies) - len(after.anomalies)
    assert after.quieted > 0
    np.testing.assert_allclose(
        detector.scores(labels), after.scores[[each.index for each in unlabelled.anomalies]]
    )


def test_detected_and_reported_log_give_the_same_label_record(team: Fitted) -> None:
    detector = Detector(team.model, team.memory)
    log = columns([plain(START + 9_000.0, user_id="unknown")])
    (reported,) = detector.labels(log)
    (detected,) = detector.detect(log, threshold=-1e-12, remember=False).labels
    assert reported == detected
    assert detector.labels(columns([])).dtype == LABEL
