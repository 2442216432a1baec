"""The picture of the README, from docs/quality.json: ``python -m benchmarks.quality.front_picture``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

DOCS = Path(__file__).resolve().parents[2] / "docs"
_RULES_COLOUR, _OUR_COLOUR = "#9aa5b1", "#d9602b"
_TUNED = (
    "rules tuned at 0.001",
    "rules tuned at 0.003",
    "rules tuned at 0.01",
    "rules tuned at 0.03",
)
_LEAST_RECALL = 0.1  # rules that find fewer of the attacks are nearly silent, so no comparison
_DATA = {
    "wordpress_blog_2016, trained on the first 40 %": "a real blog",
    "erddap_api, trained on the first 40 %": "a real data API",
    "simulated, clean training": "simulated API",
    "simulated, contaminated training": "simulated API,\nattacks in the history",
}


class Comparison(NamedTuple):
    """False positives of a rule set and of this service at the recall of that rule set."""

    title: str
    rules: float
    ours: float


def comparisons(report: dict[str, Any]) -> list[Comparison]:
    """Default rules and the tuned rules that do best against us, per request, for each data set."""
    found = []
    for name, title in _DATA.items():
        contenders = report["data"][name]["request"]
        rows = {row["rules"]: row for row in contenders["our model"]["at_recall_of"]}
        tuned = [rows[rules] for rules in _TUNED if rows[rules]["recall"] >= _LEAST_RECALL]
        hardest = min(tuned, key=lambda row: row["theirs"] / max(row["mine"], 1.0))
        for words, row in (("default rules", rows["default rules"]), ("tuned rules", hardest)):
            found.append(Comparison(f"{title}\n{words}", row["theirs"], row["mine"]))
    return found


def draw(found: list[Comparison], file: Path) -> None:
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
        axes.barh(0, 0, color=_OUR_COLOUR, label="this service, out of the box"),
    ]
    axes.legend(handles=handles, loc="lower right", frameon=False, fontsize=8)
    figure.savefig(file, dpi=130, metadata={"Software": None})


if __name__ == "__main__":
    draw(comparisons(json.loads((DOCS / "quality.json").read_text())), DOCS / "false-positives.png")
