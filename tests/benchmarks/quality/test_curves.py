"""Curves and intervals against slow reference counts; ties favour no contender."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from benchmarks.quality.bootstrap import draw_weights, interval
from benchmarks.quality.curves import LabelledScores, OperatingCurve, RankedLogs


def counted(
    scores: list[float], is_attack: list[int], entity: list[int] | None = None
) -> LabelledScores:
    whose = entity if entity is not None else range(len(scores))
    return LabelledScores(
        np.array(scores, float), np.array(is_attack) == 1, np.array(whose, np.int64)
    )


@st.composite
def logs(draw: st.DrawFn) -> LabelledScores:
    """Up to 60 logs of up to 8 entities with few distinct scores, with attacks and benign logs."""
    size = draw(st.integers(2, 60))
    scores = draw(st.lists(st.integers(0, 9), min_size=size, max_size=size))
    is_attack = draw(st.lists(st.integers(0, 1), min_size=size, max_size=size))
    is_attack[0], is_attack[1] = 0, 1
    entity = draw(st.lists(st.integers(0, 7), min_size=size, max_size=size))
    return counted([score / 3.0 for score in scores], is_attack, entity)


def reference_points(
    logs: LabelledScores, weight: np.ndarray | None = None
) -> list[tuple[float, float]]:
    """Attacks and benign logs at or above each distinct score, counted one by one."""
    points = [(0.0, 0.0)]
    for limit in sorted(set(logs.scores.tolist()), reverse=True):
        attacks = benign = 0.0
        for score, bad, who in zip(*logs, strict=True):
            count = 1.0 if weight is None else float(weight[who])
            attacks += count * (score >= limit and bad)
            benign += count * (score >= limit and not bad)
        points.append((attacks, benign))
    return points


def reference_false_positives(points: list[tuple[float, float]], wanted: float) -> float:
    """Walk the points; within a tie, as many benign logs as the share of its attacks."""
    for (attacks, benign), (more_attacks, more_benign) in zip(points, points[1:], strict=False):
        if attacks < wanted <= more_attacks:
            share = (wanted - attacks) / (more_attacks - attacks)
            return benign + share * (more_benign - benign)
    return 0.0


def reference_recall(points: list[tuple[float, float]], allowed: float) -> float:
    """The best of every point and of every point within a tie, on a fine grid of exact shares."""
    best = 0.0
    for (attacks, benign), (more_attacks, more_benign) in zip(points, points[1:], strict=False):
        if more_benign <= allowed:
            best = max(best, more_attacks)
        elif benign <= allowed:
            share = (allowed - benign) / (more_benign - benign)
            best = max(best, attacks + share * (more_attacks - attacks))
    return best / points[-1][0]


@given(logs())
def test_points_are_counts_at_or_above_each_score(logs: LabelledScores) -> None:
    points = OperatingCurve.of(logs.scores, logs.is_attack)
    assert list(zip(points.attacks, points.benign, strict=True)) == reference_points(logs)


@given(logs(), st.floats(0.001, 1.0))
def test_false_positives_at_a_recall_equal_a_walk_over_the_points(
    logs: LabelledScores, share: float
) -> None:
    wanted = share * float(logs.is_attack.sum())
    exact = reference_false_positives(reference_points(logs), wanted)
    points = OperatingCurve.of(logs.scores, logs.is_attack)
    assert points.false_positives_at(wanted) == pytest.approx(exact, abs=1e-6)


@given(logs(), st.floats(0.0, 1.0))
def test_recall_at_a_rate_equals_a_walk_over_the_points(logs: LabelledScores, rate: float) -> None:
    exact = reference_recall(reference_points(logs), rate * float((~logs.is_attack).sum()))
    points = OperatingCurve.of(logs.scores, logs.is_attack)
    assert points.recall_at(rate) == pytest.approx(exact, abs=1e-6)


@given(logs())
def test_average_precision_is_scikit_learns(logs: LabelledScores) -> None:
    points = OperatingCurve.of(logs.scores, logs.is_attack)
    assert points.average_precision() == pytest.approx(
        average_precision_score(logs.is_attack, logs.scores)
    )


@given(logs(), st.integers(0, 5))
def test_weighted_points_equal_those_of_repeated_logs(logs: LabelledScores, seed: int) -> None:
    weight = np.random.default_rng(seed).integers(0, 4, 8).astype(float)
    points = RankedLogs.of(*logs).curve(weight)
    assert list(zip(points.attacks, points.benign, strict=True)) == reference_points(logs, weight)


@given(logs())
def test_an_entity_counts_once_by_its_highest_score(logs: LabelledScores) -> None:
    each = logs.per_entity()
    for score, is_attack, who in zip(*each, strict=True):
        rows = logs.entity == who
        assert score == logs.scores[rows].max() and is_attack == logs.is_attack[rows].any()
    assert sorted(set(logs.entity.tolist())) == each.entity.tolist()


@given(logs(), st.floats(0.0, 1.0))
def test_a_threshold_keeps_the_rate_and_no_lower_score_would(
    logs: LabelledScores, rate: float
) -> None:
    limit, benign = logs.threshold_at(rate), logs.scores[~logs.is_attack]
    allowed = rate * len(benign) + 1e-9
    assert (benign >= limit).sum() <= allowed
    lower = logs.scores[logs.scores < limit]
    assert not len(lower) or (benign >= lower.max()).sum() > allowed


def test_equal_recall_by_hand() -> None:
    points = OperatingCurve.of(np.array([9.0, 8, 7, 6, 5, 4]), np.array([1, 0, 1, 0, 0, 1]) == 1)
    assert [points.false_positives_at(k) for k in (0, 1, 2, 3)] == [0, 0, 1, 3]
    assert points.false_positives_at(3.5) == float("inf")
    assert [points.recall_at(rate) for rate in (0.0, 1 / 3, 0.9, 1.0)] == [1 / 3, 2 / 3, 2 / 3, 1]


def test_a_tie_of_alerts_is_broken_at_random() -> None:
    # A rule set that alerts on 4 attacks and 8 benign logs: half its attacks cost half its alarms.
    points = OperatingCurve.of(np.repeat([1.0, 0.0], [12, 20]), np.arange(32) % 3 == 0)
    assert points.attacks[1] == 4 and points.benign[1] == 8
    assert points.false_positives_at(2) == 4
    assert points.recall_at(4 / points.benign[2]) == pytest.approx(2 / points.attacks[2])


def test_samples_keep_the_number_of_attackers_and_of_others() -> None:
    is_attack = np.arange(50) % 5 == 0
    weights = draw_weights(is_attack, 30)
    assert (weights[:, is_attack].sum(axis=1) == 10).all()
    assert (weights[:, ~is_attack].sum(axis=1) == 40).all()
    assert (draw_weights(is_attack, 30) == weights).all() and (
        draw_weights(is_attack, 30, 1) != weights
    ).any()


def test_an_interval_covers_the_middle_and_ignores_unknown_values() -> None:
    assert interval(np.append(np.arange(1001.0), np.nan)) == pytest.approx((25.0, 975.0))
    assert interval(np.array([np.nan])) is None
