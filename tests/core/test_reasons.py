"""Reasons: three at most, of different families, the most telling first, in readable words."""

import re
import tracemalloc

import numpy as np
import pytest
from numpy.typing import NDArray

from api_anomaly.core.behaviours import BEHAVIOURS, COUNT, NAMES, Behaviour
from api_anomaly.core.reasons import Scaler, _readable, explain

FAMILY = {row.name: row.family for row in BEHAVIOURS}
WIDTH = len(BEHAVIOURS)


class Far:
    """Evidence is how far a row lies from the usual in all."""

    def __init__(self, scaler: Scaler) -> None:
        self.scaler = scaler

    def evidence(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.array([np.square(self.scaler.distance(row)).sum() for row in rows], np.float64)


class Usual:
    """No evidence against anything."""

    def evidence(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.zeros(len(rows))


@pytest.fixture(scope="module")
def scaler() -> Scaler:
    return Scaler.of(np.random.default_rng(0).gamma(2.0, 1.0, (2_000, WIDTH)).astype(np.float32))


@pytest.mark.parametrize("place", range(WIDTH), ids=NAMES)
def test_one_extreme_behaviour_of_a_usual_log_is_the_first_reason(
    place: int, scaler: Scaler
) -> None:
    row = scaler.usual.copy()
    row[place] += 6.0 * scaler.above[place]
    (reasons,) = explain(row[None], scaler, Far(scaler))
    assert reasons[0].feature == NAMES[place]
    assert reasons[0].value > reasons[0].usual


def test_there_are_three_reasons_at_most_and_each_is_of_another_family(scaler: Scaler) -> None:
    rows = np.random.default_rng(1).gamma(2.0, 2.0, (50, WIDTH)).astype(np.float32)
    for reasons in explain(rows, scaler, Far(scaler)):
        families = [FAMILY[reason.feature] for reason in reasons]
        assert 1 <= len(families) == len(set(families)) <= 3


def test_what_is_far_below_the_usual_is_a_reason_too(scaler: Scaler) -> None:
    place = NAMES.index("latency_excess")
    row = scaler.usual.copy()
    row[place] -= 9.0 * scaler.below[place]
    (reasons,) = explain(row[None], scaler, Far(scaler))
    assert reasons[0].feature == "latency_excess" and reasons[0].value < reasons[0].usual


def test_reasons_of_a_log_do_not_depend_on_the_logs_beside_it(scaler: Scaler) -> None:
    rows = np.random.default_rng(2).gamma(2.0, 2.0, (9, WIDTH)).astype(np.float32)
    whole = explain(rows, scaler, Far(scaler))
    assert [explain(rows[i : i + 1], scaler, Far(scaler))[0] for i in range(9)] == whole
    assert explain(rows[:0], scaler, Far(scaler)) == []


def test_many_logs_are_explained_in_little_memory(scaler: Scaler) -> None:
    rows = np.random.default_rng(3).gamma(2.0, 2.0, (4_000, WIDTH)).astype(np.float32)
    tracemalloc.start()
    reasons = explain(rows, scaler, Usual())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert len(reasons) == 4_000
    assert peak < 10 * rows.nbytes


def number(text: str) -> float:
    """The number that a text writes."""
    return float(text.replace(",", ""))


@pytest.mark.parametrize("row", BEHAVIOURS, ids=NAMES)
def test_a_sentence_says_the_value_and_the_usual_one(row: Behaviour, scaler: Scaler) -> None:
    place = NAMES.index(row.name)
    nothing = scaler._replace(usual=np.zeros(WIDTH, np.float32))
    for value in (0.5, 1.0, 2.5, 19.96, 1_234.5):
        held = np.zeros(WIDTH, np.float32)
        held[place] = np.log1p(value) if row.kind == COUNT else value
        (reasons,) = explain(held[None], nothing, Far(nothing))
        assert reasons[0].feature == row.name
        text = reasons[0].text
        match = re.fullmatch(r".+: (-?[\d,.]+)( \S+)?; usually (-?[\d,.]+)( %)?", text)
        assert match is not None, text
        said = number(match[1]) / (100.0 if row.unit == "share" else 1.0)
        assert said == pytest.approx(value, rel=0.05)
        assert number(match[3]) == 0.0


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.0, "requests", "1"),
        (0.0, "bits", "0"),
        (-0.001, "sd", "0"),
        (1e-9, "requests", "0"),
        (0.034, "requests", "0.03"),
        (-3.25, "sd", "-3.2"),
        (19.4, "requests", "19"),
        (1_234_567.8, "kB", "1,234,568"),
        (0.456, "share", "46 %"),
    ],
)
def test_numbers_are_short_and_plain(value: float, unit: str, text: str) -> None:
    assert _readable(value, unit) == text


def test_a_constant_behaviour_has_a_distance_all_the_same() -> None:
    scaler = Scaler.of(np.ones((10, WIDTH), np.float32))
    assert (scaler.above > 0).all() and (scaler.below > 0).all()
    assert np.isfinite(scaler.distance(np.full(WIDTH, 5.0, np.float32))).all()
