"""The picture: precision against recall, and false alarms per day against recall."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.quality.contenders import OURS
from benchmarks.quality.measured import RECALLS
from benchmarks.quality.plan import Results
from benchmarks.quality.pooled import Pooled

# Told apart by colour-blind readers too (Okabe and Ito, 2008).
COLOURS = ("#000000", "#999999", "#56B4E9", "#0072B2", "#009E73", "#F0E442", "#CC79A7", "#E69F00")
OUR_COLOUR = "#D55E00"
WIDTH, HEIGHT, RESOLUTION = 4.4, 3.3, 110  # inches, inches, dots per inch
ABREAST = 3  # kinds of data side by side
LEAST_FALSE_A_DAY = 0.05


def draw(results: Results, path: Path) -> None:
    """Write the picture as a PNG: two axes for each kind of data. Raises OSError."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    groups = list(results.groups.values())
    columns, bands = min(ABREAST, len(groups)), -(-len(groups) // ABREAST)
    figure = Figure(figsize=(WIDTH * columns, 2 * HEIGHT * bands + 0.8), layout="constrained")
    axes = figure.subplots(2 * bands, columns, squeeze=False)
    for axis in axes.flat:
        axis.set_visible(False)
    for place, pooled in enumerate(groups):
        band, column = divmod(place, columns)
        _draw_group(axes[2 * band, column], axes[2 * band + 1, column], pooled)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=3, fontsize=9, frameon=False)
    figure.savefig(path, dpi=RESOLUTION, metadata={"Software": None})


def _draw_group(precision: Any, alarms: Any, pooled: Pooled) -> None:
    """Both axes of one kind of data, per request."""
    attacks, days = pooled.total("request")[0], pooled.sizes.days
    colours = iter(COLOURS)
    for name in pooled.names:
        ours = name.startswith(OURS)
        colour = OUR_COLOUR if ours else next(colours, COLOURS[0])
        summary = pooled.summary("request", name)
        if name in pooled.rule_sets:
            found = summary.recall * attacks
            at = (summary.recall, found / max(1.0, found + summary.false))
            precision.plot(*at, "o", color=colour, label=name)
            alarms.plot(
                summary.recall, max(LEAST_FALSE_A_DAY, summary.false_a_day), "o", color=colour
            )
            continue
        false = pooled.curve("request", name)
        found_at = RECALLS * attacks
        with_alerts = found_at > 0
        exact = np.where(with_alerts, found_at / np.maximum(found_at + false, 1e-9), 1.0)
        style: Any = {"color": colour, "lw": 2.2 if name == OURS else 1.3}
        style["ls"] = ":" if ours and name != OURS else "-"
        precision.plot(RECALLS[with_alerts], exact[with_alerts], label=name, **style)
        alarms.plot(RECALLS, np.maximum(LEAST_FALSE_A_DAY, false / days), **style)
    precision.set(title=pooled.name.replace(", ", ",\n"), ylabel="precision", ylim=(0, 1.02))
    alarms.set(xlabel="recall (attack requests)", ylabel="false alarms per day", yscale="log")
    for axis in (precision, alarms):
        axis.set_visible(True)
        axis.set_xlim(0, 1)
        axis.grid(alpha=0.25)
