"""Evidence follows the tail, thresholds keep the budget, risk and severity rise with evidence."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_anomaly.model.calibration import SEVERITIES, Calibration, TailCurve, quantiles

ROWS = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60)


def mixed(chance: np.random.Generator, count: int) -> np.ndarray:
    """Two modes, like people and machines."""
    return np.where(
        chance.random(count) < 0.9, chance.normal(0, 1, count), chance.normal(9, 2, count)
    )


def coarse(chance: np.random.Generator, count: int) -> np.ndarray:
    """Few values, the highest of which is not rare."""
    return np.minimum(chance.poisson(2.0, count), 4).astype(float)


DISTRIBUTIONS = {
    "exponential": lambda chance, count: chance.exponential(1.0, count),
    "normal": lambda chance, count: chance.normal(0.0, 1.0, count),
    "uniform": lambda chance, count: chance.random(count),
    "lognormal": lambda chance, count: chance.lognormal(0.0, 1.0, count),
    "mixed": mixed,
}


@pytest.mark.parametrize("name", DISTRIBUTIONS)
@pytest.mark.parametrize(
    ("logs", "budget", "factor"), [(20_000, 0.01, 1.3), (20_000, 0.001, 2.0), (1_000, 0.001, 5.0)]
)
def test_a_threshold_flags_about_the_budget_of_new_ordinary_logs(
    name: str, logs: int, budget: float, factor: float
) -> None:
    chance, draw = np.random.default_rng(7), DISTRIBUTIONS[name]
    calibration = Calibration(TailCurve.of(draw(chance, logs)), budget)
    flagged = (draw(chance, 400_000) > calibration.threshold()).mean()
    assert flagged < budget * factor
    assert flagged > budget / factor or (name == "uniform" and logs < 20_000)


@pytest.mark.parametrize("logs", [2_000, 50_000])
@pytest.mark.parametrize("share", [0.001, 0.05, 0.5, 1.0])
def test_the_highest_value_is_not_flagged_where_many_logs_have_it(logs: int, share: float) -> None:
    highest = np.arange(logs) < share * logs
    for ordinary in (np.where(highest, 1.0, 0.0), coarse(np.random.default_rng(1), logs)):
        calibration = Calibration(TailCurve.of(ordinary), 0.001)
        assert (ordinary > calibration.threshold()).mean() <= 0.001
        assert calibration.curve.evidence_of(ordinary).mean() < 2.0


@given(ROWS, st.lists(st.floats(-1e7, 1e7), min_size=2, max_size=30))
def test_evidence_is_monotonic_and_not_negative(ordinary: list[float], values: list[float]) -> None:
    curve = TailCurve.of(np.array(ordinary))
    evidence = curve.evidence_of(np.array(sorted(values)))
    assert (np.diff(evidence) >= 0.0).all() and evidence[0] >= 0.0 and np.isfinite(evidence).all()
    assert curve.evidence_of(np.array([min(ordinary)]))[0] == pytest.approx(0.0, abs=1e-9)


def test_evidence_of_a_value_is_minus_the_logarithm_of_its_tail() -> None:
    curve = TailCurve.of(np.random.default_rng(0).exponential(1.0, 100_000))
    values = np.linspace(0.1, 8.0, 30)
    assert curve.evidence_of(values) == pytest.approx(values, abs=0.25)
    assert curve.evidence_of(np.array([14.0]))[0] == pytest.approx(14.0, rel=0.1)


def test_value_of_is_the_inverse_of_evidence_of() -> None:
    curve = TailCurve.of(np.random.default_rng(0).normal(0.0, 1.0, 3_000))
    for evidence in np.linspace(0.0, 40.0, 60):
        back = curve.evidence_of(np.array([curve.value_of(float(evidence))]))[0]
        assert back == pytest.approx(evidence, abs=1e-6)


@given(ROWS, st.lists(st.floats(0.0, 1.0), min_size=1, max_size=9))
def test_quantiles_of_sorted_values_are_numpys(values: list[float], shares: list[float]) -> None:
    ordered = np.sort(values)
    assert np.array_equal(quantiles(ordered, np.array(shares)), np.quantile(values, shares))


@pytest.mark.parametrize(
    "ordinary",
    [[0.0], [7.0], [0.0] * 9, [1.0, 2.0], [1e300] * 30, [-1e300, 0.0, 1e300], [1.0, 1.0 + 1e-15]],
)
def test_degenerate_samples_make_a_valid_curve(ordinary: list[float]) -> None:
    calibration = Calibration(TailCurve.of(np.array(ordinary)), 0.001)
    values = np.array([-1e9, 0.0, 0.5, 1.0, 1e9])
    evidence = calibration.curve.evidence_of(values)
    assert np.isfinite(evidence).all() and (np.diff(evidence) >= 0.0).all()
    assert calibration.threshold() >= max(ordinary)
    assert set(calibration.severity(np.array(ordinary))) == {"low"}


@given(ROWS, st.floats(1e-6, 0.5))
def test_risk_and_severity_rise_with_evidence(ordinary: list[float], budget: float) -> None:
    calibration = Calibration(TailCurve.of(np.array(ordinary)), budget)
    values = np.linspace(min(ordinary) - 1.0, max(ordinary) + 10.0, 50)
    risk = calibration.risk(values)
    assert (np.diff(risk) >= 0.0).all() and 0.0 <= risk[0] and risk[-1] <= 100.0
    steps = [SEVERITIES.index(severity) for severity in calibration.severity(values)]
    assert steps == sorted(steps)


def test_severity_is_how_much_rarer_than_the_budget() -> None:
    curve = TailCurve.of(np.random.default_rng(0).exponential(1.0, 50_000))
    calibration = Calibration(curve, 0.01)
    tails = (0.02, 0.009, 0.0011, 0.0009, 0.00011, 0.00009, 1e-30)
    values = np.array([curve.value_of(-float(np.log(tail))) for tail in tails])
    words = ["low", "medium", "medium", "high", "high", "critical", "critical"]
    assert calibration.severity(values) == words


def test_risk_is_linear_in_the_decades_of_the_tail() -> None:
    curve = TailCurve.of(np.random.default_rng(0).exponential(1.0, 50_000))
    values = np.array([curve.value_of(float(np.log(10.0) * decades)) for decades in (0, 3, 6, 9)])
    risk = Calibration(curve, 0.001).risk(values)
    assert risk == pytest.approx([0.0, 50.0, 100.0, 100.0], abs=1e-6)


def test_one_busy_actor_does_not_set_the_threshold() -> None:
    rng = np.random.default_rng(5)
    ordinary = rng.exponential(1.0, 4_000)
    actors = np.arange(4_000, dtype=np.uint64) % np.uint64(400)
    flood, flooder = np.full(60, 40.0), np.full(60, 9_999, np.uint64)
    alone = Calibration.of(ordinary, actors, 0.01).threshold()
    flooded = Calibration.of(
        np.concatenate([ordinary, flood]), np.concatenate([actors, flooder]), 0.01
    ).threshold()
    assert np.quantile(np.concatenate([ordinary, flood]), 0.99) == 40.0  # without the actor's limit
    assert flooded < alone + 1.0


@given(st.integers(0, 2**32 - 1), st.integers(1, 60), st.sampled_from([0.001, 0.01, 0.05]))
def test_the_held_out_logs_are_flagged_at_five_times_the_budget_at_most(
    seed: int, actors: int, budget: float
) -> None:
    rng = np.random.default_rng(seed)
    held_out = rng.exponential(1.0, 2_000)
    who = rng.integers(0, actors, 2_000).astype(np.uint64)
    flagged = (held_out > Calibration.of(held_out, who, budget).threshold()).mean()
    assert flagged <= 5.0 * budget


def held_out(logs: int = 20_000, users: int = 500) -> tuple[np.ndarray, np.ndarray]:
    """Evidence of ordinary logs, and their actors."""
    chance = np.random.default_rng(4)
    return chance.exponential(1.0, logs), chance.integers(users, size=logs).astype(np.uint64)


def test_one_attacker_among_the_held_out_logs_does_not_set_the_threshold() -> None:
    evidence, actors = held_out()
    alone = Calibration.of(evidence, actors, 0.001).threshold()
    attacks = np.full(60, 30.0), np.full(60, 999, np.uint64)
    among = Calibration.of(*map(np.append, (evidence, actors), attacks), 0.001).threshold()
    naive = Calibration(TailCurve.of(np.append(evidence, attacks[0])), 0.001).threshold()
    assert among < alone + 1.0 < naive


def test_a_machine_that_is_a_third_of_the_traffic_is_not_flagged_for_it() -> None:
    evidence, actors = held_out()
    busy = np.full(10_000, 9.0) + np.linspace(0.0, 1.0, 10_000), np.full(10_000, 999, np.uint64)
    values, owners = map(np.append, (evidence, actors), busy)
    calibration = Calibration.of(values, owners, 0.001)
    assert (values > calibration.threshold()).mean() <= 0.005


def test_an_actor_counts_for_its_share_of_what_should_lie_beyond_a_point() -> None:
    """With a wide budget, a busy machine's own share of the alerts is in the threshold."""
    evidence, actors = held_out(50_000)
    busy = np.full(60, 6.0), np.full(60, 9_999, np.uint64)
    alone = Calibration.of(evidence, actors, 0.01).threshold()
    beside = Calibration.of(*map(np.append, (evidence, actors), busy), 0.01).threshold()
    tail = np.quantile(np.append(evidence, np.full(14, 6.0)), 0.99)  # 500 / 40 is 12.5, so 14
    assert alone < beside <= tail + 0.05


def test_excluded_logs_count_once_for_each_actor() -> None:
    """300 attacks by ten actors: the threshold stays about where it is without them."""
    evidence, actors = held_out()
    alone = Calibration.of(evidence, actors, 0.001).threshold()
    attacks = np.full(300, 20.0), np.arange(300, dtype=np.uint64) % np.uint64(10)
    values, owners = map(np.append, (evidence, actors), attacks)
    excluded_mask = np.arange(len(values)) >= len(evidence)
    excluding = Calibration.of(values, owners, 0.001, excluded=excluded_mask).threshold()
    assert excluding < alone + 1.5
    assert Calibration.of(values, owners, 0.001).threshold() > excluding + 5.0


@pytest.mark.parametrize(("excluded", "flagged"), [(0.035, True), (0.05, False)])
def test_at_most_forty_times_the_budget_is_flagged_counting_excluded_logs(
    excluded: float, flagged: bool
) -> None:
    evidence, actors = held_out()
    many = round(len(evidence) * excluded / (1.0 - excluded))
    attacks = np.linspace(18.0, 20.0, many), np.full(many, 9_999, np.uint64)
    values, owners = map(np.append, (evidence, actors), attacks)
    excluded_mask = np.arange(len(values)) >= len(evidence)
    threshold = Calibration.of(values, owners, 0.001, excluded=excluded_mask).threshold()
    assert (values > threshold).mean() <= 0.04
    assert (threshold < 18.0) == flagged
