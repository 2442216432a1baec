"""Figures as Markdown tables."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.quality.contenders import BUDGET, OURS
from benchmarks.quality.finds import Found
from benchmarks.quality.goals import Outcome, explained_share
from benchmarks.quality.measured import COUNTINGS, RATES
from benchmarks.quality.plan import Results
from benchmarks.quality.pooled import Pooled, Versus
from benchmarks.quality.promises import BUDGETS, Promise, together

REQUEST_RATES = (0.0001, 0.001, 0.01)
NOTHING = "–"
Cells = Sequence[str]


def table(head: Cells, rows: Sequence[Cells]) -> str:
    """A Markdown table, numbers to the right of the first column."""
    align = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, align, *rows))


def percent(share: float | None) -> str:
    """A share as per cent with one decimal place."""
    return NOTHING if share is None else f"{100 * share:.1f} %"


def goals_table(outcomes: Sequence[Outcome]) -> str:
    """Every goal, its figure, met or not."""
    rows = []
    for goal, figure in outcomes:
        met = Outcome(goal, figure).met
        shown = {"share": percent(figure), "ratio": f"{figure:.2f}" if figure is not None else ""}
        low, high = goal.wanted
        wanted = f"{low:g} to {high:g}" if goal.unit == "ratio" else f"≥ {100 * low:g} %"
        said = {None: "not measured", True: "met", False: "**not met**"}[met]
        rows.append([goal.text, wanted, shown[goal.unit] if met is not None else NOTHING, said])
    return table(["goal", "wanted", "measured", ""], rows)


def headline_table(results: Results) -> str:
    """Our model against the default rules and against the tuned rules that do best against it."""
    rows = []
    for group, pooled in results.groups.items():
        for counting in COUNTINGS:
            default = pooled.versus(counting, OURS, "default rules")
            rivals = [default, pooled.strongest(counting, OURS)]
            rows += [[group, counting, *_duel(rival)] for rival in rivals if rival is not None]
    head = ["data", "counted per", "against", "recall", "their FP", "our FP", "change"]
    return table([*head, "95 % interval", "worst and best seed"], rows)


def _duel(versus: Versus) -> Cells:
    low_high, seeds = versus.interval, (versus.worst, versus.best)
    return [
        versus.rules,
        f"{versus.recall:.3f}",
        f"{versus.theirs:,.0f}",
        f"{versus.mine:,.0f}",
        change(versus.reduction),
        f"{change(low_high[1])} to {change(low_high[0])}" if low_high else NOTHING,
        " and ".join(map(change, seeds)) if seeds[0] != seeds[1] else NOTHING,
    ]


def change(reduction: float | None) -> str:
    """A reduction as a signed change of the number of false positives."""
    if reduction is None:
        return NOTHING
    changed = round(-100.0 * reduction, 1)
    return f"{changed:+.1f} %".replace("-", "−") if changed else "0.0 %"


def sizes_line(pooled: Pooled) -> str:
    """How much data a group is."""
    sizes, seeds = pooled.sizes, len(pooled.parts)
    several = f"{seeds} seeds, together " if seeds > 1 else ""
    return (
        f"{several}{sizes.logs:,} logs, the first {sizes.training:,} to learn from."
        f" In the test part ({sizes.days:.1f} days):"
        f" {sizes.attacks:,} attack logs of {sizes.attackers:,} attackers,"
        f" {sizes.benign:,} benign logs of {sizes.benign_entities:,} others."
    )


def contenders_table(pooled: Pooled, counting: str) -> str:
    """Everybody: own alerts, recall at rates, average precision."""
    rates = REQUEST_RATES if counting == "request" else RATES
    head = ["", "own alerts: recall", "own alerts: FP", "own FP per day"]
    head += [f"recall at {100 * rate:g} % FP" for rate in rates] + ["average precision"]
    rows = []
    for name in pooled.names:
        summary = pooled.summary(counting, name)
        at = dict(zip(RATES, summary.recall_at, strict=True))
        row = [name, f"{summary.recall:.3f}", f"{summary.false:,}", f"{summary.false_a_day:,.1f}"]
        row += [f"{at[rate]:.3f}" for rate in rates]
        rows.append([*row, f"{summary.average_precision:.3f}"])
    return table(head, rows)


def equal_recall_table(pooled: Pooled, counting: str) -> str:
    """Everybody's false positives at the recall of each rule set, and the change against it."""
    head = [""]
    rows = [[name] for name in pooled.names]
    for rules in pooled.rule_sets:
        against = [pooled.versus(counting, name, rules) for name in pooled.names]
        head.append(f"at recall {against[0].recall:.3f} of<br>{rules}")
        for row, versus in zip(rows, against, strict=True):
            row.append(_against_cell(versus, row[0]))
    return table(head, rows)


def _against_cell(versus: Versus, name: str) -> str:
    shown = f"{versus.mine:,.0f}"
    if name == versus.rules or versus.reduction is None:
        return shown
    low_high = versus.interval
    between = f" [{change(low_high[1])}, {change(low_high[0])}]" if low_high else ""
    return f"{shown}<br>{change(versus.reduction)}{between}"


def promises_table(results: Results) -> str:
    """Observed over promised alerts, per group and budget; and the spread over seeds."""
    rows = []
    for group, promises in results.promises.items():
        for budget in BUDGETS:
            each = [promise for promise in promises if promise.budget == budget]
            if each:
                rows.append([group, *_promise_cells(each)])
    for group, pooled in results.groups.items():
        if len(pooled.parts) > 1 or group not in results.promises:
            false = [part.rows["request", OURS].false for part in pooled.parts]
            logs = [part.sizes.benign for part in pooled.parts]
            each = [Promise(BUDGET, n, k) for n, k in zip(logs, false, strict=True)]
            rows.append([f"{group} (benign logs only)", *_promise_cells(each)])
    head = ["data", "budget", "benign logs", "promised alerts", "observed", "observed / promised"]
    return table([*head, "least and most of a seed"], rows)


def _promise_cells(each: list[Promise]) -> Cells:
    whole, ratios = together(each), [promise.ratio for promise in each]
    return [
        f"{whole.budget:g}",
        f"{whole.logs:,}",
        f"{whole.budget * whole.logs:,.1f}",
        f"{whole.alerts:,}",
        f"**{whole.ratio:.2f}**",
        f"{min(ratios):.2f} and {max(ratios):.2f}" if len(each) > 1 else NOTHING,
    ]


def families_table(pooled: Pooled) -> str:
    """Entities of each family that each contender finds."""
    ours = pooled.families(OURS)
    others = [name for name in pooled.names if name != OURS]
    rate = f"at {100 * BUDGET:g} % of benign requests"
    head = ["family", "attackers", f"{OURS}, own threshold", f"{OURS} {rate}"]
    head += [f"{OURS} {rate}: share of the attack logs", f"{OURS}, above the benign"]
    head += [f"{name}{', own alerts' * (name in pooled.rule_sets)}" for name in others]
    rows = []
    for family, mine in ours.items():
        row = [family, f"{mine.entities}", _share(mine.own, mine), _share(mine.at_rate, mine)]
        row += [percent(mine.logs_at_rate / mine.logs), _share(mine.executor, mine)]
        row += [_share(pooled.families(name)[family].at_rate, mine) for name in others]
        rows.append(row)
    return table(head, rows)


def _share(found: int, family: Found) -> str:
    return f"{100 * found / family.entities:.0f} %"


def reasons_table(results: Results) -> str:
    """First reasons by family, and what else was said."""
    rows = []
    for group, pooled in results.groups.items():
        found = pooled.explained()
        for family, one in found.items():
            others = ", ".join(f"{name} ({count})" for name, count in one.others.most_common(2))
            share = percent(one.explained / one.found)
            rows.append([group, family, f"{one.found:,}", share, others or NOTHING])
        if found:
            alerts = sum(one.found for one in found.values())
            share = percent(explained_share(results, group))
            rows.append([group, "**all**", f"{alerts:,}", f"**{share}**", NOTHING])
    return table(["data", "family", "alerts", "explained", "other first reasons"], rows)


def alarms_table(pooled: Pooled, rules: str = "default rules", most: int = 12) -> str:
    """Whom the false alarms hit: kinds of benign logs, most false alarms of ours first."""
    kinds, own, ours = pooled.kinds(), pooled.own_alarms(OURS), pooled.alarms(OURS)
    theirs = pooled.alarms(rules)
    order = sorted(kinds, key=lambda kind: (-ours[kind], -own[kind], -theirs[kind], kind))[:most]
    rows = [
        [kind, f"{kinds[kind]:,}", *_hits(own[kind], kinds[kind]), *_hits(ours[kind], kinds[kind])]
        + [*_hits(theirs[kind], kinds[kind])]
        for kind in order
    ]
    head = ["benign logs", "how many", "own threshold", "of them"]
    head += [f"at {100 * BUDGET:g} % of all", "of them", rules, "of them"]
    return table(head, rows)


def _hits(alarms: int, logs: int) -> Cells:
    return [f"{alarms:,}", f"{100 * alarms / logs:.2f} %"]
