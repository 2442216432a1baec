"""The abuse classifier gives what its scikit-learn models give."""

import numpy as np
import pytest

from api_anomaly.model.classifier import (
    AbuseClassifier,
    SyntheticRows,
    _draw_own,
    _draw_attacks,
    _fit,
)


def rows_of(count: int, shift: float, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(shift, 1.0, (count, 12)).astype(np.float32)
    rows[:, 0] = 1.5
    rows[:, 1] = np.round(rows[:, 1])
    return rows


def as_attacks(rows: np.ndarray) -> SyntheticRows:
    """Rows as those of three families of attackers with ten logs each."""
    index = np.arange(len(rows))
    return SyntheticRows(rows, index // 10 % 3, index // 10)


def trained(own: np.ndarray, rows: np.ndarray, seed: int) -> AbuseClassifier:
    actors = np.zeros(len(own), np.uint64)
    return AbuseClassifier.train(own, actors, np.ones(len(own)), [as_attacks(rows)], seed)


@pytest.mark.parametrize("synthetic_sets", [1, 3])
def test_log_odds_are_the_mean_of_the_models_decisions(synthetic_sets: int) -> None:
    own, actors = rows_of(900, 0.0, 1), (np.arange(900) % 7).astype(np.uint64)
    weight = np.ones(900)
    rows = [rows_of(400 + 50 * i, 1.0, 10 + i) for i in range(synthetic_sets)]
    attacks = [as_attacks(each) for each in rows]
    classifier = AbuseClassifier.train(own, actors, weight, attacks, seed=5)
    chance, models = np.random.default_rng(5), []
    for i, each in enumerate(attacks):
        drawn = _draw_own(own, actors, weight, chance)
        models.append(_fit(drawn, _draw_attacks(each, len(drawn), chance), 5 + i))
    others = np.concatenate([own, *rows, 9 * rows_of(101, 0.0, 99)])
    expected = np.mean([model.decision_function(others) for model in models], axis=0)
    assert np.abs(classifier.log_odds(others) - expected).max() < 1e-9
    assert abs(classifier.log_odds(others[:1])[0] - expected[0]) < 1e-9


def test_training_is_deterministic_by_seed() -> None:
    own, rows = rows_of(500, 0.0, 1), rows_of(300, 1.0, 2)
    one, again, other = (trained(own, rows, seed).log_odds(own) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_row_scores_the_same_alone_and_anywhere_in_a_batch() -> None:
    own = rows_of(500, 0.0, 1)
    classifier = trained(own, rows_of(300, 1.0, 2), 1)
    together = classifier.log_odds(own)
    assert np.array_equal(classifier.log_odds(own[::-1].copy())[::-1], together)
    assert [classifier.log_odds(own[i : i + 1])[0] for i in range(0, 500, 7)] == together[
        ::7
    ].tolist()


def test_abuse_is_told_from_own_traffic() -> None:
    classifier = trained(rows_of(900, 0.0, 1), rows_of(900, 2.0, 2), 1)
    assert np.median(classifier.log_odds(rows_of(200, 2.0, 3))) > 0.0
    assert np.median(classifier.log_odds(rows_of(200, 0.0, 4))) < 0.0


def test_rows_without_weight_are_not_trained_on() -> None:
    own, rows = rows_of(900, 0.0, 1), rows_of(300, 2.0, 2)
    hidden = np.concatenate([own, rows_of(300, 2.0, 5)])
    weight = np.where(np.arange(len(hidden)) < 900, 1.0, 0.0)
    actors = np.zeros(len(hidden), np.uint64)
    informed = AbuseClassifier.train(hidden, actors, weight, [as_attacks(rows)], 1)
    naive = AbuseClassifier.train(hidden, actors, np.ones(len(hidden)), [as_attacks(rows)], 1)
    attack = rows_of(200, 2.0, 3)
    assert np.median(informed.log_odds(attack)) > np.median(naive.log_odds(attack)) + 1.0


def test_each_family_is_drawn_as_often_however_long_its_attacks_are() -> None:
    family = np.repeat([0, 1, 2], [1_000, 100, 10])
    rows = np.repeat(family[:, None], 12, axis=1).astype(np.float32)
    synthetic = SyntheticRows(rows, family, np.arange(len(rows)) // 5)
    drawn = _draw_attacks(synthetic, 6_000, np.random.default_rng(1))[:, 0].astype(int)
    assert np.abs(np.bincount(drawn) - 2_000).max() < 200
