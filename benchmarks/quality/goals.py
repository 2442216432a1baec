"""The goals for detection quality, and the floors below which a check fails.

A floor is generous: it shows that something broke, it does not rate anything. It must hold for the
small plan too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from benchmarks.quality.contenders import BUDGET, OURS, with_verdicts
from benchmarks.quality.figures import select, strongest_tuned
from benchmarks.quality.measure import BUDGETS, Tables
from benchmarks.quality.plan import CLEAN, CLEAN_WEEKS, CONTAMINATED, file_group

WORDPRESS, ERDDAP = Path("wordpress_blog_2016.ndjson.gz"), Path("erddap_api.ndjson.gz")
WORDPRESS_40, ERDDAP_40 = file_group(WORDPRESS, 0.4), file_group(ERDDAP, 0.4)
WORDPRESS_60 = file_group(WORDPRESS, 0.6)

Figure = Callable[[Tables], float | None]


class Goal(NamedTuple):
    """A goal: text, bounds that meet it, bounds of the check, and the figure.

    The figure is None where the results do not hold it (a file that was not given).
    """

    text: str
    wanted: tuple[float, float]
    floor: tuple[float, float]
    figure: Figure
    unit: str = "share"


class Outcome(NamedTuple):
    """A goal with its measured figure; None: not measured."""

    goal: Goal
    figure: float | None

    @property
    def met(self) -> bool | None:
        """Whether the goal is met; None: not measured."""
        return _within(self.figure, self.goal.wanted)

    @property
    def broken(self) -> bool:
        """Whether the check fails."""
        return _within(self.figure, self.goal.floor) is False


def _within(figure: float | None, bounds: tuple[float, float]) -> bool | None:
    return None if figure is None else bounds[0] <= figure <= bounds[1]


def outcomes(tables: Tables) -> list[Outcome]:
    """All goals with their figures, in the order of the report."""
    return [Outcome(goal, goal.figure(tables)) for goal in GOALS]


def _value(rows: pd.DataFrame, column: str) -> float | None:
    return float(rows[column].iloc[0]) if len(rows) and rows[column].notna().iloc[0] else None


def _reduction_against_tuned(group: str, counting: str, name: str = OURS) -> Figure:
    def figure(tables: Tables) -> float | None:
        if "comparisons" not in tables:
            return None
        return _value(strongest_tuned(tables, group, counting, name), "reduction")

    return figure


def _cell(table: str, column: str, **keys: str) -> Figure:
    """The value of a column in the row with these keys."""

    def figure(tables: Tables) -> float | None:
        return _value(select(tables[table], **keys), column) if table in tables else None

    return figure


def _reduction_against_default(group: str, name: str = OURS) -> Figure:
    keys = {"group": group, "counting": "request", "contender": name, "rules": "default rules"}
    return _cell("comparisons", "reduction", **keys)


def _entities_found(group: str, rate: float, name: str = OURS) -> Figure:
    keys = {"group": group, "counting": "entity", "contender": name}
    return _cell("accuracy", f"recall_at_{rate:g}", **keys)


def _attackers_found(group: str) -> Figure:
    def figure(tables: Tables) -> float | None:
        missed = _cell("missed", "attackers", group=group, contender=OURS)(tables)
        attackers = _cell("sizes", "attackers", group=group)(tables)
        return None if missed is None or attackers is None else 1.0 - missed / attackers

    return figure


def _worst_family(group: str) -> Figure:
    def figure(tables: Tables) -> float | None:
        if "families" not in tables:
            return None
        rows = select(tables["families"], group=group, contender=OURS)
        return float((rows["at_rate"] / rows["entities"]).min()) if len(rows) else None

    return figure


def _observed_over_promised(group: str, budget: float) -> Figure:
    def figure(tables: Tables) -> float | None:
        if "thresholds" not in tables:
            return None
        rows = select(tables["thresholds"], group=group, budget=budget)
        return float(rows["alerts"].sum() / (budget * rows["logs"].sum())) if len(rows) else None

    return figure


def share_explained(tables: Tables) -> float | None:
    """Share of our alerts on attacks, clean training, whose first reason names the attack."""
    if "first_reasons" not in tables:
        return None
    rows = select(tables["first_reasons"], group=CLEAN)
    alerts = rows["alerts"].sum()
    return float(rows["alerts"][rows["names_attack"]].sum() / alerts) if alerts else None


def _after(verdicts: int) -> tuple[str, str]:
    """What a goal's text says of verdicts, and the contender."""
    return (f", after {verdicts} verdicts", with_verdicts(verdicts)) if verdicts else ("", OURS)


def _against_tuned() -> list[Goal]:
    rows = (
        (0, CLEAN, "request", 0.90, 0.80),
        (0, CLEAN, "entity", 0.90, 0.60),
        (0, CONTAMINATED, "request", 0.90, 0.30),
        (0, CONTAMINATED, "entity", 0.90, 0.0),
        *(
            (20, group, c, 0.97, 0.0)
            for group in (CLEAN, CONTAMINATED)
            for c in ("request", "entity")
        ),
    )
    return [
        Goal(
            f"{group}{_after(verdicts)[0]}: fewer false positives than the strongest tuned rules,"
            f" per {counting}",
            (wanted, 1.0),
            (floor, 1.0),
            _reduction_against_tuned(group, counting, _after(verdicts)[1]),
        )
        for verdicts, group, counting, wanted, floor in rows
    ]


def _against_default() -> list[Goal]:
    rows = (
        (0, WORDPRESS_40, 0.88, 0.70),
        (0, ERDDAP_40, 0.99, 0.90),
        (20, WORDPRESS_40, 0.95, 0.70),
        (20, ERDDAP_40, 0.99, 0.90),
    )
    return [
        Goal(
            f"{group}{_after(verdicts)[0]}: fewer false positives than the default rules,"
            " per request",
            (wanted, 1.0),
            (floor, 1.0),
            _reduction_against_default(group, _after(verdicts)[1]),
        )
        for verdicts, group, wanted, floor in rows
    ]


def _attackers() -> list[Goal]:
    rows = (
        (0, 0.03, 0.90, 0.40),
        (0, 0.0024, 0.40, 0.20),
        (20, 0.03, 0.95, 0.40),
        (20, 0.0024, 0.60, 0.20),
    )
    at_rate = f"{100 * BUDGET:g} % of benign requests"
    return [
        Goal(
            f"{WORDPRESS_60}{_after(verdicts)[0]}: attackers found at {100 * rate:g} % of benign"
            " addresses",
            (wanted, 1.0),
            (floor, 1.0),
            _entities_found(WORDPRESS_60, rate, _after(verdicts)[1]),
        )
        for verdicts, rate, wanted, floor in rows
    ] + [
        Goal(f"{group}: {actors} found at {at_rate}", (0.90, 1.0), (floor, 1.0), figure(group))
        # The small plan has four actors a family, so the worst family has no floor.
        for actors, figure, floors in (
            ("actors of all families", _attackers_found, (0.70, 0.30)),
            ("actors of the worst family", _worst_family, (0.0, 0.0)),
        )
        for group, floor in zip((CLEAN, CONTAMINATED), floors, strict=True)
    ]


def _thresholds() -> list[Goal]:
    return [
        Goal(
            f"{group}: observed over promised alerts at a budget of {budget:g}",
            (0.5, 1.5),
            (0.0, 12.0),
            _observed_over_promised(group, budget),
            "ratio",
        )
        for group in (CLEAN_WEEKS, WORDPRESS_40, ERDDAP_40)
        for budget in BUDGETS
    ]


GOALS: tuple[Goal, ...] = (
    *_against_tuned(),
    *_against_default(),
    *_attackers(),
    *_thresholds(),
    Goal(
        f"{CLEAN}: alerts on attack logs whose first reason names what the attack changed",
        (0.95, 1.0),
        (0.40, 1.0),
        share_explained,
    ),
)
