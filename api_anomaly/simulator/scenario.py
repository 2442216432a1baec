"""What to simulate: one frozen set of numbers, and presets for the questions that we ask."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

DAY = 86_400.0

FAMILIES: tuple[str, ...] = (
    "credential_stuffing",
    "distributed_stuffing",
    "enumeration_fast",
    "enumeration_slow",
    "token_theft",
    "bulk_exfiltration",
    "scraping",
    "privilege_probing",
    "path_scanning",
    "expensive_queries",
    "off_hours_insider",
    "key_sharing",
    "account_takeover",
)


@dataclass(frozen=True, slots=True)
class Scenario:
    """Everything that decides a simulation; equal scenarios give equal logs, byte for byte.

    seed           any whole number >= 0
    start          first moment, ISO 8601 (naive = UTC); a Monday or Tuesday in the presets
    days           length of the whole, at least 2
    training_days  the first days, 1..days-1; attacks belong to the rest, the test part
    users          people with an account at the start, at least 20; machine clients and visitors
                   grow with them
    families       attack families to plant
    attackers      actors of each family in the test part
    contamination  attackers of each family in the training part, as a share of ``attackers``
                   (0 = a clean training part); rounded to whole actors
    """

    seed: int = 0
    start: str = "2025-06-02T00:00:00+00:00"
    days: int = 14
    training_days: int = 8
    users: int = 280
    families: tuple[str, ...] = field(default=FAMILIES)
    attackers: int = 3
    contamination: float = 0.0

    def __post_init__(self) -> None:
        limits = {
            "seed must be 0 or more": self.seed >= 0,
            "days must be at least 2": self.days >= 2,
            "training_days must be in 1..days-1": 1 <= self.training_days < self.days,
            "users must be at least 20": self.users >= 20,
            "attackers must be 0 or more": self.attackers >= 0,
            "contamination must be 0 or more": self.contamination >= 0,
            f"families must be among {', '.join(FAMILIES)}": set(self.families) <= set(FAMILIES),
        }
        for limit, kept in limits.items():
            if not kept:
                raise ValueError(limit)
        datetime.fromisoformat(self.start)

    @property
    def first(self) -> float:
        """Unix seconds of the first moment."""
        moment = datetime.fromisoformat(self.start)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()

    @property
    def split(self) -> float:
        """Unix seconds at which the training part ends and the test part begins."""
        return self.first + self.training_days * DAY

    @property
    def end(self) -> float:
        """Unix seconds just after the last moment."""
        return self.first + self.days * DAY

    @property
    def training_attackers(self) -> int:
        """Attackers of each family in the training part."""
        return round(self.contamination * self.attackers)


# name -> what it is for, and the scenario.
PRESETS: dict[str, tuple[str, Scenario]] = {
    "day": (
        "the demo: three days of history, then one day with six attacks",
        Scenario(
            start="2025-06-03T00:00:00+00:00",
            days=4,
            training_days=3,
            users=80,
            attackers=1,
            families=(
                "distributed_stuffing",
                "enumeration_fast",
                "token_theft",
                "scraping",
                "path_scanning",
                "account_takeover",
            ),
        ),
    ),
    "week": (
        "detection quality, small: 4 + 3 days, every family by two actors",
        Scenario(days=7, training_days=4, users=200, attackers=2),
    ),
    "fortnight": ("detection quality: 8 + 6 days, every family by three actors", Scenario()),
    "clean_week": (
        "false alarms: 4 + 3 days without any attack",
        Scenario(days=7, training_days=4, users=200, attackers=0),
    ),
}


def preset(name: str, **changes: Any) -> Scenario:
    """A preset with some fields changed, such as ``preset("week", seed=3)``.

    A change of days alone keeps the preset's share of training days. Raises KeyError for an
    unknown name, TypeError for an unknown field, ValueError for a value out of range.
    """
    base = PRESETS[name][1]
    if "days" in changes and "training_days" not in changes:
        share = base.training_days / base.days
        last = max(1, changes["days"] - 1)
        changes["training_days"] = min(last, max(1, round(share * changes["days"])))
    return replace(base, **changes)
