"""Own logs that look like the rehearsed attacks count little, unless they are a regular's."""

import numpy as np

from api_anomaly.model.classifier import AbuseClassifier, SyntheticRows
from api_anomaly.model.classifier_training import (
    excluded_from_threshold,
    synthetic_rows,
    relabelled,
)
from tests.support.streams import columns, traffic

DAY = 86_400.0
D = 12


def history(attacker_days: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Ten days of twenty ordinary actors, and of actor 99, whose logs look like attacks, in so many
    of the days: behaviours, actors, times and which logs are actor 99's.
    """
    rng = np.random.default_rng(3)
    time = np.sort(rng.uniform(0.0, 10 * DAY, 4_000))
    actors = rng.integers(0, 20, len(time))
    hostile = (time < attacker_days * DAY) & (rng.random(len(time)) < 0.1)
    actors[hostile] = 99
    rows = rng.normal(0.0, 1.0, (len(time), D)) + 3.0 * hostile[:, None]
    return rows.astype(np.float32), actors.astype(np.uint64), time, hostile


def synthetic_sets(shift: float = 3.0) -> list[SyntheticRows]:
    place = np.arange(600)
    return [
        SyntheticRows(
            np.random.default_rng(seed).normal(shift, 1.0, (600, D)).astype(np.float32),
            place % 3,
            place // 20,
        )
        for seed in range(3)
    ]


def test_a_passing_attacker_in_the_training_data_is_suspected_and_hardly_anybody_else() -> None:
    rows, actors, time, hostile = history(attacker_days=2)
    found = relabelled(rows, actors, actors, time, synthetic_sets(), seed=0)
    assert found[hostile].mean() > 0.99
    assert found[~hostile].mean() < 0.02


def test_a_regular_is_never_suspected_whatever_it_does() -> None:
    rows, actors, time, hostile = history(attacker_days=10)
    assert not relabelled(rows, actors, actors, time, synthetic_sets(), seed=0)[hostile].any()


def test_a_regular_user_at_an_address_that_is_no_regular_is_suspected_there() -> None:
    rows, actors, time, hostile = history(attacker_days=2)
    addresses = actors.copy()
    actors[hostile] = 5  # one of the ordinary twenty: its key was stolen
    found = relabelled(rows, actors, addresses, time, synthetic_sets(), seed=0)
    assert found[hostile].mean() > 0.95
    assert found[(actors == 5) & ~hostile].mean() < 0.02


def test_who_is_suspected_is_suspected_with_all_it_did_in_that_quarter_of_a_day() -> None:
    rows, actors, time, hostile = history(attacker_days=2)
    tame = np.flatnonzero(hostile)[::2]
    rows[tame] -= 3.0
    found = relabelled(rows, actors, actors, time, synthetic_sets(), seed=0)
    assert found[tame].mean() > 0.95


def test_suspicion_is_the_same_for_the_same_seed_and_needs_two_halves() -> None:
    rows, actors, time, _ = history(attacker_days=2)
    one, again = (
        relabelled(rows, actors, actors, time, synthetic_sets(), seed=4) for _ in range(2)
    )
    assert np.array_equal(one, again)
    alone = np.zeros(len(actors), np.uint64)
    assert not relabelled(rows, alone, alone, time, synthetic_sets(), seed=4).any()


def odds(rows: np.ndarray, actors: np.ndarray, hostile: np.ndarray) -> np.ndarray:
    """Log-odds by a ranker that learnt from the ordinary logs alone."""
    own, alike = rows[~hostile], np.ones(int((~hostile).sum()))
    return AbuseClassifier.train(
        own, actors[~hostile], alike, synthetic_sets()[:1], seed=0
    ).log_odds(rows)


def test_many_logs_that_look_like_attacks_are_doubted_with_their_visits() -> None:
    rows, actors, time, hostile = history(attacker_days=4)
    found = excluded_from_threshold(odds(rows, actors, hostile), actors, actors, time)
    assert 0.03 < hostile.mean() and found[hostile].mean() > 0.95
    assert found[~hostile].mean() < 0.02


def test_in_its_first_days_nothing_is_doubted() -> None:
    rows, actors, time, hostile = history(attacker_days=4)
    looks = odds(rows, actors, hostile)
    assert not excluded_from_threshold(looks, actors, actors, time / 3.0).any()


def test_few_of_them_are_a_teams_own_oddities_and_a_regulars_are_never_doubted() -> None:
    rows, actors, time, hostile = history(attacker_days=1)
    assert hostile.mean() < 0.02
    assert not excluded_from_threshold(odds(rows, actors, hostile), actors, actors, time).any()
    rows, actors, time, hostile = history(attacker_days=10)
    assert not excluded_from_threshold(odds(rows, actors, hostile), actors, actors, time)[
        hostile
    ].any()


def test_without_a_stage_there_is_no_second_stage() -> None:
    few = columns(traffic(50, seed=1))
    assert synthetic_rows(few, 0, 1_000) is None
