"""The compiled forest scores exactly as scikit-learn's does."""

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from api_anomaly.model.forest import Forest, average_path

SHAPES = [(1_000, 103, 100), (300, 5, 10), (50, 1, 3), (10, 4, 7), (2, 3, 5), (257, 2, 1)]


def rows_of(count: int, width: int, seed: int = 0) -> np.ndarray:
    """Rows with a constant column, a coarse one and repeated rows."""
    chance = np.random.default_rng(seed)
    rows = chance.normal(size=(count, width)).astype(np.float32)
    rows[:, 0] = np.round(rows[:, 0])
    if width > 1:
        rows[:, 1] = 3.25
    rows[count // 2 :] = rows[: count - count // 2]
    return rows


@pytest.mark.parametrize(("count", "width", "trees"), SHAPES)
def test_isolation_scores_are_scikit_learns_with_the_sign_turned(
    count: int, width: int, trees: int
) -> None:
    rows = rows_of(count, width)
    grown = IsolationForest(n_estimators=trees, max_samples=min(256, count), random_state=1)
    grown.fit(rows)
    forest = Forest.from_sklearn(grown)
    others = np.concatenate([rows, rows_of(333, width, seed=2), 50 * rows_of(9, width, seed=3)])
    expected = -grown.score_samples(others)
    assert np.abs(forest.isolation_scores(others) - expected).max() < 1e-9
    assert abs(forest.isolation_scores(others[:1])[0] - expected[0]) < 1e-9


@pytest.mark.parametrize(("count", "width", "trees"), [*SHAPES, (1, 2, 3)])
def test_the_trees_are_those_that_scikit_learn_grows(count: int, width: int, trees: int) -> None:
    rows, sample = rows_of(count, width), min(64, count)
    theirs = IsolationForest(n_estimators=trees, max_samples=sample, random_state=7).fit(rows)
    ours, same = Forest.grow(rows, trees, 64, 7), Forest.from_sklearn(theirs)
    assert ours.expected_path == same.expected_path
    for part, other in zip(ours.trees, same.trees, strict=True):
        assert np.array_equal(part, other)


def test_a_value_just_at_a_split_goes_the_same_way() -> None:
    rows = rows_of(400, 4)
    grown = IsolationForest(n_estimators=20, random_state=1).fit(rows)
    splits = np.concatenate(
        [tree.tree_.threshold[tree.tree_.feature >= 0] for tree in grown.estimators_]
    )
    at = np.repeat(splits.astype(np.float32)[:, None], 4, axis=1)
    edges = np.concatenate(
        [np.nextafter(at, np.float32(side)) for side in (-np.inf, np.inf)] + [at]
    )
    assert (
        np.abs(
            Forest.from_sklearn(grown).isolation_scores(edges) + grown.score_samples(edges)
        ).max()
        < 1e-9
    )


def test_a_row_scores_the_same_alone_and_anywhere_in_a_batch() -> None:
    rows = rows_of(101, 6)
    forest = Forest.grow(rows, trees=20, sample=64, seed=0)
    together = forest.isolation_scores(rows)
    assert np.array_equal(forest.isolation_scores(rows[::-1].copy())[::-1], together)
    assert [forest.isolation_scores(rows[i : i + 1])[0] for i in range(101)] == together.tolist()
    assert forest.isolation_scores(rows[:0]).shape == (0,)


def test_the_same_seed_grows_the_same_forest_and_another_seed_another() -> None:
    rows = rows_of(500, 6)
    for grow in (Forest.grow, Forest.grow_trimmed):
        one, again, other = (grow(rows, 10, 128, seed).isolation_scores(rows) for seed in (3, 3, 4))
        assert np.array_equal(one, again)
        assert not np.array_equal(one, other)


def test_equal_rows_score_neutral() -> None:
    rows = rows_of(20, 3)
    assert Forest.grow(rows[:1], 5, 256, 0).isolation_scores(rows).tolist() == [0.5] * 20
    alike = np.ones((20, 3), np.float32)
    assert np.allclose(Forest.grow_trimmed(alike, 5, 256, 0).isolation_scores(alike), 0.5)


def test_trimming_makes_attacks_in_the_training_data_stand_out_more() -> None:
    chance = np.random.default_rng(0)
    usual = chance.normal(size=(950, 6)).astype(np.float32)
    attacks = (chance.normal(size=(50, 6)) * 0.3 + 4.0).astype(np.float32)
    rows = np.concatenate([usual, attacks])
    plain, trimmed = (
        grow(rows, 50, 256, 0).isolation_scores(rows) for grow in (Forest.grow, Forest.grow_trimmed)
    )
    margins = [np.median(s[950:]) - np.median(s[:950]) for s in (plain, trimmed)]
    assert margins[1] > margins[0]


def test_the_average_path_is_the_papers() -> None:
    assert average_path(np.array([0, 1, 2])).tolist() == [0.0, 0.0, 1.0]
    exact = 2.0 * sum(1.0 / i for i in range(1, 256)) - 2.0 * 255 / 256
    assert average_path(np.array([256]))[0] == pytest.approx(exact, abs=0.005)


def test_trees_of_any_depth_and_number_give_the_same_alone_and_in_a_batch() -> None:
    rows = rows_of(2_000, 12)
    for trees, sample in ((1, 4), (7, 2_000), (8, 3), (19, 700)):
        grown = IsolationForest(n_estimators=trees, max_samples=sample, random_state=1).fit(rows)
        forest = Forest.from_sklearn(grown)
        expected = -grown.score_samples(rows[:27])
        assert np.abs(forest.isolation_scores(rows[:27]) - expected).max() < 1e-9
        alone = [forest.isolation_scores(rows[i : i + 1])[0] for i in range(27)]
        assert alone == forest.isolation_scores(rows[:27]).tolist()


def test_trees_with_too_many_features_are_refused() -> None:
    rows = np.random.default_rng(0).normal(size=(300, 300)).astype(np.float32)
    grown = IsolationForest(n_estimators=50, random_state=1).fit(rows)
    with pytest.raises(ValueError, match="too many nodes or features"):
        Forest.from_sklearn(grown)
