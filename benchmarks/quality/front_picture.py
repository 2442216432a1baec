"""The picture of the README: false positives of rules and of our model at the same recall."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from benchmarks.quality.contenders import OURS
from benchmarks.quality.figures import records, select, strongest_tuned
from benchmarks.quality.measure import Tables
from benchmarks.quality.plan import CLEAN, CONTAMINATED

_RULES_COLOUR, _OUR_COLOUR = "#9aa5b1", "#d9602b"
_TITLES = {
    "wordpress_blog_2016, trained on the first 40 %": "a real blog",
    "erddap_api, trained on the first 40 %": "a real data API",
    CLEAN: "simulated API",
    CONTAMINATED: "simulated API,\nattacks in the history",
}


class Comparison(NamedTuple):
    """False positives of a rule set and of this service at the recall of that rule set."""

    title: str
    rules: float
    ours: float


def comparisons(tables: Tables) -> list[Comparison]:
    """Default rules and the strongest tuned rules, per request, for each measured group."""
    found = []
    for group, title in _TITLES.items():
        key = {"group": group, "counting": "request", "contender": OURS}
        default = select(tables["comparisons"], **key, rules="default rules")
        for row in records(pd.concat([default, strongest_tuned(tables, **key)])):
            name = "default rules" if row["rules"] == "default rules" else "tuned rules"
            found.append(
                Comparison(f"{title}\n{name}", row["rules_false_positives"], row["false_positives"])
            )
    return found


def draw_comparisons(found: list[Comparison], file: Path) -> None:
    """Horizontal bars on a logarithmic axis, one pair for each comparison."""
    # Slow to import, and only drawing needs it.
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 5.2), layout="constrained")
    axes = figure.subplots()
    height = 0.38
    for row, one in enumerate(reversed(found)):
        lost = one.ours > one.rules
        for offset, value, colour in (
            (height / 2, one.rules, _RULES_COLOUR),
            (-height / 2, one.ours, _OUR_COLOUR),
        ):
            axes.barh(row + offset, max(value, 0.5), height, color=colour)
            axes.text(
                max(value, 0.5) * 1.08, row + offset, f"{value:,.0f}", va="center", fontsize=8
            )
        change = 100.0 * (one.ours / one.rules - 1.0)
        axes.text(
            1.01,
            row,
            f"{change:+.1f} %",
            va="center",
            fontsize=9,
            color="#b00020" if lost else "#1b5e20",
            weight="bold",
            transform=axes.get_yaxis_transform(),
        )
    axes.set_yticks(range(len(found)), [one.title for one in reversed(found)], fontsize=8)
    axes.set_xscale("log")
    axes.set_xlim(1, 4 * max(one.rules for one in found))
    axes.set_xlabel("false positives at the same recall (logarithmic)")
    axes.spines[["top", "right"]].set_visible(False)
    handles = [
        axes.barh(0, 0, color=_RULES_COLOUR, label="static rules"),
        axes.barh(0, 0, color=_OUR_COLOUR, label="this service, default settings"),
    ]
    axes.legend(handles=handles, loc="lower right", frameon=False, fontsize=8)
    figure.savefig(file, dpi=130, metadata={"Software": None})
