"""Reasons: three at most, of different families, the most telling first, in readable words."""

import tracemalloc

import re

import numpy as np
import pytest
from numpy.typing import NDArray

from api_anomaly.features.table import FEATURES, NAMES
from api_anomaly.detector import Detector
from api_anomaly.model.fit import Fitted, fit
from api_anomaly.model.scorer import FitOptions
from api_anomaly.explain.actor_baseline import actor_baseline
from api_anomaly.explain.reasons import choose_features, explain
from api_anomaly.model.peer_baseline import AGE_COLUMN, PeerBaseline
from tests.support import reference_reasons
from tests.support.streams import START, columns, plain
from tests.test_detector import traffic

FAMILY = {row.name: row.family for row in FEATURES}
WIDTH = len(FEATURES)
AGES = [NAMES.index("user_age"), NAMES.index("address_age")]
CONTEXT = (
    "user_gap",
    *(f"{w}_{n}" for w in ("user", "address") for n in ("age", "interval_spread")),
    *(row.name for row in FEATURES if row.family == "endpoint_traffic"),
)


class All:
    """Evidence comes from everything that is above 0, in proportion."""

    def contributions(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return rows.astype(np.float64)


class Nothing:
    """Nothing speaks against anything."""

    def contributions(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return -np.ones(rows.shape)


class Only:
    """All evidence comes from some features."""

    def __init__(self, **added: float) -> None:
        self.added = added

    def contributions(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        given = np.zeros(rows.shape)
        for name, amount in self.added.items():
            given[:, NAMES.index(name)] = amount
        return given


@pytest.fixture(scope="module")
def training() -> NDArray[np.float32]:
    rows = np.random.default_rng(0).gamma(2.0, 1.0, (2_000, WIDTH)).astype(np.float32)
    rows[:, AGES] = np.log1p(100.0)
    return rows


@pytest.fixture(scope="module")
def peer_baseline(training: NDArray[np.float32]) -> PeerBaseline:
    return PeerBaseline.of(training)


def usual(peer_baseline: PeerBaseline) -> NDArray[np.float32]:
    """The most usual log of a settled user who does the same all day."""
    row = peer_baseline.usual[2].copy()
    for scale in ("3m", "1h", "1d"):
        for who in ("user", "address"):
            row[NAMES.index(f"{who}_requests_{scale}")] = 0.5
    return row


@pytest.mark.parametrize("column", range(WIDTH), ids=NAMES)
def test_one_extreme_feature_of_a_usual_log_is_the_first_reason(
    column: int, peer_baseline: PeerBaseline
) -> None:
    row = usual(peer_baseline)
    row[column] += 12.0
    (reasons,) = explain(row[None], peer_baseline, Only(**{NAMES[column]: 1.0}))
    assert [reason.feature for reason in reasons] == [NAMES[column]]
    assert reasons[0].value > reasons[0].usual


def test_there_are_three_reasons_at_most_and_each_is_of_another_family(
    peer_baseline: PeerBaseline,
) -> None:
    rows = np.random.default_rng(1).gamma(2.0, 2.0, (50, WIDTH)).astype(np.float32)
    for reasons in explain(rows, peer_baseline, All()):
        families = [FAMILY[reason.feature] for reason in reasons]
        assert 1 <= len(families) == len(set(families)) <= 3


def test_what_is_far_below_the_usual_is_a_reason_where_too_little_is_odd(
    peer_baseline: PeerBaseline,
) -> None:
    row = usual(peer_baseline)
    for name in ("latency_excess", "user_denied_3m"):
        row[NAMES.index(name)] = -9.0
    (reasons,) = explain(row[None], peer_baseline, Only(latency_excess=1.0, user_denied_3m=5.0))
    assert reasons[0].feature == "latency_excess" and reasons[0].value < reasons[0].usual


@pytest.mark.parametrize("name", CONTEXT)
def test_context_follows_what_was_done(name: str, peer_baseline: PeerBaseline) -> None:
    row = usual(peer_baseline)
    row[[NAMES.index(name), NAMES.index("user_denied_3m")]] += 12.0
    (reasons,) = explain(row[None], peer_baseline, Only(**{name: 9.0, "user_denied_3m": 1.0}))
    assert reasons[0].feature == "user_denied_3m"


def test_what_many_features_of_a_family_say_comes_before_what_one_says(
    peer_baseline: PeerBaseline,
) -> None:
    row = usual(peer_baseline)
    errors = [
        f"{w}_{n}" for w in ("user", "address") for n in ("client_errors_3m", "server_errors_1h")
    ]
    row[[NAMES.index(name) for name in (*errors, "path_depth")]] += 12.0
    added = dict.fromkeys(errors, 0.4) | {"path_depth": 1.0}
    (reasons,) = explain(row[None], peer_baseline, Only(**added))
    assert [FAMILY[reason.feature] for reason in reasons] == ["errors", "endpoint_shape"]


def test_rare_feature_without_contribution_is_no_reason(peer_baseline: PeerBaseline) -> None:
    row = usual(peer_baseline)
    row[[NAMES.index("path_depth"), NAMES.index("user_denied_3m")]] += 12.0
    (reasons,) = explain(row[None], peer_baseline, Only(user_denied_3m=1.0, path_depth=-1.0))
    assert [reason.feature for reason in reasons] == ["user_denied_3m"]


def test_value_usual_for_the_actor_is_no_reason(peer_baseline: PeerBaseline) -> None:
    row = usual(peer_baseline)
    row[NAMES.index("user_requests_1d")] = np.log1p(100_000.0)
    row[NAMES.index("user_requests_3m")] = np.log1p(100_000.0 * 180.0 / 86_400.0)
    row[NAMES.index("user_not_found_1h")] += 12.0
    (reasons,) = explain(
        row[None], peer_baseline, Only(user_requests_3m=9.0, user_not_found_1h=0.1)
    )
    assert [reason.feature for reason in reasons] == ["user_not_found_1h"]


def test_a_count_counts_a_day_that_is_old_news_comes_after_what_is_new(
    peer_baseline: PeerBaseline,
) -> None:
    row = usual(peer_baseline)
    row[NAMES.index("user_response_kilobytes_1d")] += 12.0
    row[NAMES.index("user_not_found_1h")] += 12.0
    scorer = Only(user_response_kilobytes_1d=5.0, user_not_found_1h=1.0)
    assert explain(row[None], peer_baseline, scorer)[0][0].feature == "user_not_found_1h"
    row[NAMES.index("user_response_kilobytes_1h")] = (
        row[NAMES.index("user_response_kilobytes_1d")] - 0.1
    )
    (reasons,) = explain(row[None], peer_baseline, scorer)
    assert reasons[0].feature == "user_response_kilobytes_1d" and reasons[0].usual_here is None


def test_first_address_of_a_new_actor_is_no_reason(peer_baseline: PeerBaseline) -> None:
    row = usual(peer_baseline)
    row[AGES] = np.log1p(0.5)
    row[NAMES.index("user_new_addresses_1d")] = np.log1p(0.98)
    row[NAMES.index("user_not_found_1h")] += 12.0
    scorer = Only(user_new_addresses_1d=9.0, user_not_found_1h=0.1)
    quiet = peer_baseline._replace(levels=np.zeros_like(peer_baseline.levels))
    assert explain(row[None], quiet, scorer)[0][0].feature == "user_not_found_1h"
    row[NAMES.index("user_new_addresses_1d")] = np.log1p(3.98)
    assert explain(row[None], quiet, scorer)[0][0].feature == "user_new_addresses_1d"


def test_new_actors_are_compared_with_other_new_actors(training: NDArray[np.float32]) -> None:
    rows, column = training.copy(), NAMES.index("user_new_endpoints_1d")
    rows[:1_000, AGES] = np.log1p(0.5)
    rows[:1_000, column] += 5.0
    peer_baseline = PeerBaseline.of(rows)
    for age, others in ((0.5, rows[:1_000]), (100.0, rows[1_000:])):
        row = rows[0].copy()
        row[AGES], row[column] = np.log1p(age), 30.0
        (reasons,) = explain(row[None], peer_baseline, Only(user_new_endpoints_1d=1.0))
        assert reasons[0].usual == pytest.approx(np.expm1(np.median(others[:, column])), rel=1e-4)
        assert ("other new clients" if age < 24.0 else "other clients") in reasons[0].text


def test_an_age_that_hardly_anybody_had_is_compared_with_all(
    training: NDArray[np.float32],
) -> None:
    rows = training.copy()
    rows[:9, AGES] = np.log1p(0.5)
    peer_baseline = PeerBaseline.of(rows)
    assert (peer_baseline.usual[0] == np.median(rows, axis=0)).all()


def test_reasons_of_a_log_do_not_depend_on_the_logs_beside_it(peer_baseline: PeerBaseline) -> None:
    rows = np.random.default_rng(2).gamma(2.0, 2.0, (9, WIDTH)).astype(np.float32)
    whole = explain(rows, peer_baseline, All())
    assert [explain(rows[i : i + 1], peer_baseline, All())[0] for i in range(9)] == whole
    assert explain(rows[:0], peer_baseline, All()) == []


def test_a_log_without_anything_to_say_has_a_reason_all_the_same(
    peer_baseline: PeerBaseline,
) -> None:
    (reasons,) = explain(usual(peer_baseline)[None], peer_baseline, Nothing())
    assert len(reasons) == 1


@pytest.mark.parametrize("scorer", [All(), Nothing()])
def test_choice_equals_the_reference(
    training: NDArray[np.float32], peer_baseline: PeerBaseline, scorer: All
) -> None:
    rng = np.random.default_rng(4)
    rows = rng.gamma(2.0, 2.0, (300, WIDTH)).astype(np.float32)
    rows[:, AGES] = np.log1p(rng.choice([0.2, 1.0, 5.0, 24.0, 90.0], (300, 2)))
    rows[:100] = np.where(rng.random((100, WIDTH)) < 0.9, peer_baseline.usual[0], rows[:100])
    # Exactly the median of what has its first taken out is a coin's toss of rounding.
    rows[
        :100,
        [
            name.endswith(("_new_addresses_1d", "_new_users_1d", "_new_user_agents_1d"))
            for name in NAMES
        ],
    ] += 0.1
    rows[100:150, NAMES.index("latency_excess")] -= 9.0
    added = scorer.contributions(rows) * rng.random(rows.shape)
    picks = np.empty((300, 3), np.int64)
    choose_features(rows, added, peer_baseline.levels, picks)
    for row, given, places in zip(rows, added, picks.tolist(), strict=True):
        expected = reference_reasons.chosen(row, given, peer_baseline.levels)
        assert [column for column in places if column >= 0] == expected


def test_many_logs_are_explained_in_little_memory(peer_baseline: PeerBaseline) -> None:
    rows = np.random.default_rng(3).gamma(2.0, 2.0, (12_000, WIDTH)).astype(np.float32)
    explain(rows[:1], peer_baseline, All())
    tracemalloc.start()
    reasons = explain(rows, peer_baseline, All())
    said = tracemalloc.get_traced_memory()[0]
    peak = tracemalloc.get_traced_memory()[1] - said
    tracemalloc.stop()
    assert len(reasons) == 12_000
    assert peak < 4 * rows.nbytes


def test_a_constant_feature_has_a_finite_rareness() -> None:
    rows = np.ones((10, WIDTH), np.float32)
    peer_baseline = PeerBaseline.of(rows)
    ((reason, *_),) = explain(np.full((1, WIDTH), 5.0, np.float32), peer_baseline, All())
    assert np.isfinite(reason.value) and np.isfinite(reason.usual)


@pytest.fixture(scope="module")
def team() -> Fitted:
    return fit(columns(traffic(400)), FitOptions(trees=30, memory_entities=1_000))


def test_detector_gives_the_value_the_actors_usual_and_the_others(team: Fitted) -> None:
    attack = [
        plain(START + 1e6 + i, user_id="eve", endpoint=f"/x/{i}", status_code=404)
        for i in range(300)
    ]
    anomalies = Detector(team.model, team.memory).detect(columns(attack), threshold=0.0).anomalies
    texts = [reason.text for reason in anomalies[-1].reasons]
    assert "requests in about" in texts[0], texts
    for anomaly in anomalies:
        for reason in anomaly.reasons:
            assert re.search(r" \((usually|other )", reason.text)
            assert reason.usual_here is None  # eve has no history


def test_actors_usual_is_in_the_unit_of_the_value(peer_baseline: PeerBaseline) -> None:
    row = usual(peer_baseline)
    row[NAMES.index("user_requests_1d")] = np.log1p(2_000.0)
    row[NAMES.index("user_requests_3m")] = np.log1p(900.0)
    (reasons,) = explain(row[None], peer_baseline, Only(user_requests_3m=1.0))
    assert reasons[0].usual_here == actor_baseline(row, NAMES.index("user_requests_3m"))
    assert re.search(r"\(usually .+; other clients: ", reasons[0].text)


def test_peer_baseline_equals_numpys_quantiles() -> None:
    rows = np.random.default_rng(5).exponential(2.0, (901, len(NAMES))).astype(np.float32)
    rows[:, AGE_COLUMN] = np.float32(5.0)  # all are known for long
    peer_baseline = PeerBaseline.of(rows)
    kept = [
        j
        for j, name in enumerate(NAMES)
        if not name.endswith(("_new_addresses_1d", "_new_users_1d", "_new_user_agents_1d"))
    ]
    shares = [0.01, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99]
    levels = np.quantile(rows[:, kept], shares, axis=0).astype(np.float32)
    assert np.array_equal(peer_baseline.usual[-1][kept], np.median(rows[:, kept], axis=0))
    assert np.array_equal(peer_baseline.levels[-1][:, kept], levels)
