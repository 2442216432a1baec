"""Histograms."""

import numpy as np
import pytest

from api_anomaly.telemetry.histogram import Histogram


def test_single_values_count_as_an_array_of_them_does() -> None:
    values = np.array([0.0, 0.5, 0.5000001, 1.0, 2.0, 7.0] * 3 + [1.0])
    single, few, many = (Histogram((0.5, 1.0, 5.0)) for _ in range(3))
    for value in values.tolist():
        single.observe(value)
    for start in range(0, len(values), 5):
        few.observe_all(values[start : start + 5])
    many.observe_all(values)
    assert single.buckets() == few.buckets() == many.buckets()
    assert single.buckets() == [("0.5", 6), ("1.0", 13), ("5.0", 16), ("+Inf", 19)]
    assert single.sum == pytest.approx(many.sum)
