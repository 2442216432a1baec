"""The goals for speed, met or missed, and the guards of CI.

A guard is generous, because a shared machine is noisy, and still finds a loss by half. All guarded
figures are ratios of two measurements on the same machine in the same run.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Goal(NamedTuple):
    """A goal for one figure: at least (or at most) `wanted`, and the guard of CI. None: no goal, or
    no guard.
    """

    figure: str
    text: str
    at_least: bool
    wanted: float | None
    unit: str
    guard: float | None = None

    def is_met(self, value: float, limit: float) -> bool:
        """Whether `value` is on the right side of `limit`."""
        return value >= limit if self.at_least else value <= limit

    def format(self, value: float) -> str:
        """A figure in the goal's unit."""
        if self.unit == "%":
            return f"{100 * value:.1f} %"
        number = f"{value:,.0f}" if abs(value) >= 100 or self.unit == "requests" else f"{value:.2f}"
        return f"{number} {self.unit}"


#: The guards stand a third to a half away from what was measured when they were set.
GOALS = (
    Goal("echo_single", "one log in a request: requests/s against the echo", True, 0.85, "x", 0.35),
    Goal(
        "echo_batch", "1,000 logs in a request: requests/s against the echo", True, None, "x", 0.4
    ),
    Goal(
        "parse_wall",
        "1,000 logs in a request, one connection: time per log against Pydantic's parse alone",
        False,
        2.0,
        "x",
    ),
    # CPU and not time: where other work shares the machine, waiting counts for one side only.
    Goal("parse_cpu", "the same, CPU per log", False, None, "x", 2.6),
    Goal("constant_p99", "1,000 requests/s of one log: p99", False, 20, "ms"),
    Goal("constant_cpu", "1,000 requests/s of one log: CPU of the machine", False, 0.5, "%"),
    Goal("training_p99", "p99 while 200,000 logs are trained on against idle", False, 3.0, "x"),
    Goal("training_lost", "requests lost while it trains", False, 0, "requests"),
    Goal(
        "users_cost",
        "time per log with 1,000,000 remembered users against 1,000",
        False,
        1.3,
        "x",
        1.9,
    ),
    Goal("memory", "resident with 1,000,000 users and addresses", False, 512, "MiB"),
    Goal("million", "training on 1,000,000 logs against Pydantic's parse", False, 4.0, "x"),
    Goal("cold", "start to the first response, code compiled", False, 3.0, "s"),
    Goal("cold_read_only", "the same, with a read-only folder", False, 3.0, "s"),
    Goal("naive_single", "one log in a request against the naive service", True, 50, "x"),
    Goal("naive_batch", "1,000 logs against the naive service", True, 50, "x"),
)


def compare_with_goals(figures: Mapping[str, float]) -> list[tuple[str, str, str, str]]:
    """Each goal as (goal, wanted, measured, met): a figure that was not measured is not met."""
    rows = []
    for goal in GOALS:
        if goal.wanted is None:
            continue
        sign = "at least" if goal.at_least else "at most"
        value = figures.get(goal.figure)
        measured = "not measured" if value is None else goal.format(value)
        met = "–" if value is None else "met" if goal.is_met(value, goal.wanted) else "MISSED"
        rows.append((goal.text, f"{sign} {goal.format(goal.wanted)}", measured, met))
    return rows


def broken_guards(figures: Mapping[str, float]) -> list[str]:
    """A line for each measured figure beyond its guard."""
    return [
        f"TOO SLOW: {goal.text}: {goal.format(figures[goal.figure])},"
        f" {'at least' if goal.at_least else 'at most'} {goal.format(goal.guard)} is allowed"
        for goal in GOALS
        if goal.guard is not None
        and goal.figure in figures
        and not goal.is_met(figures[goal.figure], goal.guard)
    ]
