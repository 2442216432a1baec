"""Tuned rules keep the budget on their training window and are no stricter than needed."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_anomaly.rules import RuleLogs, RuleSet, tune

RULES = RuleSet.load("""
rules:
  - {id: rate, description: r, counts: every log, per: actor, window: 60 s, threshold: at least 3}
  - id: errors
    description: e
    counts: {status: 400-499}
    per: actor
    window: 60 s
    threshold: at least 2
  - {id: failed, description: any 5xx, fires_on: {status: 500-599}}
  - {id: large, description: l, fires_on: {response_size: more than 50}}
  - {id: agent, description: a, fires_on: {agent: nikto}}
""")


@st.composite
def training(draw: st.DrawFn) -> RuleLogs:
    """Between 1 and 300 logs of a few actors, drawn by one seed."""
    count, seed = draw(st.integers(1, 300)), draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    share = rng.random()
    sizes = np.where(rng.random(count) < 0.1, np.nan, rng.integers(0, 100, count))
    return RuleLogs.of(
        np.cumsum(rng.exponential(20, count)).tolist(),
        [f"actor-{number}" for number in rng.integers(0, 5, count)],
        ["192.0.2.1"] * count,
        np.where(rng.random(count) < share, rng.choice([404, 500], count), 200).tolist(),
        ["GET"] * count,
        sizes.tolist(),
        ["/"] * count,
        np.where(rng.random(count) < share / 10, "Nikto", "Mozilla").tolist(),
    )


@given(training(), st.sampled_from([0.0, 0.01, 0.1, 0.5]))
@settings(max_examples=100)
def test_each_tuned_rule_fires_on_no_more_than_the_budget(logs: RuleLogs, budget: float) -> None:
    fired = tune(logs, RULES, budget).evaluate(logs).by_rule()
    assert all(count <= budget * len(logs) + 1e-6 for count in fired.values())


@given(training(), st.sampled_from([0.0, 0.01, 0.1, 0.5]))
@settings(max_examples=100)
def test_no_threshold_is_raised_further_than_the_budget_needs(
    logs: RuleLogs, budget: float
) -> None:
    before = {rule.id: rule for rule in RULES.rules}
    for rule in tune(logs, RULES, budget).rules:
        if rule.id in ("rate", "errors"):
            assert rule.at_least >= before[rule.id].at_least
            if rule.at_least > before[rule.id].at_least:
                looser = RuleSet.load(
                    RuleSet((rule,))
                    .to_yaml()
                    .replace(f"at least {rule.at_least}", f"at least {rule.at_least - 1}")
                )
                assert looser.evaluate(logs).any().sum() > budget * len(logs) - 1e-6


def logs_with(status: list[int], agent: str = "Mozilla") -> RuleLogs:
    count = len(status)
    time = [float(second) for second in range(count)]
    none = [None] * count
    return RuleLogs.of(
        time, ["a"] * count, none, status, ["GET"] * count, none, ["/"] * count, [agent] * count
    )


def test_a_rule_on_too_many_events_starts_to_count_them() -> None:
    tuned = tune(logs_with([200, 500] * 50), RULES.without("rate"), 0.01)
    failed = tuned.rules[tuned.ids.index("failed")]
    # Every other second fails: 31 failures lie in a window that holds both of its ends.
    assert failed.window == 60 and failed.at_least == 32 and failed.per == "actor"
    assert any("failed: fired on 50 of 100 training logs" in note for note in tuned.notes)


def test_a_rule_on_too_many_clients_is_dropped_and_the_notes_say_why() -> None:
    tuned = tune(logs_with([200] * 100, "Nikto"), RULES, 0.01)
    assert "agent" not in tuned.ids
    assert any("agent" in note and "dropped" in note for note in tuned.notes)


def test_rules_within_the_budget_stay_as_they_are() -> None:
    assert tune(logs_with([200, 200]), RULES, 0.01) == RULES


def test_tuned_rules_are_written_down_with_their_notes() -> None:
    tuned = tune(logs_with([404] * 100), RULES, 0.01)
    assert tuned.notes and RuleSet.load(tuned.to_yaml()) == tuned


def test_tuning_needs_logs_in_time_order_and_a_budget() -> None:
    with pytest.raises(ValueError, match="without training logs"):
        tune(logs_with([]), RULES)
    logs = logs_with([200, 200])
    with pytest.raises(ValueError, match="time order"):
        tune(replace(logs, time=logs.time[::-1]), RULES)
    for budget in (-0.1, 1.0, float("nan")):
        with pytest.raises(ValueError, match="budget"):
            tune(logs_with([200]), RULES, budget)
