"""The compiled ranker gives what its scikit-learn models give."""

import numpy as np
import pytest

from api_anomaly.core.ranker import Ranker, _drawn, _fitted


def rows_of(count: int, shift: float, seed: int) -> np.ndarray:
    rows = np.random.default_rng(seed).normal(shift, 1.0, (count, 12)).astype(np.float32)
    rows[:, 0] = 1.5
    rows[:, 1] = np.round(rows[:, 1])
    return rows


@pytest.mark.parametrize("rehearsals", [1, 3])
def test_log_odds_are_the_mean_of_the_models_decisions(rehearsals: int) -> None:
    own, actors = rows_of(900, 0.0, 1), (np.arange(900) % 7).astype(np.uint64)
    played = [rows_of(400 + 50 * i, 1.0, 10 + i) for i in range(rehearsals)]
    ranker = Ranker.train(own, actors, played, seed=5)
    chance = np.random.default_rng(5)
    models = [_fitted(_drawn(own, actors, chance), rows, 5 + i) for i, rows in enumerate(played)]
    others = np.concatenate([own, *played, 9 * rows_of(101, 0.0, 99)])
    expected = np.mean([model.decision_function(others) for model in models], axis=0)
    assert np.abs(ranker.log_odds(others) - expected).max() < 1e-9
    assert abs(ranker.log_odds(others[:1])[0] - expected[0]) < 1e-9


def test_training_is_deterministic_by_seed() -> None:
    own, actors, played = rows_of(500, 0.0, 1), np.zeros(500, np.uint64), [rows_of(300, 1.0, 2)]
    one, again, other = (Ranker.train(own, actors, played, s).log_odds(own) for s in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_row_is_ranked_the_same_alone_and_anywhere_in_a_batch() -> None:
    own, actors, played = rows_of(500, 0.0, 1), np.zeros(500, np.uint64), [rows_of(300, 1.0, 2)]
    ranker = Ranker.train(own, actors, played, 1)
    whole = ranker.log_odds(own)
    assert np.array_equal(ranker.log_odds(own[::-1].copy())[::-1], whole)
    assert [ranker.log_odds(own[i : i + 1])[0] for i in range(0, 500, 7)] == whole[::7].tolist()


def test_abuse_is_told_from_own_traffic() -> None:
    own, actors, played = rows_of(900, 0.0, 1), np.zeros(900, np.uint64), [rows_of(900, 2.0, 2)]
    ranker = Ranker.train(own, actors, played, 1)
    assert np.median(ranker.log_odds(rows_of(200, 2.0, 3))) > 0.0
    assert np.median(ranker.log_odds(rows_of(200, 0.0, 4))) < 0.0
