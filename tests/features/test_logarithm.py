"""The logarithms of a row are those of the C library, within one unit in the last place."""

import numpy as np
import pytest

from api_anomaly.features.logarithm import log1p_where

VALUES = np.concatenate(
    [np.geomspace(1e-38, 1e30, 300_000), np.linspace(0.0, 2.0, 100_000), np.arange(5_000.0)]
).astype(np.float32)


def test_a_logarithm_is_within_one_unit_in_the_last_place() -> None:
    found, exact = VALUES.copy(), np.log1p(VALUES.astype(np.float64))
    log1p_where(found, np.ones(len(VALUES), np.bool_))
    units = np.spacing(exact.astype(np.float32)).astype(np.float64)
    assert (np.abs(found - exact) / units).max() < 1.0
    assert found[VALUES == 0.0].tolist() == [0.0, 0.0]


def test_it_never_falls_where_its_argument_rises() -> None:
    found = np.sort(VALUES)
    log1p_where(found, np.ones(len(VALUES), np.bool_))
    assert (np.diff(found) > -1e-6).all()


@pytest.mark.parametrize("count", [0, 1, 7, 8, 9, 113])
def test_only_what_is_chosen_is_replaced(count: int) -> None:
    x = np.arange(count, dtype=np.float32)
    chosen = np.arange(count) % 3 == 0
    expected = np.where(chosen, np.log1p(x), x)
    log1p_where(x, chosen)
    assert x == pytest.approx(expected, rel=3e-7)
