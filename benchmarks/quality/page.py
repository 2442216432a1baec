"""The page docs/quality.md: ``page.md.template`` with tables out of the figures."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from string import Template
from typing import Any

import pandas as pd

from benchmarks.quality.analyst import VERDICTS
from benchmarks.quality.contenders import OURS, with_verdicts
from benchmarks.quality.figures import Figures, records, select, strongest_tuned
from benchmarks.quality.goals import Outcome, outcomes, share_explained
from benchmarks.quality.measure import BRIEF, COUNTINGS, Tables
from benchmarks.quality.plan import CLEAN

TEMPLATE = Path(__file__).with_name("page.md.template")
UNKNOWN = "–"
DEFAULT = "default rules"
KINDS_SHOWN = 8
FOUND = ("own", "at_rate", "own_rules")


def write_page(figures: Figures) -> str:
    """The whole page as Markdown."""
    made, tables = figures.made, figures.tables
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        command=made["command"],
        made=f"{made['date']}; {made['machine']}; "
        + ", ".join(f"{name} {number}" for name, number in made["versions"].items())
        + f"; seeds {made['seeds']}; {made['samples']} bootstrap samples",
        brief=BRIEF,
        explained=percent(share_explained(tables)),
        goals=goals_table(outcomes(tables)),
        thresholds=thresholds_table(tables),
        **{name: table(tables) for name, table in TABLES.items()},
    )


def markdown(table: pd.DataFrame) -> str:
    """A Markdown table, the first column to the left, the others to the right."""
    align = ("left", *["right"] * (len(table.columns) - 1))
    padded = table.to_markdown(index=False, disable_numparse=True, colalign=align) or ""
    return re.sub(r"-{3,}", "---", re.sub(" {2,}", " ", padded))


def percent(share: float | None, digits: int = 1) -> str:
    """A share in per cent."""
    return UNKNOWN if share is None or pd.isna(share) else f"{100 * share:.{digits}f} %"


def change(reduction: float | None) -> str:
    """A reduction as a signed change."""
    if reduction is None or pd.isna(reduction):
        return UNKNOWN
    changed = round(-100.0 * reduction, 1)
    return f"{changed:+.1f} %".replace("-", "−") if changed else "0.0 %"


def goals_table(goals: list[Outcome]) -> str:
    """Every goal, its figure, met or not."""
    rows = []
    for goal, figure in goals:
        met = Outcome(goal, figure).met
        low, high = goal.wanted
        is_ratio = goal.unit == "ratio"
        measured = UNKNOWN if figure is None else f"{figure:.2f}" if is_ratio else percent(figure)
        wanted = f"{low:g} to {high:g}" if is_ratio else f"≥ {100 * low:g} %"
        result = {None: "not measured", True: "met", False: "**not met**"}[met]
        rows.append((goal.text, wanted, measured, result))
    return markdown(pd.DataFrame(rows, columns=["goal", "wanted", "measured", "result"]))


def shown_groups(tables: Tables) -> list[str]:
    """The groups of the page: of a file only the first split, the others are in quality.json."""
    groups = tables["sizes"]["group"]
    return groups[~groups.str.replace(r", trained on .*", "", regex=True).duplicated()].tolist()


def sizes_table(tables: Tables) -> str:
    """How much data each group has, and how many attackers our model misses."""
    missed = select(tables["missed"], contender=OURS)[["group", "attackers", "brief"]]
    missed = missed.rename(columns={"attackers": "missed", "brief": "of them brief"})
    sizes = tables["sizes"].merge(missed, on="group")
    days = sizes.pop("days").map("{:.1f}".format)
    counts = sizes.columns.drop("group")
    sizes[counts] = sizes[counts].map("{:,}".format)
    sizes.insert(4, "test days", days)
    sizes.columns = sizes.columns.astype(str).str.replace("_", " ")
    return markdown(sizes)


def comparison_table(tables: Tables) -> str:
    """Our model at the recall of the default rules and of the strongest tuned rules."""
    rows = []
    for group in shown_groups(tables):
        for counting in COUNTINGS:
            key = {"group": group, "counting": counting, "contender": OURS}
            default = select(tables["comparisons"], **key, rules=DEFAULT)
            for row in records(pd.concat([default, strongest_tuned(tables, **key)])):
                interval = f"{change(row['interval_high'])} to {change(row['interval_low'])}"
                rows.append(
                    {
                        "data": group,
                        "per": counting,
                        "against": row["rules"],
                        "recall": f"{row['recall']:.3f}",
                        "their FP": f"{row['rules_false_positives']:,.0f}",
                        "our FP": f"{row['false_positives']:,.0f}",
                        "change": change(row["reduction"]),
                        "95 % interval": UNKNOWN if pd.isna(row["interval_low"]) else interval,
                    }
                )
    return markdown(pd.DataFrame(rows))


def accuracy_table(tables: Tables, counting: str, cell: Callable[[dict[str, Any]], str]) -> str:
    """One row a contender, one column a group; `cell` formats the columns of `accuracy`."""
    rows = select(tables["accuracy"], counting=counting)
    cells = [cell(row) for row in records(rows)]
    wide = rows.assign(cell=cells).pivot(index="contender", columns="group", values="cell")
    wide = wide.loc[rows["contender"].unique(), shown_groups(tables)]
    return markdown(wide.rename_axis(columns=None).reset_index())


def verdicts_table(tables: Tables) -> str:
    """False positives per request at the recall of the default rules, by number of verdicts."""
    names = [OURS, *map(with_verdicts, VERDICTS)]
    rows = select(tables["comparisons"], counting="request", rules=DEFAULT)
    rows = rows[rows["contender"].isin(names)]
    wide = rows.pivot(index="group", columns="contender", values="false_positives")
    wide = wide.loc[shown_groups(tables), [name for name in names if name in wide]]
    wide = wide.map("{:,.0f}".format).rename_axis(columns=None).reset_index()
    return markdown(wide)


def families_table(tables: Tables) -> str:
    """Attackers of each family that our model and the default rules find, by group."""
    keys = ["group", "family"]
    rules = select(tables["families"], contender=DEFAULT)[[*keys, "own"]]
    both = select(tables["families"], contender=OURS).merge(rules, on=keys, suffixes=("", "_rules"))
    both["cell"] = [
        " · ".join(percent(row[name] / row["entities"], 0) for name in FOUND)
        for row in records(both)
    ]
    wide = both.pivot(index="family", columns="group", values="cell").fillna(UNKNOWN)
    wide = wide.loc[both["family"].unique(), shown_groups(tables)]
    reasons = select(tables["first_reasons"], group=CLEAN)
    alerts = reasons.groupby("family")["alerts"].sum()
    named = reasons[reasons["names_attack"]].groupby("family")["alerts"].sum()
    share = (named.reindex(alerts.index, fill_value=0) / alerts).reindex(wide.index)
    wide["first reason names the attack"] = share.map(percent)
    return markdown(wide.rename_axis(columns=None).reset_index())


def thresholds_table(tables: Tables) -> str:
    """Observed over promised alerts, per group and budget, and the spread over data sets."""
    if "thresholds" not in tables:
        return ""
    rows = []
    for key, each in tables["thresholds"].groupby(["group", "budget"], sort=False):
        group, budget = str(key[0]), float(each["budget"].iloc[0])
        ratios = each["alerts"] / (budget * each["logs"])
        logs, alerts = each["logs"].sum(), each["alerts"].sum()
        rows.append(
            {
                "data": group,
                "budget": f"{budget:g}",
                "benign logs": f"{logs:,}",
                "promised alerts": f"{budget * logs:,.1f}",
                "observed": f"{alerts:,}",
                "observed / promised": f"{alerts / (budget * logs):.2f}",
                "lowest and highest": f"{ratios.min():.2f}, {ratios.max():.2f}",
            }
        )
    return markdown(pd.DataFrame(rows))


def alarms_table(tables: Tables) -> str:
    """The kinds of benign logs with most false alarms of ours in the first group."""
    group = tables["sizes"]["group"].iloc[0]
    alarms = select(tables["false_alarms"], group=group)
    wide = alarms.pivot(index="kind", columns="contender", values="own").fillna(0).astype(int)
    logs = alarms.groupby("kind")["logs"].first()
    shown = pd.DataFrame({"logs": logs, OURS: wide[OURS], DEFAULT: wide[DEFAULT]})
    shown = shown.nlargest(KINDS_SHOWN, [OURS, DEFAULT]).map("{:,}".format)
    return markdown(shown.rename_axis("benign logs").reset_index())


def lost_list(tables: Tables) -> str:
    """Rule sets that have fewer false positives than our model at their recall."""
    rows = select(tables["comparisons"], contender=OURS)
    lost = rows[rows["false_positives"] > rows["rules_false_positives"]]
    line = (
        "- {group}, per {counting}: {rules}: {rules_false_positives:,.0f} false positives,"
        " ours {false_positives:,.0f}, at recall {recall:.3f}."
    )
    return "\n".join(line.format(**row) for row in records(lost)) or "- none"


TABLES: dict[str, Callable[[Tables], str]] = {
    "sizes": sizes_table,
    "comparisons": comparison_table,
    "own_alerts": lambda tables: accuracy_table(
        tables,
        "request",
        lambda row: f"{row['recall']:.3f} · {row['false_positives_per_day']:,.1f}"
        f" · {row['recall_at_0.001']:.3f}",
    ),
    "per_entity": lambda tables: accuracy_table(
        tables, "entity", lambda row: f"{row['recall']:.3f} · {row['recall_at_0.01']:.3f}"
    ),
    "verdicts": verdicts_table,
    "families": families_table,
    "alarms": alarms_table,
    "lost": lost_list,
}
