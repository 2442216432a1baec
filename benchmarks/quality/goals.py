"""What was promised, met or not; and the floors under which CI calls a halt.

A floor is generous: it is there to notice that something broke, not to rate anything. It has to
hold for the small plan too.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.quality.contenders import BUDGET, OURS, after
from benchmarks.quality.measured import RATES
from benchmarks.quality.plan import CLEAN, CLEAN_WEEKS, CONTAMINATED, Results, named
from benchmarks.quality.promises import BUDGETS, together

WORDPRESS, ERDDAP = Path("wordpress_blog_2016.ndjson.gz"), Path("erddap_api.ndjson.gz")
REAL = (named(WORDPRESS, 0.4), named(ERDDAP, 0.4))

Figure = Callable[[Results], float | None]


class Goal(NamedTuple):
    """A promise: its words, least and most that keep it, the same for CI, and the figure.

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
        """Whether the promise is kept; None: not measured."""
        return _within(self.figure, self.goal.wanted)

    @property
    def broken(self) -> bool:
        """Whether CI has to call a halt."""
        return _within(self.figure, self.goal.floor) is False


def _within(figure: float | None, bounds: tuple[float, float]) -> bool | None:
    return None if figure is None else bounds[0] <= figure <= bounds[1]


def outcomes(results: Results) -> list[Outcome]:
    """All goals, in the order of the report."""
    return [Outcome(goal, goal.figure(results)) for goal in GOALS]


def _fewer_than_tuned(group: str, counting: str, name: str = OURS) -> Figure:
    def figure(results: Results) -> float | None:
        pooled = results.groups.get(group)
        rival = pooled.strongest(counting, name) if pooled else None
        return rival.reduction if rival else None

    return figure


def _fewer_than_default(group: str, name: str = OURS) -> Figure:
    def figure(results: Results) -> float | None:
        pooled = results.groups.get(group)
        return pooled.versus("request", name, "default rules").reduction if pooled else None

    return figure


def _entities_found(group: str, rate: float, name: str = OURS) -> Figure:
    def figure(results: Results) -> float | None:
        pooled = results.groups.get(group)
        return pooled.summary("entity", name).recall_at[RATES.index(rate)] if pooled else None

    return figure


def _attackers_found(group: str) -> Figure:
    def figure(results: Results) -> float | None:
        pooled = results.groups.get(group)
        return 1.0 - pooled.missed(OURS).entities / pooled.sizes.attackers if pooled else None

    return figure


def _worst_family(group: str) -> Figure:
    def figure(results: Results) -> float | None:
        pooled = results.groups.get(group)
        if pooled is None:
            return None
        return min(found.at_rate / found.entities for found in pooled.families(OURS).values())

    return figure


def _word(group: str, budget: float) -> Figure:
    def figure(results: Results) -> float | None:
        promises = [each for each in results.promises.get(group, []) if each.budget == budget]
        return together(promises).ratio if promises else None

    return figure


def explained_share(results: Results, group: str = CLEAN) -> float | None:
    """Share of our alerts on attack logs of a group whose first reason names what changed."""
    pooled = results.groups.get(group)
    found = list(pooled.explained().values()) if pooled else []
    alerts = sum(each.found for each in found)
    return sum(each.explained for each in found) / alerts if alerts else None


def _against_rules() -> list[Goal]:
    """Fewer false positives than rules at equal recall."""
    tuned = (
        (CLEAN, "request", 0.80),
        (CLEAN, "entity", 0.60),
        (CONTAMINATED, "request", 0.30),
        (CONTAMINATED, "entity", 0.0),
    )
    default = ((named(WORDPRESS, 0.4), 0.88, 0.70), (named(ERDDAP, 0.4), 0.99, 0.90))
    return [
        Goal(
            f"{group}: fewer false positives than the strongest tuned rules, per {counting}",
            (0.90, 1.0),
            (floor, 1.0),
            _fewer_than_tuned(group, counting),
        )
        for group, counting, floor in tuned
    ] + [
        Goal(
            f"{group}: fewer false positives than the default rules, per request",
            (wanted, 1.0),
            (floor, 1.0),
            _fewer_than_default(group),
        )
        for group, wanted, floor in default
    ]


def _entities() -> list[Goal]:
    """Attackers found, each counted once."""
    last = named(WORDPRESS, 0.6)
    rate = f"{100 * BUDGET:g} % of benign requests"
    return [
        Goal(
            f"{last}: attackers found at {100 * share:g} % of benign addresses",
            (wanted, 1.0),
            (floor, 1.0),
            _entities_found(last, share),
        )
        for share, wanted, floor in ((0.03, 0.90, 0.40), (0.0024, 0.40, 0.20))
    ] + [
        Goal(
            f"{group}: {actors} found at {rate}",
            (0.90, 1.0),
            (floor, 1.0),
            found(group),
        )
        # Of a family the small plan has four actors, so there is no floor under the worst of them.
        for actors, found, floors in (
            ("actors of all families", _attackers_found, (0.70, 0.30)),
            ("actors of the worst family", _worst_family, (0.0, 0.0)),
        )
        for group, floor in zip((CLEAN, CONTAMINATED), floors, strict=True)
    ]


def _after_verdicts() -> list[Goal]:
    """The same after twenty verdicts. A floor is the one of our model without them."""
    name, last = after(20), named(WORDPRESS, 0.6)
    tuned = [
        Goal(
            f"{group}, after 20 verdicts: fewer false positives than the strongest tuned rules,"
            f" per {counting}",
            (0.97, 1.0),
            (0.0, 1.0),
            _fewer_than_tuned(group, counting, name),
        )
        for group in (CLEAN, CONTAMINATED)
        for counting in ("request", "entity")
    ]
    default = [
        Goal(
            f"{group}, after 20 verdicts: fewer false positives than the default rules,"
            " per request",
            (wanted, 1.0),
            (floor, 1.0),
            _fewer_than_default(group, name),
        )
        for group, wanted, floor in ((REAL[0], 0.95, 0.70), (REAL[1], 0.99, 0.90))
    ]
    found = [
        Goal(
            f"{last}, after 20 verdicts: attackers found at {100 * share:g} % of benign addresses",
            (wanted, 1.0),
            (floor, 1.0),
            _entities_found(last, share, name),
        )
        for share, wanted, floor in ((0.03, 0.95, 0.40), (0.0024, 0.60, 0.20))
    ]
    return [*tuned, *default, *found]


def _words_kept() -> list[Goal]:
    """Alerts as promised."""
    return [
        Goal(
            f"{group}: observed over promised alerts at a budget of {budget:g}",
            (0.5, 1.5),
            (0.0, 12.0),
            _word(group, budget),
            "ratio",
        )
        for group in (CLEAN_WEEKS, *REAL)
        for budget in BUDGETS
    ]


GOALS: tuple[Goal, ...] = (
    *_against_rules(),
    *_entities(),
    *_after_verdicts(),
    *_words_kept(),
    Goal(
        f"{CLEAN}: alerts on attack logs whose first reason names what the attack changed",
        (0.95, 1.0),
        (0.40, 1.0),
        explained_share,
    ),
)
