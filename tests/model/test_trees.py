"""Expectations at nodes, and what each feature contributes to a row's sum."""

import numpy as np
import pytest
from sklearn.ensemble import IsolationForest

from api_anomaly.model.forest import Forest
from api_anomaly.model.trees import FlatTrees
from tests.support import reference_reasons as naive_reasons
from tests.model.test_forest import rows_of


@pytest.fixture(scope="module")
def trees() -> FlatTrees:
    grown = IsolationForest(n_estimators=12, max_samples=64, random_state=3)
    return Forest.from_sklearn(grown.fit(rows_of(300, 6))).trees


def contributions(trees: FlatTrees, rows: np.ndarray, weight: float = 1.0) -> np.ndarray:
    added = np.zeros(rows.shape)
    trees.add_contributions(rows, np.full(len(rows), weight), added)
    return added


def test_expectations_and_contributions_are_those_of_the_reference(trees: FlatTrees) -> None:
    rows = rows_of(40, 6, seed=5)
    means = naive_reasons.expected(trees, rows)
    informed = trees.with_expectations(rows)
    assert informed.value == pytest.approx([means[node] for node in range(len(means))])
    few = [naive_reasons.moved(trees, means, row) for row in rows[:10]]
    assert contributions(informed, rows[:10]) == pytest.approx(np.array(few), abs=1e-9)


def test_contributions_add_up_to_the_difference_from_the_expected(trees: FlatTrees) -> None:
    rows, others = rows_of(200, 6, seed=6), rows_of(50, 6, seed=7) * np.float32(3.0)
    added = contributions(trees.with_expectations(rows), others)
    difference = trees.sums(others) - trees.sums(rows).mean()
    assert added.sum(axis=1) == pytest.approx(difference, abs=1e-9)
    assert (added[:, 1] == 0.0).all()  # a constant column: no split tests it
    assert contributions(trees.with_expectations(rows), others, 2.5) == pytest.approx(2.5 * added)


def test_expectations_do_not_change_sums(trees: FlatTrees) -> None:
    rows = rows_of(50, 6, seed=8)
    assert (trees.with_expectations(rows[:5]).sums(rows) == trees.sums(rows)).all()
    assert np.isfinite(trees.with_expectations(rows[:0]).value).all()
