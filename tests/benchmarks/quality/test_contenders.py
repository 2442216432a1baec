"""Contenders use no later log and no label of the test part, and fix thresholds in training."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from benchmarks.quality.baselines import forest_scores, template, zscores_per_user
from benchmarks.quality.contenders import (
    BUDGET,
    OURS,
    Contender,
    Scored,
    contenders,
    with_verdicts,
)
from benchmarks.quality.datasets import Dataset, of_records

NAMES = [contender.name for contender in contenders()]
START = 1_750_000_000


# The contenders with more verdicts are the one with 20, given more of the same labels.
@pytest.fixture(params=[name for name in NAMES if name not in map(with_verdicts, (40, 100))])
def contender(request: pytest.FixtureRequest) -> Contender:
    return next(each for each in contenders() if each.name == request.param)


def shortened(data: Dataset, count: int) -> Dataset:
    """The first `count` logs."""
    rows = np.arange(count)
    return Dataset(
        data.name,
        data.columns.take(rows),
        data.rules[:count],
        data.label[:count],
        data.family[:count],
        data.kind[:count],
        data.entity[:count],
        data.cut,
    )


def test_neither_later_logs_nor_labels_change_a_score(
    data: Dataset, scored: dict[str, Scored], contender: Contender
) -> None:
    half = (data.cut + len(data)) // 2
    short = shortened(data, half)
    label = np.full(half, -1)
    if contender.verdicts:  # may use labels of the training part
        label[: data.cut] = data.label[: data.cut]
    hidden = replace(short, label=label, family=[None] * half, kind=[None] * half)
    early, whole = contender.score(hidden), scored[contender.name]
    np.testing.assert_allclose(early.scores, whole.scores[: half - data.cut])
    assert early.threshold == whole.threshold


@pytest.mark.parametrize("name", NAMES)
def test_each_test_log_has_a_score(data: Dataset, scored: dict[str, Scored], name: str) -> None:
    assert scored[name].scores.shape == (len(data) - data.cut,)
    assert np.isfinite(scored[name].scores).all() and np.isfinite(scored[name].threshold)


def test_our_alerts_are_the_anomalies_of_the_model(scored: dict[str, Scored]) -> None:
    ours = scored[OURS]
    assert ours.detections is not None
    alerts = np.flatnonzero(ours.scores >= ours.threshold)
    assert alerts.tolist() == [anomaly.index for anomaly in ours.detections.anomalies]


@pytest.mark.parametrize("scores", [forest_scores, zscores_per_user])
def test_a_baseline_alerts_on_at_most_its_budget_of_training_logs(
    data: Dataset,
    scored: dict[str, Scored],
    scores: Callable[[Dataset], tuple[np.ndarray, np.ndarray]],  # type: ignore[type-arg]
) -> None:
    training, _ = scores(data)
    name = "stateless forest" if scores is forest_scores else "per-user z-scores"
    assert (training > scored[name].threshold).sum() <= BUDGET * len(training)


def test_templates_replace_segments_that_hold_a_digit() -> None:
    assert template("/api/v1/orders/77/lines?page=2") == "/api/{}/orders/{}/lines"
    assert template("/about") == "/about"


def test_a_user_is_compared_with_its_own_history() -> None:
    def log(second: int, user: str, size: int) -> dict[str, object]:
        return {
            "timestamp": START + second,
            "user_id": user,
            "endpoint": "/a",
            "method": "GET",
            "status_code": 200,
            "response_size": size,
            "label": 0,
        }

    small = [log(60 * k, "small", 100 + k % 2) for k in range(40)]
    big = [log(60 * k + 30, "big", 50_000 + 1_000 * (k % 2)) for k in range(40)]
    later = [log(6_000, "small", 50_000), log(6_030, "big", 50_000), log(6_200, "new", 100)]
    data = of_records("users", [*small, *big, *later], 80 / 83)
    _, test = zscores_per_user(data)
    assert test[0] > 10 * test[1]
    assert np.isfinite(test).all()


def test_each_minute_is_counted_from_zero() -> None:
    logs = [
        {
            "timestamp": START - START % 60 + second,
            "user_id": "one",
            "endpoint": "/a",
            "method": "GET",
            "status_code": 500 if second == 1 else 200,
            "label": 0,
        }
        for second in (*range(0, 1200, 60), 1201, 1202, 1203, 1260)
    ]
    _, test = zscores_per_user(of_records("minutes", logs, 20 / 24))
    assert test[0] < test[1] < test[2] and test[3] == test[0]
