"""What was promised of speed, met or missed; and the guards under which CI calls a halt.

A guard is generous, because a shared machine is loud, but a slip by half is not let through. All
guarded figures are ratios of two things measured on the same machine in the same run.
"""

from collections.abc import Mapping
from typing import NamedTuple


class Goal(NamedTuple):
    """A promise about one measured figure: at least (or at most) `wanted`, and the same for CI.
    None: nothing was promised, or CI lets everything pass."""

    figure: str
    text: str
    at_least: bool
    wanted: float | None
    unit: str
    guard: float | None = None

    def keeps(self, value: float, limit: float) -> bool:
        """Whether `value` is on the right side of `limit`."""
        return value >= limit if self.at_least else value <= limit

    def shown(self, value: float) -> str:
        """A figure in the goal's unit."""
        if self.unit == "%":
            return f"{100 * value:.1f} %"
        number = f"{value:,.0f}" if abs(value) >= 100 or self.unit == "requests" else f"{value:.2f}"
        return f"{number} {self.unit}"


#: The guards stand a third to a half away from what was measured when they were set.
GOALS = (
    Goal("echo_single", "one log in a request: requests/s against the echo", True, 0.85, "x", 0.5),
    Goal(
        "echo_batch", "1,000 logs in a request: requests/s against the echo", True, None, "x", 0.7
    ),
    Goal(
        "parse_wall",
        "1,000 logs in a request, one connection: time per log against Pydantic's parse alone",
        False,
        2.0,
        "x",
    ),
    # Not the time: where other work takes turns with the service, a wait counts for one side only.
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
    Goal("cold", "start to the first answer, code compiled", False, 3.0, "s"),
    Goal("cold_read_only", "the same, where nothing can be written", False, 3.0, "s"),
    Goal("obvious_single", "one log in a request against the obvious service", True, 50, "x"),
    Goal("obvious_batch", "1,000 logs against the obvious service", True, 50, "x"),
)


def judged(figures: Mapping[str, float]) -> list[tuple[str, str, str, str]]:
    """Each goal as (goal, wanted, measured, met): what was not measured is not met."""
    rows = []
    for goal in GOALS:
        if goal.wanted is None:
            continue
        sign = "at least" if goal.at_least else "at most"
        value = figures.get(goal.figure)
        measured = "not measured" if value is None else goal.shown(value)
        met = "–" if value is None else "met" if goal.keeps(value, goal.wanted) else "MISSED"
        rows.append((goal.text, f"{sign} {goal.shown(goal.wanted)}", measured, met))
    return rows


def below_guards(figures: Mapping[str, float]) -> list[str]:
    """A line for each measured figure that CI must not let pass."""
    return [
        f"TOO SLOW: {goal.text}: {goal.shown(figures[goal.figure])},"
        f" {'at least' if goal.at_least else 'at most'} {goal.shown(goal.guard)} is let through"
        for goal in GOALS
        if goal.guard is not None
        and goal.figure in figures
        and not goal.keeps(figures[goal.figure], goal.guard)
    ]
