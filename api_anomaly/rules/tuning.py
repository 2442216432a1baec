"""Raise thresholds until each rule fires on at most a given share of a training window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from api_anomaly.rules.logs import RuleLogs
from api_anomaly.rules.rule import Match, Rule
from api_anomaly.rules.ruleset import RuleSet

# Window in seconds of a rule that had none and now counts: the window of the default rules.
NEW_WINDOW = 60.0


def tune(training: RuleLogs, ruleset: RuleSet, budget: float = 0.001) -> RuleSet:
    """The rule set with thresholds fitted to a training window, without labels.

    ``budget`` is the share of training logs that each single rule may fire on (so all rules
    together fire on at most rules x budget). With n training logs, a = floor(budget x n) and
    v_i the rule's own value at log i, the tuned threshold is the smallest one with
    #{i: rule fires} <= a, but never lower than the rule's own:

    counting rule   v_i = count in the actor's window at log i, the log included;
                    at_least = max(at_least, 1 + the (a + 1)-th largest v_i)
    size rule       v_i = response size of log i, among logs that meet the other conditions;
                    size_over = max(size_over, the (a + 1)-th largest v_i)
    request rule    fires on at most a logs: kept. Fires on more: a rule on what the client did
                    (status, method, endpoint) becomes a counting rule per actor with a window of
                    60 s, at_least tuned as above but at least 2; a rule on who the client is
                    (its agent alone) is dropped, as counting it would only measure its rate.

    This is the (1 - budget) quantile of the actors' own per-request values. Attacks in the
    training window count like everything else, and raise thresholds. Each change is one of the
    result's notes. Raises ValueError for no training logs, for logs that are not in time order and
    for a budget outside [0, 1).
    """
    if not len(training):
        raise ValueError("rules cannot be tuned without training logs")
    if bool((np.diff(training.time) < 0).any()):
        raise ValueError("training logs of rules must be in time order")
    if not 0 <= budget < 1:
        raise ValueError("the alert budget must be a share in [0, 1)")
    tuned: list[Rule] = []
    notes = list(ruleset.notes)
    allowed = int(np.floor(budget * len(training) + 1e-9))
    for rule in ruleset.rules:
        fitted, note = _fit(rule, training, allowed)
        tuned.extend([] if fitted is None else [fitted])
        notes.extend([note] if note else [])
    return RuleSet(tuple(tuned), tuple(notes))


def _fit(rule: Rule, training: RuleLogs, allowed: int) -> tuple[Rule | None, str]:
    """The tuned rule (None: dropped) and what was done to it (empty: nothing)."""
    if rule.window is not None:
        return _raise_count(rule, training, allowed)
    if rule.match.size_over is not None:
        return _raise_size(rule, rule.match.size_over, training, allowed)
    fired = int(rule.match.rows(training).sum())
    if fired <= allowed:
        return rule, ""
    why = f"{rule.id}: fired on {fired} of {len(training)} training logs, {allowed} are in budget"
    if replace(rule.match, agent=()) == Match():
        return None, f"{why}; dropped, since it says who the client is and not what it does"
    counting = replace(rule, window=NEW_WINDOW, at_least=2)
    counting, _ = _raise_count(counting, training, allowed)
    changed = f"now fires from {counting.at_least} of them per actor within {NEW_WINDOW:g} s"
    return replace(counting, description=f"{rule.description}: {changed}"), f"{why}; {changed}"


def _raise_count(rule: Rule, training: RuleLogs, allowed: int) -> tuple[Rule, str]:
    values = window_counts(training, rule, rule.match.rows(training)).astype(np.float64)
    at_least = max(rule.at_least, 1 + int(_largest_quiet_value(values, allowed)))
    if at_least == rule.at_least:
        return rule, ""
    note = f"{rule.id}: threshold raised from at least {rule.at_least} to at least {at_least}"
    return replace(rule, at_least=at_least), note


def _raise_size(rule: Rule, size_over: int, training: RuleLogs, allowed: int) -> tuple[Rule, str]:
    others = replace(rule.match, size_over=None).rows(training)
    sizes = np.where(others, np.nan_to_num(training.response_size, nan=0.0), 0.0)
    raised = max(size_over, int(np.ceil(_largest_quiet_value(sizes, allowed))))
    if raised == size_over:
        return rule, ""
    note = f"{rule.id}: threshold raised from more than {size_over} to more than {raised} bytes"
    return replace(rule, match=replace(rule.match, size_over=raised)), note


def _largest_quiet_value(values: npt.NDArray[np.float64], allowed: int) -> float:
    """The (allowed + 1)-th largest value: it must not fire if `allowed` logs may."""
    return float(np.partition(values, len(values) - 1 - allowed)[len(values) - 1 - allowed])


def window_counts(logs: RuleLogs, rule: Rule, hits: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """int64 (n,): at each log, the number of counted logs of its key in the rule's window, the log
    itself included. The engine avoids this exact count; tuning needs it. O(n log n).

    logs  in time order
    hits  bool (n,): the logs that the rule counts
    """
    rows_of: dict[str, list[int]] = {}
    for row, key in enumerate(rule.keys(logs)):
        if key is not None:
            rows_of.setdefault(key, []).append(row)
    counts = np.zeros(len(logs), dtype=np.int64)
    window = rule.window or 0.0
    for rows in rows_of.values():
        times = logs.time[rows]
        total = np.concatenate(([0], np.cumsum(hits[rows])))
        oldest = np.searchsorted(times, times - window, side="left")
        counts[rows] = total[1:] - total[oldest]
    return counts
