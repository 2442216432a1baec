"""Several data sets of a group pooled: counts are added, rates averaged; and quality.json.

The pooled figures are the tables of `measure` with a column `group` for `dataset`, except that
shares, rates a day and intervals take the place of raw counts (see `pool`). Everything that is
published (goals, page, picture) is computed from them, so quality.json is enough to write it again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from benchmarks.quality.bootstrap import interval
from benchmarks.quality.contenders import TUNED
from benchmarks.quality.datasets import Floats
from benchmarks.quality.measure import Tables

MIN_RECALL = 0.1  # of a rule set that is worth a comparison


class Figures(NamedTuple):
    """When, where and how the figures were measured, and the pooled tables."""

    made: Mapping[str, Any]
    tables: Tables


def concatenate(parts: Iterable[Tables]) -> Tables:
    """The rows of all parts, by table; a table that no part has is missing."""
    found: dict[str, list[pd.DataFrame]] = {}
    for part in parts:
        for name, table in part.items():
            found.setdefault(name, []).append(table)
    return {name: pd.concat(each, ignore_index=True) for name, each in found.items()}


def pool(measured: Tables) -> Tables:
    """Pool the data sets of each group. The tables have the column `group` besides `dataset`.

    accuracy     recall, false_positives, false_positives_per_day, then means of the rates
    comparisons  recall of the rules; false positives; reduction = 1 - contender / rules with its
                 95 % interval, and the reductions of the worst and the best data set
    thresholds   as they are, one row per data set and budget
    """
    pooled = {"thresholds": measured["thresholds"]} if "thresholds" in measured else {}
    if "accuracy" not in measured:
        return pooled
    keys = {
        "sizes": [],
        "curves": ["counting", "contender"],
        "families": ["contender", "family"],
        "missed": ["contender"],
        "false_alarms": ["contender", "kind"],
        "first_reasons": ["family", "first_reason", "names_attack"],
    }
    for name, key in keys.items():
        table = measured[name].drop(columns="dataset")
        pooled[name] = table.groupby(["group", *key], sort=False).sum().reset_index()
    sizes = measured["sizes"]
    pooled["sizes"].insert(1, "datasets", sizes.groupby("group", sort=False).size().to_numpy())
    totals = _totals(pooled["sizes"])
    pooled["accuracy"] = _accuracy(measured["accuracy"], totals)
    pooled["comparisons"] = _comparisons(measured["comparisons"], measured["samples"], totals)
    return pooled


def _totals(sizes: pd.DataFrame) -> pd.DataFrame:
    """By group and counting: attacks and days."""
    counted = {"request": "attacks", "entity": "attackers"}
    parts = [
        sizes[["group", "days"]].assign(counting=counting, attacks=sizes[column])
        for counting, column in counted.items()
    ]
    return pd.concat(parts)


def _accuracy(accuracy: pd.DataFrame, totals: pd.DataFrame) -> pd.DataFrame:
    rates = [name for name in accuracy.columns.astype(str) if name.startswith("recall_at_")] + [
        "average_precision"
    ]
    grouped = accuracy.groupby(["group", "counting", "contender", "is_rules"], sort=False)
    pooled = grouped[["found", "false_positives"]].sum().join(grouped[rates].mean()).reset_index()
    pooled = pooled.merge(totals, on=["group", "counting"])
    pooled["recall"] = pooled["found"] / pooled["attacks"]
    pooled["false_positives_per_day"] = pooled["false_positives"] / pooled["days"]
    keys = ["group", "counting", "contender", "is_rules"]
    return pooled[[*keys, "recall", "false_positives", "false_positives_per_day", *rates]]


def _comparisons(
    comparisons: pd.DataFrame, samples: pd.DataFrame, totals: pd.DataFrame
) -> pd.DataFrame:
    keys = ["group", "counting", "contender", "rules"]
    counts = ["found_by_rules", "rules_false_positives", "false_positives"]
    pooled = comparisons.groupby(keys, sort=False)[counts].sum().reset_index()
    pooled = pooled.merge(totals, on=["group", "counting"])
    pooled["recall"] = pooled["found_by_rules"] / pooled["attacks"]
    pooled["reduction"] = _reduction(pooled)
    by_dataset = comparisons[keys].assign(reduction=_reduction(comparisons))
    spread = by_dataset.groupby(keys, sort=False)["reduction"].agg(["min", "max"])
    pooled[["worst_dataset", "best_dataset"]] = spread.to_numpy()
    sampled = samples.drop(columns="dataset").groupby([*keys, "of"], sort=False).sum()
    rules, contender = (sampled.xs(name, level="of").to_numpy() for name in counts[1:])
    with np.errstate(divide="ignore", invalid="ignore"):
        reductions = np.where(rules > 0, 1.0 - contender / rules, np.nan)
    pooled[["interval_low", "interval_high"]] = [
        interval(row) or (np.nan, np.nan) for row in reductions
    ]
    columns = [*keys, "recall", *counts[1:], "reduction", "interval_low", "interval_high"]
    return pooled[[*columns, "worst_dataset", "best_dataset"]]


def _reduction(table: pd.DataFrame) -> Floats:
    """1 - contender / rules, NaN where the rules have no false positive."""
    rules, contender = table["rules_false_positives"], table["false_positives"]
    return np.asarray((1.0 - contender / rules.where(rules > 0)).to_numpy(), np.float64)


def select(table: pd.DataFrame, **values: object) -> pd.DataFrame:
    """The rows whose columns have these values."""
    chosen = np.ones(len(table), np.bool_)
    for column, value in values.items():
        chosen &= (table[column] == value).to_numpy()
    return table[chosen]


def records(table: pd.DataFrame) -> list[dict[str, Any]]:
    """The rows of a table as dicts."""
    return [{str(name): value for name, value in row.items()} for row in table.to_dict("records")]


def strongest_tuned(tables: Tables, group: str, counting: str, contender: str) -> pd.DataFrame:
    """The comparison with the tuned rule set that the contender beats by least, of those that find
    at least MIN_RECALL of the attacks: one row, or none if there is no such rule set.
    """
    rows = select(tables["comparisons"], group=group, counting=counting, contender=contender)
    rows = rows[rows["rules"].str.startswith(TUNED) & (rows["recall"] >= MIN_RECALL)]
    return rows[rows["reduction"].notna()].sort_values("reduction").head(1)


def write_figures(figures: Figures, path: Path) -> None:
    """Write quality.json: one row of a table a line, six significant digits. Raises OSError."""
    tables = ",\n".join(
        f'"{name}": {{"columns": {json.dumps(list(table))}, "rows": [\n'
        + ",\n".join(json.dumps(row, allow_nan=False) for row in _plain_rows(table))
        + "\n]}"
        for name, table in figures.tables.items()
    )
    made = json.dumps(dict(figures.made))
    path.write_text(f'{{"made": {made},\n"tables": {{\n{tables}\n}}}}\n', encoding="utf-8")


def _plain_rows(table: pd.DataFrame) -> Sequence[Sequence[Any]]:
    rows: list[list[Any]] = table.astype(object).to_numpy().tolist()
    return [[_plain(value) for value in row] for row in rows]


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value


def read_figures(path: Path) -> Figures:
    """The figures that `write_figures` wrote. Raises OSError."""
    content = json.loads(path.read_text(encoding="utf-8"))
    tables = {
        name: pd.DataFrame(table["rows"], columns=table["columns"])
        for name, table in content["tables"].items()
    }
    return Figures(content["made"], tables)
