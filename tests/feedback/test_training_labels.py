"""Training labels from verdicts, and the bounded weight of one user."""

from typing import Any

import numpy as np
import pytest

from api_anomaly.features.extract import actor_keys, extract
from api_anomaly.features.table import NAMES
from api_anomaly.feedback.labels import LABEL, build_labels
from api_anomaly.feedback.rescoring import Rescoring
from api_anomaly.feedback.training_labels import LabelRecords
from api_anomaly.model.bundle import Model
from api_anomaly.model.ensemble import Ensemble
from api_anomaly.model.fit import Fitted, fit
from api_anomaly.model.peer_baseline import PeerBaseline
from api_anomaly.model.scorer import FitOptions
from api_anomaly.model.training_labels import TrainingLabels
from tests.support.streams import columns, traffic

DAY, WIDTH, OPTIONS = 86_400.0, len(NAMES), FitOptions(trees=20, memory_entities=2_000)


def training_labels_of(labels: Any, rows: Any, actors: Any, time: Any, baseline: Any) -> Any:
    """The training labels of label records on a history."""
    return LabelRecords(labels).training_labels(rows, actors, time, baseline)


def label(row: Any, user: int, time: float = 0.0, hostile: bool = False) -> Any:
    keys = np.array([[user, user, 1]], np.uint64)
    one = build_labels(np.asarray(row, np.float32)[None], keys, np.array([time]))
    one["hostile"], one["given"] = hostile, 1.0
    return one


def ordinary(n: int = 3_000, users: int = 10) -> tuple[Any, Any, Any, PeerBaseline]:
    """Features, users, times and baseline of ten days."""
    rng = np.random.default_rng(5)
    rows = rng.normal(3.0, 1.0, (n, WIDTH)).astype(np.float32)
    actors = rng.integers(0, users, n).astype(np.uint64)
    return rows, actors, np.sort(rng.uniform(0.0, 10 * DAY, n)), PeerBaseline.of(rows)


def test_verdict_covers_similar_logs_of_the_user_within_a_day() -> None:
    rows, actors, time, peer_baseline = ordinary()
    verdict = label(rows[1_500], int(actors[1_500]), time[1_500], hostile=True)
    training_labels = training_labels_of(verdict, rows, actors, time, peer_baseline)
    assert training_labels.hostile_logs[1_500] and not training_labels.harmless_logs.any()
    assert set(actors[training_labels.hostile_logs]) == {actors[1_500]}
    assert np.abs(time[training_labels.hostile_logs] - time[1_500]).max() <= DAY
    far = rows.copy()
    far[np.flatnonzero(actors == actors[1_500])] += 50.0
    far[1_500] = rows[1_500]
    assert training_labels_of(verdict, far, actors, time, peer_baseline).hostile_logs.sum() == 1


def test_user_with_the_largest_key_is_found() -> None:
    rows, actors, time, peer_baseline = ordinary()
    last = 2**64 - 1
    actors[:] = np.uint64(last)
    training_labels = training_labels_of(
        label(rows[7], last, time[7]), rows, actors, time, peer_baseline
    )
    assert training_labels.harmless_logs[7]


def test_log_near_verdicts_of_both_kinds_counts_as_an_attack() -> None:
    rows, actors, time, peer_baseline = ordinary()
    user = int(actors[10])
    both = [label(rows[10], user, time[10]), label(rows[10] + 1e-3, user, time[10], hostile=True)]
    training_labels = training_labels_of(np.concatenate(both), rows, actors, time, peer_baseline)
    assert training_labels.hostile_logs[10] and not training_labels.harmless_logs[10]


def dissimilar(n: int) -> Any:
    """Rows (n, d), each far from all others."""
    return np.random.default_rng(6).normal(3.0, 30.0, (n, WIDTH)).astype(np.float32)


UNKNOWN_USER = 1_000  # users from here on have no log in the history of `ordinary`


def from_verdicts(verdicts: list[Any]) -> TrainingLabels:
    return training_labels_of(np.concatenate(verdicts), *ordinary())


def confirmed(row: Any, user: int) -> Any:
    return label(row, UNKNOWN_USER + user, hostile=True)


@pytest.mark.parametrize("hostile", [False, True])
def test_user_has_one_weight_however_many_verdicts_and_logs(
    hostile: bool,
) -> None:
    rows, actors, time, peer_baseline = ordinary()
    once = [label(dissimilar(1)[0] + 0.01 * i, 77, hostile=hostile) for i in range(10)]
    often = [label(rows[i], int(actors[i]), time[i], hostile) for i in np.flatnonzero(actors == 3)]
    training_labels = training_labels_of(
        np.concatenate(once + often), rows, actors, time, peer_baseline
    )
    side = training_labels.hostile if hostile else training_labels.harmless
    assert len(often) > 200
    assert side.probability[:10].sum() == pytest.approx(0.5)
    assert training_labels.hostile.share == pytest.approx(0.02 if hostile else 0.0)


def test_users_labelled_for_the_same_thing_share_one_weight() -> None:
    row, other_rows = ordinary()[0][0], dissimilar(5)
    campaign = [confirmed(row + 1e-3 * i, i % 30) for i in range(300)]
    assert from_verdicts(campaign).hostile.share == pytest.approx(0.01)
    others = [confirmed(other_rows[i] + 0.01 * j, 50 + i) for i in range(5) for j in range(10)]
    assert from_verdicts(campaign + others).hostile.share == pytest.approx(0.06)
    mixed = from_verdicts(campaign + others[:10]).hostile
    assert mixed.share == pytest.approx(0.02)
    assert mixed.probability[-10:].sum() == pytest.approx(0.5)


def test_hundreds_of_users_labelled_for_the_same_thing_share_one_weight() -> None:
    row = ordinary()[0][0]
    campaign = [confirmed(row + 1e-4 * i, i // 10) for i in range(12_000)]
    assert from_verdicts(campaign).hostile.share == pytest.approx(0.01, rel=0.01)


def test_users_labelled_for_different_things_have_a_weight_each() -> None:
    side = from_verdicts([confirmed(row, i) for i, row in enumerate(dissimilar(1_100))]).hostile
    assert side.probability == pytest.approx(np.full(1_100, 1.0 / 1_100))


def test_one_common_log_does_not_reduce_the_weights_of_users_labelled_for_others() -> None:
    rows = dissimilar(151)
    verdicts = [confirmed(rows[i], i // 15) for i in range(150)]
    common = [confirmed(rows[150], user) for user in range(10)]
    side = from_verdicts(verdicts + common).hostile
    assert side.share == pytest.approx(0.1 * (15 + 0.1) / 16)


def test_user_of_few_logs_has_part_of_a_weight() -> None:
    one, three = dissimilar(2)
    few = [confirmed(one, 1), *(confirmed(three + 0.01 * i, 2) for i in range(3))]
    side = from_verdicts(few).hostile
    assert side.share == pytest.approx(0.01 * (0.1 + 0.3))
    assert side.probability == pytest.approx([0.25, 0.25, 0.25, 0.25])


def test_all_verdicts_of_a_side_have_a_bounded_share() -> None:
    rows = enumerate(dissimilar(800))
    training_labels = from_verdicts(
        [label(row, UNKNOWN_USER + i, hostile=i % 2 == 0) for i, row in rows]
    )
    assert (training_labels.hostile.share, training_labels.harmless.share) == (0.1, 0.04)
    assert len(training_labels.harmless.sample(1_000, np.random.default_rng(0))) == 40


@pytest.mark.parametrize("attacks", [0, 1, 20])
def test_harmless_rows_have_at_most_the_share_of_confirmed_attacks(attacks: int) -> None:
    rows = enumerate(dissimilar(220))
    training_labels = from_verdicts(
        [label(row, UNKNOWN_USER + i, hostile=i < attacks) for i, row in rows]
    )
    assert (
        training_labels.harmless.share
        == training_labels.hostile.share
        == pytest.approx(attacks * 0.001)
    )
    assert bool(len(training_labels.harmless.sample(1_000, np.random.default_rng(0)))) == bool(
        attacks
    )


def test_one_weight_adds_a_row_even_to_a_small_side() -> None:
    rows, actors, time, peer_baseline = ordinary(60)
    training_labels = training_labels_of(
        label(rows[0], 77, hostile=True), rows, actors, time, peer_baseline
    )
    assert len(training_labels.hostile.sample(50, np.random.default_rng(0))) == 1


def test_only_the_last_labels_of_a_user_count() -> None:
    rows, actors, time, peer_baseline = ordinary()
    old = [label(rows[i] + 9.0, 77) for i in range(30)]
    new = [label(rows[i], 77) for i in range(20)]
    training_labels = training_labels_of(
        np.concatenate(old + new), rows, actors, time, peer_baseline
    )
    assert {row.tobytes() for row in training_labels.harmless.rows} == {
        row.tobytes() for row in rows[:20]
    }


def test_logs_of_a_very_active_user_are_sampled() -> None:
    rows, actors, time, peer_baseline = ordinary(20_000)
    actors[:], time = 5, np.sort(time / 20.0)
    rows[:] = rows[0]
    training_labels = training_labels_of(
        label(rows[0], 5, time[10_000]), rows, actors, time, peer_baseline
    )
    assert 4_000 <= training_labels.harmless_logs.sum() <= 5_000


def test_side_without_verdicts_samples_nothing() -> None:
    found = from_verdicts([label(dissimilar(1)[0], UNKNOWN_USER, hostile=False)])
    assert found.hostile.share == 0.0 and not found.hostile_logs.any()
    assert len(found.hostile.sample(500, np.random.default_rng(0))) == 0
    assert training_labels_of(np.zeros(0, LABEL), *ordinary()) is None


# --- in a whole training ------------------------------------------------------------------------


@pytest.fixture(scope="module")
def logs() -> list[dict[str, Any]]:
    return traffic(900, users=12)


@pytest.fixture(scope="module")
def team(logs: list[dict[str, Any]]) -> Fitted:
    return fit(columns(logs), OPTIONS)


def label_worst(team: Fitted, logs: list[dict[str, Any]], hostile: bool) -> tuple[Any, Any]:
    """A label on the most anomalous log of the training, and that log's features."""
    history = columns(logs)
    seen = extract(team.memory, history, remember=False)
    worst = int(np.argmax(team.model.evidence(seen.rows)))
    user = int(actor_keys(history)[worst])
    return label(seen.rows[worst], user, history.time[worst], hostile), seen.rows[worst]


def log_odds(model: Model, row: Any) -> float:
    scorer = model.scorers["ensemble"]
    assert isinstance(scorer, Ensemble) and scorer.classifier is not None
    return float(scorer.classifier.log_odds(row[None])[0])


def test_training_raises_a_confirmed_attack(team: Fitted, logs: list[dict[str, Any]]) -> None:
    verdict, row = label_worst(team, logs, hostile=True)
    trained = fit(columns(logs), OPTIONS, labels=LabelRecords(verdict)).model
    assert log_odds(trained, row) > log_odds(team.model, row)


def test_training_lowers_a_false_positive_if_there_are_confirmed_attacks(
    team: Fitted, logs: list[dict[str, Any]]
) -> None:
    _, row = label_worst(team, logs, hostile=False)
    attacks = [confirmed(one, i % 4) for i, one in enumerate(dissimilar(40))]
    harmless = [label(row + 1e-3 * i, UNKNOWN_USER + 9) for i in range(10)]
    before = fit(columns(logs), OPTIONS, labels=LabelRecords(np.concatenate(attacks))).model
    after = fit(
        columns(logs), OPTIONS, labels=LabelRecords(np.concatenate([*attacks, *harmless]))
    ).model
    assert log_odds(after, row) < log_odds(before, row) - 0.5


def test_empty_label_records_do_not_change_training(
    team: Fitted, logs: list[dict[str, Any]]
) -> None:
    again = fit(columns(logs), OPTIONS, labels=LabelRecords(np.zeros(0, LABEL))).model
    rows = np.random.default_rng(0).normal(2.0, 2.0, (50, WIDTH)).astype(np.float32)
    assert np.array_equal(again.evidence(rows), team.model.evidence(rows))
    assert again.labels_until == -np.inf


def given_of_all_users(model: Model, labels: Any) -> list[float]:
    """When the labels that apply to all users were given."""
    rows = Rescoring.of(model, labels).all_users.columns.T
    return [float(one["given"]) for one in labels if (one["row"] == rows).all(axis=1).any()]


def test_true_positive_used_in_training_rescoring_ends_and_later_one_counts(
    team: Fitted, logs: list[dict[str, Any]]
) -> None:
    verdict, row = label_worst(team, logs, hostile=True)
    trained = fit(columns(logs), OPTIONS, labels=LabelRecords(verdict)).model
    assert trained.labels_until == 1.0
    assert given_of_all_users(trained, verdict) == []
    later = label(row + 0.1, 5, hostile=True)
    later["given"] = 2.0
    both = np.concatenate([verdict, later])
    assert (
        given_of_all_users(trained, both) == [2.0]
        and len(Rescoring.of(trained, both).same_user.rows) == 2
    )


def test_false_positive_used_in_training_still_rescores(
    team: Fitted, logs: list[dict[str, Any]]
) -> None:
    verdict, row = label_worst(team, logs, hostile=False)
    trained = fit(columns(logs), OPTIONS, labels=LabelRecords(verdict)).model
    assert given_of_all_users(trained, verdict) == [1.0]
    adjusted = Rescoring.of(trained, verdict).adjusted(
        np.array([9.0]), row[None], np.array([99], "u8")
    )
    assert adjusted[0] < 9.0


def test_false_positive_near_a_trained_true_positive_stops_rescoring(
    team: Fitted, logs: list[dict[str, Any]]
) -> None:
    """Else training would raise similar logs and rescoring would lower them."""
    attack, row = label_worst(team, logs, hostile=True)
    near, far = label(row + 1e-3, 5), label(dissimilar(1)[0], int(attack["user"][0]))
    verdicts = np.concatenate([near, far, attack])
    trained = fit(columns(logs), OPTIONS, labels=LabelRecords(verdicts)).model
    labels = Rescoring.of(trained, verdicts).all_users
    assert np.array_equal(labels.columns.T, far["row"])
    assert labels.weights.tolist() == [0.5]  # the other half belongs to the true positive


def test_training_succeeds_if_all_logs_are_labelled_attacks() -> None:
    alone = [log | {"user_id": "one", "ip_address": "10.0.0.1"} for log in traffic(300, users=1)]
    history = columns(alone)
    seen = extract(fit(history, OPTIONS).memory, history, remember=False)
    user = int(actor_keys(history)[0])
    verdicts = [
        label(seen.rows[i], user, float(history.time[i]), hostile=True) for i in range(0, 300, 15)
    ]
    assert (
        fit(history, OPTIONS, labels=LabelRecords(np.concatenate(verdicts))).model.labels_until
        <= 1.0
    )
