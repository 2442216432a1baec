"""The tables of one data set, several pooled, the goals, and quality.json."""

from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from api_anomaly.features.table import NAMES
from benchmarks.quality.command import check
from benchmarks.quality.contenders import OURS, TUNED, Contender, Scored
from benchmarks.quality.datasets import Dataset, UnreadableData
from benchmarks.quality.figures import (
    MIN_RECALL,
    Figures,
    read_figures,
    records,
    select,
    strongest_tuned,
    write_figures,
)
from benchmarks.quality.first_reasons import CHANGED, names_attack
from benchmarks.quality.goals import GOALS, Goal, Outcome, outcomes
from benchmarks.quality.measure import BRIEF, COUNTINGS, RECALLS, Tables, measure
from benchmarks.quality.page import change
from benchmarks.quality.plan import CLEAN, CLEAN_WEEKS
from api_anomaly.simulator.scenario import FAMILIES
from tests.benchmarks.quality.conftest import pooled


def row_of(table: pd.DataFrame, **keys: object) -> pd.Series:
    (row,) = records(select(table, **keys))
    return pd.Series(row)


def test_a_rule_set_at_its_own_recall_is_itself(measured: Tables) -> None:
    accuracy, comparisons = measured["accuracy"], measured["comparisons"]
    own = comparisons[comparisons["contender"] == comparisons["rules"]]
    both = own.merge(accuracy, on=["counting", "contender"], suffixes=("", "_own"))
    assert len(both) == 2 * 6
    assert (both["rules_false_positives"] == both["false_positives_own"]).all()
    assert (both["found_by_rules"] == both["found"]).all()
    # Rules that find no attack are equalled without any alert.
    expected = both["false_positives_own"].where(both["found"] > 0, 0)
    assert both["false_positives"].tolist() == pytest.approx(expected.tolist())


def test_sizes_count_labelled_test_logs_only(data: Dataset, measured: Tables) -> None:
    (sizes,) = records(measured["sizes"])
    assert sizes["attacks"] + sizes["benign"] == len(data) - data.cut == int(data.known.sum())
    assert sizes["attackers"] == 3 and sizes["training"] == data.cut


def test_every_family_and_every_benign_log_is_counted(measured: Tables) -> None:
    (sizes,) = records(measured["sizes"])
    families = select(measured["families"], contender=OURS)
    assert set(families["family"]) == {"enumeration_fast", "path_scanning", "account_takeover"}
    assert families["logs"].sum() == sizes["attacks"]
    alarms = measured["false_alarms"].groupby("contender")[["logs", "own"]].sum()
    assert (alarms["logs"] == sizes["benign"]).all()
    accuracy = select(measured["accuracy"], counting="request").set_index("contender")
    assert alarms["own"].to_dict() == accuracy["false_positives"].to_dict()


def test_missed_attackers_are_counted_with_how_much_they_sent(
    data: Dataset, measured: Tables
) -> None:
    attacks = (data.label[data.cut :] == 1) & data.known
    sent = pd.Series(data.entity[data.cut :][attacks]).value_counts()
    for row in records(measured["missed"]):
        assert row["brief"] <= row["attackers"] <= len(sent)
    silent = Scored(np.zeros(len(data.test)), 1.0)
    none = Contender("no alerts", True, lambda _: silent)
    (row,) = records(measure(data, [none], 1)["missed"])
    assert row["attackers"] == len(sent) and row["brief"] == (sent <= BRIEF).sum()


def test_unlabelled_logs_are_not_counted(
    data: Dataset, measured: Tables, repeaters: tuple[Contender, ...]
) -> None:
    label = data.label.copy()
    rows = np.flatnonzero((np.arange(len(data)) >= data.cut) & (label == 0))[::3]
    label[rows] = -1
    fewer = measure(replace(data, label=label), repeaters, 5)
    assert fewer["sizes"]["benign"].sum() == measured["sizes"]["benign"].sum() - len(rows)
    key = {"counting": "request", "contender": OURS}
    all_logs, part = row_of(measured["accuracy"], **key), row_of(fewer["accuracy"], **key)
    assert part["found"] == all_logs["found"]
    assert part["false_positives"] <= all_logs["false_positives"]


def test_data_without_attacks_is_rejected(data: Dataset, repeaters: tuple[Contender, ...]) -> None:
    with pytest.raises(UnreadableData, match="needs attacks"):
        measure(replace(data, label=np.zeros(len(data), np.int64)), repeaters, 1)


def test_data_sets_of_a_group_are_added_up(measured: Tables) -> None:
    one, three = pooled(measured, "x"), pooled(measured, "x", copies=3)
    first, pooled_three = one["accuracy"], three["accuracy"]
    assert (pooled_three["false_positives"] == 3 * first["false_positives"]).all()
    means = ["recall", "false_positives_per_day", "average_precision", "recall_at_0.001"]
    assert_frame_equal(pooled_three[means], first[means])
    single, triple = one["comparisons"], three["comparisons"]
    assert (triple["rules_false_positives"] == 3 * single["rules_false_positives"]).all()
    for name in ("reduction", "worst_dataset", "best_dataset"):
        assert triple[name].tolist() == pytest.approx(single["reduction"].tolist(), nan_ok=True)
    intervals = triple[["interval_low", "interval_high"]].dropna()
    assert (intervals["interval_low"] <= intervals["interval_high"]).all() and len(intervals)
    assert three["sizes"]["datasets"].tolist() == [3]


def test_the_strongest_tuned_rules_are_those_that_we_beat_by_least(measured: Tables) -> None:
    tables = pooled(measured, "x")
    for counting in COUNTINGS:
        rows = select(tables["comparisons"], counting=counting, contender=OURS)
        rows = rows[rows["rules"].str.startswith(TUNED) & (rows["recall"] >= MIN_RECALL)]
        found = strongest_tuned(tables, "x", counting, OURS)
        assert found["reduction"].tolist() == [rows["reduction"].min()]


def test_a_curve_never_falls(measured: Tables) -> None:
    curves = measured["curves"].drop(columns=["dataset", "counting", "contender"]).to_numpy()
    assert curves.shape[1] == len(RECALLS)
    assert (np.diff(curves, axis=1) >= -1e-6).all() and (curves[:, 0] == 0).all()


def test_every_family_changes_features_that_exist() -> None:
    assert set(CHANGED) == set(FAMILIES)
    for patterns in CHANGED.values():
        for pattern in patterns:
            assert any(fnmatchcase(name, pattern) for name in NAMES), pattern


def test_no_family_is_explained_by_every_feature() -> None:
    for family in CHANGED:
        good = [name for name in NAMES if names_attack(family, name)]
        assert len(good) < 0.6 * len(NAMES), family
        assert not names_attack(family, "user_age")


def test_first_reasons_are_counted_on_our_alerts_of_attacks(measured: Tables) -> None:
    reasons = measured["first_reasons"]
    ours = row_of(measured["accuracy"], counting="request", contender=OURS)
    assert reasons["alerts"].sum() == ours["found"]
    for row in records(reasons):
        assert row["names_attack"] == names_attack(row["family"], row["first_reason"])


def thresholds(budget: float, *alerts: int) -> Tables:
    """Observed alerts in weeks of 1,000 benign logs."""
    rows = [(CLEAN_WEEKS, f"week {i}", budget, 1_000, n) for i, n in enumerate(alerts)]
    columns = ["group", "dataset", "budget", "logs", "alerts"]
    return {"thresholds": pd.DataFrame(rows, columns=columns)}


def figure(tables: Tables, text: str) -> float | None:
    (one,) = [one for one in outcomes(tables) if one.goal.text == text]
    return one.figure


def test_observed_alerts_are_divided_by_promised_alerts() -> None:
    text = f"{CLEAN_WEEKS}: observed over promised alerts at a budget of 0.01"
    assert figure(thresholds(0.01, 15), text) == pytest.approx(1.5)
    assert figure(thresholds(0.01, 15, 5), text) == pytest.approx(1.0)


def test_goals_are_met_not_met_or_not_measured() -> None:
    goal = Goal("g", (0.9, 1.0), (0.5, 1.0), lambda _: None)
    shown = [(Outcome(goal, x).met, Outcome(goal, x).broken) for x in (0.95, 0.7, 0.4, None)]
    assert shown == [(True, False), (False, False), (False, True), (None, False)]
    assert all(
        goal.floor[0] <= goal.wanted[0] and goal.wanted[1] <= goal.floor[1] for goal in GOALS
    )
    assert {one.met for one in outcomes({})} == {None}


def test_a_figure_outside_its_floor_fails_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert check(thresholds(0.01, 20)) == 0
    assert check(thresholds(0.001, 900)) == 1
    assert "is not within 0 to 12" in capsys.readouterr().err


def test_goals_read_the_figures(measured: Tables) -> None:
    tables = pooled(measured, CLEAN) | thresholds(0.01, 10)
    found = {one.goal.text: one.figure for one in outcomes(tables) if one.figure is not None}
    assert found[f"{CLEAN_WEEKS}: observed over promised alerts at a budget of 0.01"] == 1.0
    assert sum(CLEAN in text for text in found) == 7
    assert sum(f"{CLEAN}, after 20 verdicts" in text for text in found) == 2


def test_written_figures_are_read_back(measured: Tables, tmp_path: Path) -> None:
    tables = pooled(measured, CLEAN) | thresholds(0.01, 10)
    made = {"command": "a test", "seeds": [4]}
    write_figures(Figures(made, tables), tmp_path / "quality.json")
    again = read_figures(tmp_path / "quality.json")
    assert again.made == made
    assert list(again.tables) == list(tables)
    for name, table in tables.items():
        assert_frame_equal(again.tables[name], table, check_dtype=False, rtol=1e-5)


def test_a_change_is_signed() -> None:
    assert [change(x) for x in (0.925, -2.0, 0.0, None)] == ["−92.5 %", "+200.0 %", "0.0 %", "–"]
