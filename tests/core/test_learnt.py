"""What a training learns from verdicts, and how much one user can make it learn."""

from typing import Any

import numpy as np
import pytest

from api_anomaly.core.behaviour_pass import actor_keys, observe
from api_anomaly.core.behaviours import NAMES
from api_anomaly.core.detector import FitOptions, Fitted, fit
from api_anomaly.core.feedback import Feedback
from api_anomaly.core.learnt import Learnt, Side
from api_anomaly.core.lessons import LESSON, lessons_of
from api_anomaly.core.reasons import Scaler
from tests.core.streams import columns, traffic

DAY, WIDTH, OPTIONS = 86_400.0, len(NAMES), FitOptions(trees=20, memory_entities=2_000)


def lesson(row: Any, user: int, time: float = 0.0, hostile: bool = False) -> Any:
    """One verdict."""
    keys = np.array([[user, user, 1]], np.uint64)
    one = lessons_of(np.asarray(row, np.float32)[None], keys, np.array([time]))
    one["hostile"], one["given"] = hostile, 1.0
    return one


def ordinary(n: int = 3_000, users: int = 10) -> tuple[Any, Any, Any, Scaler]:
    """Behaviours, users and times of ten days."""
    rng = np.random.default_rng(5)
    rows = rng.normal(3.0, 1.0, (n, WIDTH)).astype(np.float32)
    actors = rng.integers(0, users, n).astype(np.uint64)
    return rows, actors, np.sort(rng.uniform(0.0, 10 * DAY, n)), Scaler.of(rows)


def test_a_verdict_speaks_of_the_users_like_logs_within_a_day() -> None:
    rows, actors, time, scaler = ordinary()
    verdict = lesson(rows[1_500], int(actors[1_500]), time[1_500], hostile=True)
    learnt = Learnt.of(verdict, rows, actors, time, scaler)
    assert learnt.guilty[1_500] and not learnt.cleared.any()
    assert set(actors[learnt.guilty]) == {actors[1_500]}
    assert np.abs(time[learnt.guilty] - time[1_500]).max() <= DAY
    far = rows.copy()
    far[np.flatnonzero(actors == actors[1_500])] += 50.0
    far[1_500] = rows[1_500]
    assert Learnt.of(verdict, far, actors, time, scaler).guilty.sum() == 1


def test_the_last_user_of_all_is_found_too() -> None:
    rows, actors, time, scaler = ordinary()
    last = 2**64 - 1
    actors[:] = np.uint64(last)
    learnt = Learnt.of(lesson(rows[7], last, time[7]), rows, actors, time, scaler)
    assert learnt.cleared[7]


def test_a_log_judged_both_ways_by_verdicts_on_its_like_is_no_own_traffic() -> None:
    rows, actors, time, scaler = ordinary()
    user = int(actors[10])
    both = [lesson(rows[10], user, time[10]), lesson(rows[10] + 1e-3, user, time[10], hostile=True)]
    learnt = Learnt.of(np.concatenate(both), rows, actors, time, scaler)
    assert learnt.guilty[10] and not learnt.cleared[10]


@pytest.mark.parametrize("hostile", [False, True])
def test_a_user_has_one_voice_however_often_it_was_judged_and_however_much_it_sent(
    hostile: bool,
) -> None:
    rows, actors, time, scaler = ordinary()
    once = [lesson(rows[0], 77, hostile=hostile)]
    often = [lesson(rows[i], int(actors[i]), time[i], hostile) for i in np.flatnonzero(actors == 3)]
    learnt = Learnt.of(np.concatenate(once + often), rows, actors, time, scaler)
    side = learnt.hostile if hostile else learnt.harmless
    quiet = (side.rows == rows[0]).all(axis=1)
    assert len(often) > 200
    assert side.chance[quiet].sum() == pytest.approx(0.5)
    assert side.share == pytest.approx(2 * 0.0075)


def test_all_verdicts_of_a_side_have_a_bounded_share() -> None:
    rows, actors, time, scaler = ordinary()
    many = [lesson(rows[i], 1_000 + i, hostile=i % 2 == 0) for i in range(400)]
    learnt = Learnt.of(np.concatenate(many), rows, actors, time, scaler)
    assert (learnt.hostile.share, learnt.harmless.share) == (0.1, 0.04)
    drawn = learnt.harmless.drawn(1_000, np.random.default_rng(0))
    assert len(drawn) == 40


def test_even_one_voice_on_a_small_stage_is_heard() -> None:
    rows, actors, time, scaler = ordinary(60)
    learnt = Learnt.of(lesson(rows[0], 77), rows, actors, time, scaler)
    assert len(learnt.harmless.drawn(50, np.random.default_rng(0))) == 1


def test_of_a_user_judged_often_the_last_verdicts_speak() -> None:
    rows, actors, time, scaler = ordinary()
    old = [lesson(rows[i] + 9.0, 77) for i in range(30)]
    new = [lesson(rows[i], 77) for i in range(20)]
    learnt = Learnt.of(np.concatenate(old + new), rows, actors, time, scaler)
    assert {row.tobytes() for row in learnt.harmless.rows} == {row.tobytes() for row in rows[:20]}


def test_a_key_of_all_the_traffic_is_looked_at_here_and_there() -> None:
    rows, actors, time, scaler = ordinary(20_000)
    actors[:], time = 5, np.sort(time / 20.0)
    rows[:] = rows[0]
    learnt = Learnt.of(lesson(rows[0], 5, time[10_000]), rows, actors, time, scaler)
    assert 4_000 <= learnt.cleared.sum() <= 5_000


def test_a_side_without_verdicts_draws_nothing() -> None:
    rows, actors, time, scaler = ordinary()
    learnt = Learnt.of(np.zeros(0, LESSON), rows, actors, time, scaler)
    assert learnt.hostile.share == 0.0 and not learnt.guilty.any()
    assert len(learnt.hostile.drawn(500, np.random.default_rng(0))) == 0
    assert isinstance(learnt.harmless, Side)


# --- in a training ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def logs() -> list[dict[str, Any]]:
    return traffic(900, users=12)


@pytest.fixture(scope="module")
def team(logs: list[dict[str, Any]]) -> Fitted:
    return fit(columns(logs), OPTIONS)


def judged(team: Fitted, logs: list[dict[str, Any]], hostile: bool) -> tuple[Any, Any]:
    """A verdict on the most hostile log of the training, and that log's behaviours."""
    history = columns(logs)
    seen = observe(team.memory, history, remember=False)
    worst = int(np.argmax(team.model.evidence(seen.rows)))
    user = int(actor_keys(history)[worst])
    return lesson(seen.rows[worst], user, history.time[worst], hostile), seen.rows[worst]


@pytest.mark.parametrize("hostile", [False, True])
def test_a_training_moves_the_judged_pattern_the_way_of_the_verdict(
    team: Fitted, logs: list[dict[str, Any]], hostile: bool
) -> None:
    verdict, row = judged(team, logs, hostile)
    taught = fit(columns(logs), OPTIONS, lessons=verdict).model
    assert team.model.ranker is not None and taught.ranker is not None
    before = float(team.model.ranker.log_odds(row[None])[0])
    after = float(taught.ranker.log_odds(row[None])[0])
    assert after > before if hostile else after < before


def test_without_verdicts_a_training_is_the_same_as_ever(
    team: Fitted, logs: list[dict[str, Any]]
) -> None:
    again = fit(columns(logs), OPTIONS, lessons=np.zeros(0, LESSON)).model
    rows = np.random.default_rng(0).normal(2.0, 2.0, (50, WIDTH)).astype(np.float32)
    assert np.array_equal(again.evidence(rows), team.model.evidence(rows))
    assert again.learnt_until == -np.inf


def test_a_verdict_that_was_learnt_votes_no_more_and_a_later_one_does(
    team: Fitted, logs: list[dict[str, Any]]
) -> None:
    verdict, row = judged(team, logs, False)
    taught = fit(columns(logs), OPTIONS, lessons=verdict).model
    assert taught.learnt_until == 1.0
    assert len(Feedback.of(taught, verdict).votes.rows) == 0
    later = lesson(row, 5)
    later["given"] = 2.0
    feedback = Feedback.of(taught, np.concatenate([verdict, later]))
    assert len(feedback.votes.rows) == 1 and len(feedback.own.rows) == 2
    heard = feedback.heard(np.array([9.0]), row[None], np.array([99], np.uint64))
    assert heard[0] < 9.0


def test_a_team_whose_every_log_was_judged_an_attack_can_still_train() -> None:
    alone = [log | {"user_id": "one", "ip_address": "10.0.0.1"} for log in traffic(300, users=1)]
    history = columns(alone)
    seen = observe(fit(history, OPTIONS).memory, history, remember=False)
    user = int(actor_keys(history)[0])
    verdicts = [
        lesson(seen.rows[i], user, float(history.time[i]), hostile=True) for i in range(0, 300, 15)
    ]
    assert fit(history, OPTIONS, lessons=np.concatenate(verdicts)).model.learnt_until <= 1.0
