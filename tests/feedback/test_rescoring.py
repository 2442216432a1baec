"""Feedback: what verdicts reach, and above all what they do not reach."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from api_anomaly.features.table import NAMES
from api_anomaly.detector import Detector
from api_anomaly.model.fit import Fitted, fit
from api_anomaly.model.scorer import FitOptions
from api_anomaly.feedback.rescoring import (
    FAR,
    MOST_SHIFT,
    NEAR,
    OWN_LABELS,
    VOTING_LESSONS,
    Feedback,
)
from api_anomaly.feedback.labels import LABEL, alive, latest, labels_of
from api_anomaly.model.bundle import NEUTRAL, Model, to_score
from tests.support.streams import START, columns, plain, traffic

DECADE = math.log(10.0)
WIDTH = len(NAMES)
ATTACKER, OTHER = np.uint64(7), np.uint64(9)


@pytest.fixture(scope="module")
def team() -> Fitted:
    """A model of a small team, with an evidence that any row can have."""
    return fit(columns(traffic(400, users=8)), FitOptions(trees=10, memory_entities=200))


def label(row: Any, hostile: bool, user: np.uint64 = ATTACKER, given: float = 1.0) -> Any:
    """One lesson."""
    keys = np.array([[user, user, 1]], np.uint64)
    one = labels_of(np.asarray(row, np.float32)[None], keys, np.array([START]))
    one["hostile"], one["given"] = hostile, given
    return one


def away(model: Model, row: Any, distance: float, seed: int = 0) -> NDArray[np.float32]:
    """A row at `distance` from another: every behaviour is off by as much, up or down."""
    up = np.random.default_rng(seed).random(WIDTH) < 0.5
    below, above = model.peer_baseline.spread()
    moved = np.asarray(row) + distance * np.where(up, above, -below)
    return np.asarray(moved, np.float32)


def adjusted(feedback: Feedback, evidence: float, row: Any, user: np.uint64) -> float:
    """The evidence against one log."""
    rows = np.asarray(row, np.float32)[None]
    return float(feedback.adjusted(np.array([evidence]), rows, np.array([user], np.uint64))[0])


# --- the plain twin -----------------------------------------------------------------------------


def naive_distance(model: Model, one: Any, other: Any) -> float:
    """Root of the mean square apart, in spreads, each at most 3."""
    total, (below, above) = 0.0, model.peer_baseline.spread()
    for j in range(WIDTH):
        difference = float(one[j]) - float(other[j])
        spread = above[j] if difference > 0 else below[j]
        total += min(3.0, abs(difference) / float(spread)) ** 2
    return math.sqrt(total / WIDTH)


def slope(value: float, same: float, other: float) -> float:
    return min(1.0, max(0.0, (other - value) / (other - same)))


def naive_heard(
    model: Model, labels: NDArray[Any], evidence: float, row: Any, user: np.uint64
) -> float:
    """The whole of it for one log, with Python's own lists and words."""
    last: dict[bytes, Any] = {}
    for each in labels:
        last.pop(each["anomaly"], None)
        last[each["anomaly"]] = each
    newest = list(last.values())[::-1]
    after = evidence
    if evidence > DECADE:
        voting = []
        for each in newest:
            if sum(other["user"] == each["user"] for other in voting) < 4:
                voting.append(each)
        voting = voting[:VOTING_LESSONS]
        voices, votes = 1.0, 0.0
        for each in voting:
            mates = sum(other["user"] == each["user"] for other in voting)
            reach = (0.4, 0.8) if each["hostile"] else (0.3, 0.6)
            near = slope(naive_distance(model, row, each["row"]), *reach) / mates
            voices += near
            votes += near if each["hostile"] else -near
        after += votes / voices * min(MOST_SHIFT, evidence - DECADE)
    own = [each for each in newest if each["user"] == user][:OWN_LABELS]
    if own:
        distances = [naive_distance(model, row, each["row"]) for each in own]
        least = min(distances)
        judged = own[distances.index(least)]
        like = slope(least, NEAR, FAR)
        over = evidence - float(model.evidence(judged["row"][None].copy())[0])
        threshold = model.calibration.threshold()
        if judged["hostile"]:
            like *= slope(-over, DECADE / 2, DECADE)
            after += like * max(DECADE, threshold + 0.1 - after)
        else:
            like *= slope(over, DECADE / 2, DECADE)
            after -= like * max(0.0, after - NEUTRAL)
    return after


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), count=st.integers(1, 60), users=st.integers(1, 6))
def test_the_kernels_say_what_their_plain_twin_says(
    team: Fitted, seed: int, count: int, users: int
) -> None:
    rng, model = np.random.default_rng(seed), team.model
    base = team.model.peer_baseline.usual[-1]
    rows = np.stack(
        [
            away(model, base, rng.choice([0.0, 0.3, 0.6, 0.9]), int(rng.integers(4)))
            for _ in range(count)
        ]
    )
    keys = np.repeat(rng.integers(0, users, (count, 1)).astype(np.uint64), 3, axis=1)
    labels = labels_of(rows, keys, rng.integers(0, 3, count).astype(np.float64))
    labels["hostile"] = rng.random(count) < 0.5
    feedback = Feedback.of(model, labels)
    logs = np.stack([away(model, rows[i % count], rng.random(), i) for i in range(12)])
    asked = rng.integers(0, users + 1, len(logs)).astype(np.uint64)
    evidence = rng.choice([0.0, 1.0, 2.2, 2.5, 3.4, 6.0, 9.0], len(logs)) + rng.random(len(logs))
    after = feedback.adjusted(evidence, logs, asked)
    wanted = [naive_heard(model, labels, *each) for each in zip(evidence, logs, asked, strict=True)]
    np.testing.assert_allclose(after, wanted, rtol=1e-4, atol=1e-4)
    assert (after >= 0.0).all() and ((to_score(after) >= -1) & (to_score(after) < 0)).all()


# --- the judged user ----------------------------------------------------------------------------


def judged_evidence(model: Model, row: Any) -> float:
    return float(model.evidence(np.asarray(row, np.float32)[None])[0])


def test_a_false_positive_puts_the_users_pattern_back_to_neutral(team: Fitted) -> None:
    row = away(team.model, team.model.peer_baseline.usual[-1], 2.0)
    at = judged_evidence(team.model, row)
    feedback = Feedback.of(team.model, label(row, False))
    for distance in (0.0, 0.5):
        log = away(team.model, row, distance)
        assert adjusted(feedback, at, log, ATTACKER) == pytest.approx(NEUTRAL)
    beyond = away(team.model, row, FAR + 0.05)
    assert adjusted(feedback, at, beyond, ATTACKER) == at


@settings(max_examples=50)
@given(times=st.integers(1, 40), beyond=st.floats(0.0, 20.0))
def test_no_number_of_false_positives_quiets_a_log_ten_times_rarer(
    team: Fitted, times: int, beyond: float
) -> None:
    row = away(team.model, team.model.peer_baseline.usual[-1], 2.0)
    labels = np.concatenate([label(away(team.model, row, 0.01, i), False) for i in range(times)])
    rarest = float(team.model.evidence(np.ascontiguousarray(labels["row"])).max())
    evidence = rarest + DECADE + beyond
    after = adjusted(Feedback.of(team.model, labels), evidence, row, ATTACKER)
    assert after >= evidence - MOST_SHIFT


def test_a_true_positive_raises_the_users_pattern_over_the_threshold(team: Fitted) -> None:
    row = away(team.model, team.model.peer_baseline.usual[-1], 2.0)
    at, threshold = judged_evidence(team.model, row), team.model.calibration.threshold()
    feedback = Feedback.of(team.model, label(row, True))
    for evidence in (max(0.0, at - 0.5), at, at + 3.0):
        raised = adjusted(feedback, evidence, away(team.model, row, 0.3), ATTACKER)
        assert raised > threshold and raised >= evidence + 0.9 * DECADE


def test_a_true_positive_leaves_the_victims_ordinary_logs_alone(team: Fitted) -> None:
    row = away(team.model, team.model.peer_baseline.usual[-1], 2.0)
    feedback = Feedback.of(team.model, label(row, True))
    usual = judged_evidence(team.model, row) - DECADE - 0.01
    for evidence in (0.0, min(usual, DECADE)):
        assert adjusted(feedback, max(0.0, evidence), row, ATTACKER) == max(0.0, evidence)


def test_the_nearest_verdict_decides_and_of_equals_the_last(team: Fitted) -> None:
    row = away(team.model, team.model.peer_baseline.usual[-1], 2.0)
    at = judged_evidence(team.model, row)
    other = away(team.model, row, 0.4)
    both = np.concatenate([label(row, False), label(other, True)])
    assert adjusted(Feedback.of(team.model, both), at, row, ATTACKER) < at
    again = label(row, True)
    again["anomaly"] = b"another log, just alike"
    changed = np.concatenate([label(row, False), again])
    assert adjusted(Feedback.of(team.model, changed), at, row, ATTACKER) > at


# --- everybody else -----------------------------------------------------------------------------


@settings(max_examples=50)
@given(
    seed=st.integers(0, 2**32 - 1),
    hostile=st.booleans(),
    count=st.integers(1, 300),
    evidence=st.floats(0.0, 50.0),
)
def test_lessons_about_others_move_a_log_by_a_bounded_amount(
    team: Fitted, seed: int, hostile: bool, count: int, evidence: float
) -> None:
    row = away(team.model, team.model.peer_baseline.usual[-1], 2.0)
    many = np.concatenate([label(row, hostile, np.uint64(100 + i)) for i in range(count)])
    after = adjusted(Feedback.of(team.model, many), evidence, row, OTHER)
    assert abs(after - evidence) <= MOST_SHIFT
    if evidence <= DECADE:
        assert after == evidence
    else:
        assert (after > evidence) == hostile


@pytest.mark.parametrize("count", [1, 5, 400])
def test_one_users_verdicts_have_one_voice_however_many_they_are(team: Fitted, count: int) -> None:
    row = away(team.model, team.model.peer_baseline.usual[-1], 2.0)
    feedback_service = np.concatenate(
        [label(away(team.model, row, 0.01, i), False) for i in range(count)]
    )
    after = adjusted(Feedback.of(team.model, feedback_service), 8.0, row, OTHER)
    assert 8.0 - after == pytest.approx(MOST_SHIFT / 2.0, rel=0.01)


def test_more_users_say_more(team: Fitted) -> None:
    row = away(team.model, team.model.peer_baseline.usual[-1], 2.0)
    shifts = []
    for count in (1, 3, 30):
        voices = np.concatenate([label(row, False, np.uint64(50 + i)) for i in range(count)])
        shifts.append(8.0 - adjusted(Feedback.of(team.model, voices), 8.0, row, OTHER))
    assert shifts[0] < shifts[1] < shifts[2] <= MOST_SHIFT


@settings(max_examples=40)
@given(seed=st.integers(0, 2**32 - 1), user=st.sampled_from([ATTACKER, OTHER]))
def test_more_evidence_before_is_never_less_after(team: Fitted, seed: int, user: np.uint64) -> None:
    rng = np.random.default_rng(seed)
    row = away(team.model, team.model.peer_baseline.usual[-1], 2.0)
    some = [
        label(
            away(team.model, row, rng.random(), i), rng.random() < 0.5, ATTACKER + np.uint64(i % 3)
        )
        for i in range(8)
    ]
    feedback = Feedback.of(team.model, np.concatenate(some))
    evidence = np.linspace(0.0, 20.0, 200)
    rows = np.repeat(away(team.model, row, 0.2)[None], 200, axis=0)
    after = feedback.adjusted(evidence, rows, np.full(200, user))
    assert (np.diff(after) >= -1e-9).all()


# --- lessons ------------------------------------------------------------------------------------


def test_an_id_is_of_the_log_and_not_of_the_verdict(team: Fitted) -> None:
    row = np.zeros(WIDTH)
    assert label(row, True)["anomaly"] == label(row, False, given=9.0)["anomaly"]
    assert label(row, True)["anomaly"] != label(row, True, OTHER)["anomaly"]
    assert label(row, True)["anomaly"] != label(row + 0.1, True)["anomaly"]
    assert len(label(row, True)["anomaly"][0]) == 24


def test_of_verdicts_on_one_anomaly_the_last_holds() -> None:
    rows = [np.zeros(WIDTH), np.ones(WIDTH)]
    said = np.concatenate([label(rows[0], True), label(rows[1], True), label(rows[0], False)])
    assert latest(said)["hostile"].tolist() == [True, False]
    assert len(latest(said[:0])) == 0


def test_lessons_expire_and_the_oldest_make_room() -> None:
    labels = np.concatenate([label(np.full(WIDTH, i), True, given=float(i)) for i in range(10)])
    assert alive(labels, 10.0, 100.0, 4)["given"].tolist() == [6, 7, 8, 9]
    assert alive(labels, 10.0, 3.0, 100)["given"].tolist() == [8, 9]
    assert len(alive(labels, 1e9, 3.0, 100)) == 0


def test_a_detector_without_lessons_scores_as_ever_and_with_them_counts_what_moved(
    team: Fitted,
) -> None:
    batch = columns([plain(START + 9_000.0 + i, user_id="stranger") for i in range(12)])
    alone = Detector(team.model, team.memory).detect(batch, threshold=-0.2, remember=False)
    assert (alone.raised, alone.quieted) == (0, 0)
    assert [each.id.encode() for each in alone.anomalies] == alone.labels["anomaly"].tolist()
    judged = alone.labels.copy()
    feedback = Feedback.of(team.model, judged)
    taught = Detector(team.model, team.memory, feedback)
    loud = taught.detect(batch, threshold=-0.5000001, remember=False)
    bare = Detector(team.model, team.memory).detect(batch, -0.5000001, remember=False)
    assert loud.quieted - loud.raised == len(bare.anomalies) - len(loud.anomalies)
    assert loud.quieted > 0
    np.testing.assert_allclose(
        taught.scores(judged), loud.scores[[a.index for a in alone.anomalies]]
    )


def test_a_log_has_the_same_lesson_whether_it_is_detected_or_judged(team: Fitted) -> None:
    detector = Detector(team.model, team.memory)
    log = columns([plain(START + 9_000.0, user_id="stranger")])
    (asked,) = detector.labels(log)
    (found,) = detector.detect(log, threshold=-1e-12, remember=False).labels
    assert asked == found
    assert detector.labels(columns([])).dtype == LABEL
