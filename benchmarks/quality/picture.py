"""The picture: precision against recall, and false alarms per day against recall."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.contenders import OURS
from benchmarks.quality.figures import select
from benchmarks.quality.measure import Tables

# Distinguishable with colour blindness too (Okabe and Ito, 2008).
COLOURS = ("#000000", "#999999", "#56B4E9", "#0072B2", "#009E73", "#F0E442", "#CC79A7", "#E69F00")
OUR_COLOUR = "#D55E00"
WIDTH, HEIGHT, RESOLUTION = 4.4, 3.3, 110  # inches, inches, dots per inch
MAX_COLUMNS = 3  # groups side by side
MIN_FALSE_PER_DAY = 0.05


def draw(tables: Tables, path: Path) -> None:
    """Write the picture as a PNG: two axes for each group. Raises OSError."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    groups = tables["sizes"]["group"].tolist()
    columns, bands = min(MAX_COLUMNS, len(groups)), -(-len(groups) // MAX_COLUMNS)
    figure = Figure(figsize=(WIDTH * columns, 2 * HEIGHT * bands + 0.8), layout="constrained")
    axes = figure.subplots(2 * bands, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_visible(False)
    for number, group in enumerate(groups):
        band, column = divmod(number, columns)
        _draw_group(axes[2 * band, column], axes[2 * band + 1, column], tables, group)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    figure.savefig(path, dpi=RESOLUTION, metadata={"Software": None})


def _draw_group(precision: Any, alarms: Any, tables: Tables, group: str) -> None:
    """Both axes of one group, per request: rule sets as points, the others as curves."""
    sizes = select(tables["sizes"], group=group).iloc[0]
    attacks, days = float(sizes["attacks"]), float(sizes["days"])
    key = {"group": group, "counting": "request"}
    curves = select(tables["curves"], **key).set_index("contender").drop(columns=list(key))
    recalls = curves.columns.to_numpy(np.float64)
    colours = iter(COLOURS)
    for row in select(tables["accuracy"], **key).to_dict("records"):
        name, recall = row["contender"], row["recall"]
        ours = name.startswith(OURS)
        colour = OUR_COLOUR if ours else next(colours, COLOURS[0])
        if row["is_rules"]:
            found, per_day = recall * attacks, row["false_positives_per_day"]
            share = found / max(1.0, found + row["false_positives"])
            precision.plot(recall, share, "o", color=colour, label=name)
            alarms.plot(recall, max(MIN_FALSE_PER_DAY, per_day), "o", color=colour)
            continue
        false = curves.loc[name].to_numpy(np.float64)
        found_at = recalls * attacks
        share_at = np.where(found_at > 0, found_at / np.maximum(found_at + false, 1e-9), np.nan)
        style: Any = {"color": colour, "lw": 2.2 if name == OURS else 1.3}
        style["ls"] = ":" if ours and name != OURS else "-"
        precision.plot(recalls, share_at, label=name, **style)
        alarms.plot(recalls, np.maximum(MIN_FALSE_PER_DAY, false / days), **style)
    precision.set(title=group.replace(", ", ",\n"), ylabel="precision", ylim=(0, 1.02))
    alarms.set(xlabel="recall (attack requests)", ylabel="false alarms per day", yscale="log")
    for axis in (precision, alarms):
        axis.set_visible(True)
        axis.set_xlim(0, 1)
        axis.grid(alpha=0.25)
