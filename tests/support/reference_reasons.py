"""Slow reference implementations of explanations: tree paths, rareness, choice of reasons."""

from __future__ import annotations

import math

import numpy as np

from api_anomaly.features.table import FEATURES, NAMES
from api_anomaly.explain.actor_baseline import actor_baseline, rate_window
from api_anomaly.model.trees import FlatTrees

SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99)


def goes_through(trees: FlatTrees, root: int, row: np.ndarray) -> list[int]:
    """The nodes on the row's way, root and leaf included."""
    way = [root]
    while left_child(trees, way[-1]) != way[-1]:
        node = trees.nodes[way[-1]]
        goes_right = int(row[feature(trees, way[-1])] > node["threshold"])
        way.append(left_child(trees, way[-1]) + goes_right)
    return way


def left_child(trees: FlatTrees, node: int) -> int:
    return int(trees.nodes[node]["link"]) >> 8


def feature(trees: FlatTrees, node: int) -> int:
    return int(trees.nodes[node]["link"]) & 255


def expected(trees: FlatTrees, rows: np.ndarray) -> dict[int, float]:
    """Mean leaf value of the rows at each node; without rows the mean of the children's."""
    given: dict[int, list[float]] = {}
    for root in trees.roots:
        for row in rows:
            way = goes_through(trees, int(root), row)
            for column in way:
                given.setdefault(column, []).append(float(trees.value[way[-1]]))

    def mean(column: int) -> float:
        child = left_child(trees, column)
        if child == column:
            return float(trees.value[column])
        if column in given:
            return float(np.mean(given[column]))
        return (mean(child) + mean(child + 1)) / 2.0

    return {column: mean(column) for column in range(len(trees.nodes))}


def moved(trees: FlatTrees, means: dict[int, float], row: np.ndarray) -> np.ndarray:
    """What each feature of the row moves."""
    added = np.zeros(len(row))
    for root in trees.roots:
        way = goes_through(trees, int(root), row)
        for column, child in zip(way, way[1:], strict=False):
            added[feature(trees, column)] += means[child] - means[column]
    return added


def rareness(level: np.ndarray, value: float, both: bool, step: float) -> float:
    """-ln(tail) by interpolation between the levels, extrapolated beyond the outermost."""
    middle = float(level[3])
    if value == middle or (value < middle and not both):
        return 0.0
    if value > middle:
        knots, logs = [float(x) for x in level[3:]], [-math.log(1.0 - s) for s in SHARES[3:]]
    else:  # the same, seen in a mirror
        knots, logs = [-float(x) for x in level[3::-1]], [-math.log(s) for s in SHARES[3::-1]]
        value = -value
    if value >= knots[-1]:
        steep = (logs[-1] - logs[0]) / max(knots[-1] - knots[0], step)
        return logs[-1] + (value - knots[-1]) * steep
    for i in range(1, len(knots)):
        if value <= knots[i]:
            part = (value - knots[i - 1]) / (knots[i] - knots[i - 1])
            return logs[i - 1] + part * (logs[i] - logs[i - 1])
    raise AssertionError("the last knot is above")


def weight(row: np.ndarray, column: int, added: float, levels: np.ndarray) -> float:
    """How much a feature is a reason."""
    about = FEATURES[column]
    age_name = "address_age" if about.name.startswith("address_") else "user_age"
    age = math.expm1(row[NAMES.index(age_name)])
    group = 0 if age < 1.0 else 1 if age < 24.0 else 2
    value = float(row[column])
    if about.name.endswith(("_new_addresses_1d", "_new_users_1d", "_new_user_agents_1d")):
        value = math.log1p(max(0.0, math.expm1(value) - 0.5 ** (age / 24.0)))
    steps = {"share": 0.2, "bits": 2.0, "log s": 0.5}
    step = math.log(2.0) if about.scale == "log1p" else steps.get(about.unit, 1.0)
    rare = rareness(levels[group, :, column], value, about.unit in ("sd", "log s"), step)
    if about.unit == "sd" and abs(value) < 2.0:
        return 0.0
    rare = min(rare, 20.0)
    if rate_window(column) > 0.0:
        own = actor_baseline(row, column)
        if own > 0.0:
            least = 0.1 if about.name.endswith("_1d") else 0.0
            rare *= min(1.0, max(least, (value - math.log1p(own)) / math.log(4.0)))
    if (
        about.name.endswith(("_age", "_gap", "_interval_spread"))
        or about.family == "endpoint_traffic"
    ):
        return rare * added * 1e-3
    return rare * added * (0.7 if about.family == "counterparts" else 1.0)


def chosen(row: np.ndarray, added: np.ndarray, levels: np.ndarray) -> list[int]:
    """The columns of the reasons, the weightiest first."""
    every = range(len(row))
    weights = {j: weight(row, j, float(added[j]), levels) for j in every if added[j] > 0.0}
    if not any(weights.values()):
        weights = {j: weight(row, j, 1.0, levels) for j in every}
    families: dict[str, float] = {row.family: 0.0 for row in FEATURES}
    for j in sorted(weights):
        families[FEATURES[j].family] += weights[j]
    ranked = sorted(families, key=lambda family: -families[family])[:3]
    told = [f for i, f in enumerate(ranked) if i == 0 or families[f] > 0.03 * families[ranked[0]]]
    return [
        max((j for j in every if FEATURES[j].family == family), key=lambda j: weights.get(j, 0.0))
        for family in told
    ]
