"""What each behaviour moves on a row's way through the trees."""

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from api_anomaly.model.forest import Forest
from api_anomaly.model.trees import Trees
from tests.support import reference_reasons as naive_reasons
from tests.model.test_forest import rows_of


@pytest.fixture(scope="module")
def trees() -> Trees:
    grown = IsolationForest(n_estimators=12, max_samples=64, random_state=3)
    return Forest.of(grown.fit(rows_of(300, 6))).trees


def contributions(trees: Trees, rows: np.ndarray, weight: float = 1.0) -> np.ndarray:
    added = np.zeros(rows.shape)
    trees.contribute(rows, np.full(len(rows), weight), added)
    return added


def test_inner_nodes_expect_what_the_naive_twin_says(trees: Trees) -> None:
    rows = rows_of(40, 6, seed=5)
    means = naive_reasons.expected(trees, rows)
    expecting = trees.expecting(rows)
    assert expecting.value == pytest.approx([means[place] for place in range(len(means))])
    few = [naive_reasons.moved(trees, means, row) for row in rows[:10]]
    assert contributions(expecting, rows[:10]) == pytest.approx(np.array(few), abs=1e-9)


def test_contributions_add_up_to_the_difference_from_the_expected(trees: Trees) -> None:
    rows, others = rows_of(200, 6, seed=6), rows_of(50, 6, seed=7) * np.float32(3.0)
    added = contributions(trees.expecting(rows), others)
    difference = trees.sums(others) - trees.sums(rows).mean()
    assert added.sum(axis=1) == pytest.approx(difference, abs=1e-9)
    assert (added[:, 1] == 0.0).all()  # a constant column: no split ever asks for it
    assert contributions(trees.expecting(rows), others, 2.5) == pytest.approx(2.5 * added)


def test_what_trees_expect_does_not_change_what_they_give(trees: Trees) -> None:
    rows = rows_of(50, 6, seed=8)
    assert (trees.expecting(rows[:5]).sums(rows) == trees.sums(rows)).all()
    assert np.isfinite(trees.expecting(rows[:0]).value).all()
