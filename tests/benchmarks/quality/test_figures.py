"""One data set measured, several pooled, and the goals held against them."""

from dataclasses import replace
from fnmatch import fnmatchcase

import numpy as np
import pytest

from api_anomaly.features.table import NAMES
from benchmarks.quality.command import checked
from benchmarks.quality.contenders import OURS, Contender
from benchmarks.quality.datasets import Dataset, UnreadableData
from benchmarks.quality.explained import CHANGED, Explained, names_what_changed
from benchmarks.quality.goals import GOALS, Goal, Outcome, outcomes
from benchmarks.quality.measured import COUNTINGS, Measured, measure
from benchmarks.quality.plan import CLEAN, CLEAN_WEEKS, Results
from benchmarks.quality.pooled import Pooled
from benchmarks.quality.promises import Promise, together
from benchmarks.quality.tables import change
from api_anomaly.simulator.scenario import FAMILIES


def test_a_rule_set_at_its_own_recall_is_itself(measured: Measured) -> None:
    for (_, name), row in measured.rows.items():
        if name in row.against:
            against = row.against[name]
            assert against.theirs == row.false and against.attacks == row.found
            # Rules that find nothing at all are matched by silence.
            assert against.mine == pytest.approx(row.false if row.found else 0)
            assert (against.mine_drawn <= against.theirs_drawn + 1e-6).all()


def test_sizes_count_labelled_test_logs_only(data: Dataset, measured: Measured) -> None:
    sizes = measured.sizes
    assert sizes.attacks + sizes.benign == len(data) - data.cut == int(data.known.sum())
    assert sizes.attackers == 3 and sizes.training == data.cut


def test_every_family_and_every_benign_log_is_accounted_for(measured: Measured) -> None:
    found = measured.families[OURS]
    assert set(found) == {"enumeration_fast", "path_scanning", "account_takeover"}
    assert sum(each.logs for each in found.values()) == measured.sizes.attacks
    assert measured.kinds.total() == measured.sizes.benign
    for name, hit in measured.own_alarms.items():
        assert hit.total() == measured.rows["request", name].false


def test_unlabelled_logs_are_not_counted(
    data: Dataset, measured: Measured, repeaters: list[Contender]
) -> None:
    label = data.label.copy()
    rows = np.flatnonzero((np.arange(len(data)) >= data.cut) & (label == 0))[::3]
    label[rows] = -1
    fewer = measure(replace(data, label=label), repeaters, 5)
    assert fewer.sizes.benign == measured.sizes.benign - len(rows)
    whole, part = measured.rows["request", OURS], fewer.rows["request", OURS]
    assert part.found == whole.found and part.false <= whole.false


def test_data_without_attacks_is_refused(data: Dataset, repeaters: list[Contender]) -> None:
    with pytest.raises(UnreadableData, match="needs attacks"):
        measure(replace(data, label=np.zeros(len(data), np.int64)), repeaters, 1)


def test_seeds_are_added_up(measured: Measured) -> None:
    once, thrice = Pooled("x", [measured]), Pooled("x", [measured] * 3)
    for counting in COUNTINGS:
        for name in once.names:
            one, three = once.summary(counting, name), thrice.summary(counting, name)
            assert three.false == 3 * one.false and three.recall == pytest.approx(one.recall)
            assert three.false_a_day == pytest.approx(one.false_a_day)
            assert three.recall_at == pytest.approx(one.recall_at)
        one_duel = once.versus(counting, OURS, "default rules")
        duel = thrice.versus(counting, OURS, "default rules")
        assert duel.theirs == 3 * one_duel.theirs and duel.reduction == one_duel.reduction
        assert duel.worst == duel.best == pytest.approx(duel.reduction)
    assert thrice.families(OURS)["path_scanning"].entities == 3


def test_the_strongest_tuned_rules_are_those_that_we_beat_by_least(measured: Measured) -> None:
    pooled = Pooled("x", [measured])
    rival = pooled.strongest("request", OURS)
    assert rival is not None and rival.reduction is not None
    tuned = [
        pooled.versus("request", OURS, rules) for rules in pooled.rule_sets if "tuned" in rules
    ]
    known = [one.reduction for one in tuned if one.recall >= 0.1 and one.reduction is not None]
    assert rival.reduction == min(known) and rival.recall >= 0.1


def test_a_curve_never_falls(measured: Measured) -> None:
    for row in measured.rows.values():
        assert (np.diff(row.curve) >= -1e-6).all() and row.curve[0] == 0


def test_every_family_has_behaviours_that_exist() -> None:
    assert set(CHANGED) == set(FAMILIES)
    for patterns in CHANGED.values():
        for pattern in patterns:
            assert any(fnmatchcase(name, pattern) for name in NAMES), pattern


def test_no_family_is_explained_by_everything() -> None:
    for family in CHANGED:
        good = [name for name in NAMES if names_what_changed(family, name)]
        assert len(good) < 0.6 * len(NAMES), family
        assert not names_what_changed(family, "user_age")


def test_first_reasons_are_counted_on_our_alerts_of_attacks(measured: Measured) -> None:
    alerts = sum(each.found for each in measured.explained.values())
    assert alerts == measured.rows["request", OURS].found
    for each in measured.explained.values():
        assert each.explained + each.others.total() == each.found
    assert isinstance(next(iter(measured.explained.values())), Explained)


def test_a_promise_is_observed_over_promised() -> None:
    assert Promise(0.01, 1_000, 15).ratio == pytest.approx(1.5)
    assert together([Promise(0.01, 1_000, 15), Promise(0.01, 3_000, 5)]) == (0.01, 4_000, 20)


def test_goals_say_met_not_met_or_not_measured() -> None:
    goal = Goal("g", (0.9, 1.0), (0.5, 1.0), lambda _: None)
    shown = [(Outcome(goal, x).met, Outcome(goal, x).broken) for x in (0.95, 0.7, 0.4, None)]
    assert shown == [(True, False), (False, False), (False, True), (None, False)]
    assert all(
        goal.floor[0] <= goal.wanted[0] and goal.wanted[1] <= goal.floor[1] for goal in GOALS
    )
    assert {one.met for one in outcomes(Results())} == {None}


def test_a_broken_floor_fails_the_check(capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(Results(promises={CLEAN_WEEKS: [Promise(0.01, 1_000, 20)]})) == 0
    assert checked(Results(promises={CLEAN_WEEKS: [Promise(0.001, 1_000, 900)]})) == 1
    assert "is not within 0 to 12" in capsys.readouterr().err


def test_goals_read_the_figures(measured: Measured) -> None:
    results = Results({CLEAN: Pooled(CLEAN, [measured])}, {CLEAN_WEEKS: [Promise(0.01, 1_000, 10)]})
    told = {one.goal.text: one.figure for one in outcomes(results) if one.figure is not None}
    assert told[f"{CLEAN_WEEKS}: observed over promised alerts at a budget of 0.01"] == 1.0
    assert sum(CLEAN in text for text in told) == 7
    assert sum(f"{CLEAN}, after 20 verdicts" in text for text in told) == 2


def test_a_change_is_signed() -> None:
    assert [change(x) for x in (0.925, -2.0, 0.0, None)] == ["−92.5 %", "+200.0 %", "0.0 %", "–"]
