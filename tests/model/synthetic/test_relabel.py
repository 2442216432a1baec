"""Own logs that look like the synthetic attacks are relabelled, except those of regular
visitors.
"""

import numpy as np

from api_anomaly.model.classifier import AbuseClassifier, SyntheticRows
from api_anomaly.model.synthetic.relabel import excluded_from_threshold, relabelled

DAY = 86_400.0
D = 12


def history(attacker_days: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ten days of twenty ordinary actors, and of actor 99, whose logs look like attacks, on the
    first `attacker_days`: features, actors, times and the mask of actor 99's logs.
    """
    rng = np.random.default_rng(3)
    time = np.sort(rng.uniform(0.0, 10 * DAY, 4_000))
    actors = rng.integers(0, 20, len(time))
    hostile = (time < attacker_days * DAY) & (rng.random(len(time)) < 0.1)
    actors[hostile] = 99
    rows = rng.normal(0.0, 1.0, (len(time), D)) + 3.0 * hostile[:, None]
    return rows.astype(np.float32), actors.astype(np.uint64), time, hostile


def synthetic_sets(shift: float = 3.0) -> list[SyntheticRows]:
    number = np.arange(600)
    return [
        SyntheticRows(
            np.random.default_rng(seed).normal(shift, 1.0, (600, D)).astype(np.float32),
            number % 3,
            number // 20,
        )
        for seed in range(3)
    ]


def test_an_irregular_attacker_is_relabelled_and_hardly_any_other_log() -> None:
    rows, actors, time, hostile = history(attacker_days=2)
    found = relabelled(rows, actors, actors, time, synthetic_sets(), seed=0)
    assert found[hostile].mean() > 0.99
    assert found[~hostile].mean() < 0.02


def test_a_regular_visitor_is_never_relabelled() -> None:
    rows, actors, time, hostile = history(attacker_days=10)
    assert not relabelled(rows, actors, actors, time, synthetic_sets(), seed=0)[hostile].any()


def test_a_regular_user_is_relabelled_at_an_irregular_address() -> None:
    rows, actors, time, hostile = history(attacker_days=2)
    addresses = actors.copy()
    actors[hostile] = 5  # one of the twenty ordinary actors: its key was stolen
    found = relabelled(rows, actors, addresses, time, synthetic_sets(), seed=0)
    assert found[hostile].mean() > 0.95
    assert found[(actors == 5) & ~hostile].mean() < 0.02


def test_all_logs_of_the_same_visit_are_relabelled() -> None:
    rows, actors, time, hostile = history(attacker_days=2)
    quiet = np.flatnonzero(hostile)[::2]
    rows[quiet] -= 3.0
    found = relabelled(rows, actors, actors, time, synthetic_sets(), seed=0)
    assert found[quiet].mean() > 0.95


def test_relabelling_is_deterministic_and_needs_two_actors() -> None:
    rows, actors, time, _ = history(attacker_days=2)
    one, again = (
        relabelled(rows, actors, actors, time, synthetic_sets(), seed=4) for _ in range(2)
    )
    assert np.array_equal(one, again)
    alone = np.zeros(len(actors), np.uint64)
    assert not relabelled(rows, alone, alone, time, synthetic_sets(), seed=4).any()


def log_odds(rows: np.ndarray, actors: np.ndarray, hostile: np.ndarray) -> np.ndarray:
    """Log-odds by a classifier trained on the ordinary logs alone."""
    own, weight = rows[~hostile], np.ones(int((~hostile).sum()))
    return AbuseClassifier.train(
        own, actors[~hostile], weight, synthetic_sets()[:1], seed=0
    ).log_odds(rows)


def test_many_logs_that_look_like_attacks_are_excluded_with_their_visits() -> None:
    rows, actors, time, hostile = history(attacker_days=4)
    found = excluded_from_threshold(log_odds(rows, actors, hostile), actors, actors, time)
    assert 0.03 < hostile.mean() and found[hostile].mean() > 0.95
    assert found[~hostile].mean() < 0.02


def test_nothing_is_excluded_in_the_first_days() -> None:
    rows, actors, time, hostile = history(attacker_days=4)
    found = log_odds(rows, actors, hostile)
    assert not excluded_from_threshold(found, actors, actors, time / 3.0).any()


def test_few_such_logs_and_those_of_regular_visitors_are_not_excluded() -> None:
    rows, actors, time, hostile = history(attacker_days=1)
    assert hostile.mean() < 0.02
    assert not excluded_from_threshold(log_odds(rows, actors, hostile), actors, actors, time).any()
    rows, actors, time, hostile = history(attacker_days=10)
    assert not excluded_from_threshold(log_odds(rows, actors, hostile), actors, actors, time)[
        hostile
    ].any()
