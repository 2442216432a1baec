"""The default rules on real access logs give the figures that the project compares itself with.

Figures: logs after the first 40 %, those without a label left out; recall, and false positives.
"""

import gzip
import json
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pytest

from api_anomaly.rules import RuleLogs, RuleSet, tune
from tests.support.paths import DATA


class Real(NamedTuple):
    logs: RuleLogs
    label: npt.NDArray[np.int64]
    cut: int


def real(name: str) -> Real:
    file = DATA / f"{name}.ndjson.gz"
    if not file.exists():
        pytest.skip(f"the real access log {file.name} is not on this machine")
    with gzip.open(file, "rt") as lines:
        records = [json.loads(line) for line in lines]
    label = [-1 if record["label"] is None else record["label"] for record in records]
    return Real(RuleLogs.of_records(records), np.array(label), int(0.4 * len(records)))


def figures(data: Real, rules: RuleSet) -> tuple[float, int]:
    alerted, later = rules.evaluate(data.logs).any(), np.arange(len(data.label)) >= data.cut
    recall = float(alerted[later & (data.label == 1)].mean())
    return round(recall, 3), int(alerted[later & (data.label == 0)].sum())


@pytest.mark.parametrize(
    ("name", "default", "without_script_agents"),
    [
        ("wordpress_blog_2016", (0.530, 2798), (0.526, 2578)),
        ("erddap_api", (0.954, 1900), (0.880, 28)),
    ],
)
def test_default_rules_on_a_real_log(
    name: str, default: tuple[float, int], without_script_agents: tuple[float, int]
) -> None:
    data, rules = real(name), RuleSet.default()
    assert figures(data, rules) == default
    assert figures(data, rules.without("script_agent")) == without_script_agents


def test_rules_tuned_on_real_logs_keep_the_budget_there() -> None:
    data = real("erddap_api")
    training = data.logs[: data.cut]
    tuned = tune(training, RuleSet.default(), 0.001)
    assert max(tuned.evaluate(training).by_rule().values()) <= 0.001 * len(training)
