"""The report: the hand-written part is in ``report.md.template``, the figures come in here."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from string import Template
from typing import Any

import api_anomaly
from api_anomaly.features.table import SCHEMA
from benchmarks.quality.contenders import BUDGET, OURS
from benchmarks.quality.finds import BRIEF
from benchmarks.quality.goals import outcomes
from benchmarks.quality.measured import COUNTINGS, RATES, RECALLS
from benchmarks.quality.plan import Plan, Results
from benchmarks.quality.pooled import Pooled
from benchmarks.quality.tables import (
    alarms_table,
    contenders_table,
    equal_recall_table,
    families_table,
    goals_table,
    headline_table,
    promises_table,
    reasons_table,
    sizes_line,
)

TEMPLATE = Path(__file__).with_name("report.md.template")
LIBRARIES = ("numpy", "scikit-learn", "numba", "pandas")
NAMES = {
    "request": "Per request",
    "entity": "Per entity (an attacker or a benign user counted once)",
}
ENOUGH_FOUND = 0.9
CURVE_STEP = 10  # every tenth point of a curve is enough for the JSON


def made_on(plan: Plan, command: str) -> dict[str, Any]:
    """Where, when and from what the figures were made."""
    seeds = sorted({source.scenario.seed for source in plan.compared if source.scenario})
    libraries = {name: version(name) for name in LIBRARIES}
    return {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "machine": f"{platform.system()} {platform.machine()}, {os.cpu_count()} cores",
        "versions": {
            "api_anomaly": api_anomaly.__version__,
            "behaviours": SCHEMA,
            "python": platform.python_version(),
            **libraries,
        },
        "seeds": seeds,
        "drawings": plan.replicates,
    }


def as_markdown(results: Results, made: Mapping[str, Any], picture: str) -> str:
    """The whole report."""
    versions = ", ".join(f"{name} {number}" for name, number in made["versions"].items())
    return Template(TEMPLATE.read_text(encoding="utf-8")).substitute(
        command=made["command"],
        made=f"{made['date']}; {made['machine']}; {versions}; seeds {made['seeds']}; "
        f"{made['drawings']} drawings",
        picture=picture,
        goals=goals_table(outcomes(results)),
        headline=headline_table(results),
        promises=promises_table(results),
        reasons=reasons_table(results),
        losing=_losing(results),
        groups="\n\n".join(_group(pooled) for pooled in results.groups.values()),
    )


def _group(pooled: Pooled) -> str:
    """All tables of one kind of data."""
    parts = [f"### {pooled.name}", sizes_line(pooled)]
    for counting in COUNTINGS:
        parts += [f"**{NAMES[counting]}**", contenders_table(pooled, counting)]
        parts.append(equal_recall_table(pooled, counting))
    parts += ["**Attack families**", families_table(pooled)]
    parts += ["**Whom the false alarms hit**", alarms_table(pooled)]
    return "\n\n".join(parts)


def _losing(results: Results) -> str:
    """What our model misses or loses, out of all the figures."""
    lines = []
    for pooled in results.groups.values():
        lines += _missed_lines(pooled)
        lines += _lost_lines(pooled)
    return "\n".join(lines) or "- Nothing in these figures: no family below 90 %, no row lost."


def _missed_lines(pooled: Pooled) -> list[str]:
    """Attackers that are not found at an equal budget, and the families that suffer."""
    gone = pooled.missed(OURS)
    if not gone.entities:
        return []
    weak = [
        f"{family} {found.entities - found.at_rate} of {found.entities}"
        for family, found in pooled.families(OURS).items()
        if found.at_rate < ENOUGH_FOUND * found.entities
    ]
    families = f" Families with more than a tenth missed: {', '.join(weak)}." if weak else ""
    return [
        f"- {pooled.name}: {gone.entities} of {pooled.sizes.attackers} attackers are not found"
        f" while {100 * BUDGET:g} % of benign requests are alerted; {gone.brief} of these sent at"
        f" most {BRIEF} attack requests.{families}"
    ]


def _lost_lines(pooled: Pooled) -> list[str]:
    """Rule sets that have fewer false positives than our model at their recall."""
    duels = [
        (counting, pooled.versus(counting, OURS, rules))
        for counting in COUNTINGS
        for rules in pooled.rule_sets
    ]
    return [
        f"- {pooled.name}, per {counting}: we lose against {duel.rules},"
        f" {duel.mine:,.0f} false positives against {duel.theirs:,.0f} at recall {duel.recall:.3f}."
        for counting, duel in duels
        if duel.mine > duel.theirs
    ]


def as_json(results: Results, made: Mapping[str, Any]) -> dict[str, Any]:
    """All figures as plain values; unknown ones are null."""
    return {
        "made": dict(made),
        "goals": [
            {
                "goal": one.goal.text,
                "wanted": one.goal.wanted,
                "measured": one.figure,
                "met": one.met,
            }
            for one in outcomes(results)
        ],
        "promises": {
            group: [{**promise._asdict(), "ratio": promise.ratio} for promise in promises]
            for group, promises in results.promises.items()
        },
        "data": {group: _group_json(pooled) for group, pooled in results.groups.items()},
    }


def rounded(value: Any) -> Any:
    """Plain values with six significant digits, which is more than any of them is worth."""
    if isinstance(value, float):
        return float(f"{value:.6g}")
    if isinstance(value, dict):
        return {name: rounded(part) for name, part in value.items()}
    return [rounded(part) for part in value] if isinstance(value, (list, tuple)) else value


def _group_json(pooled: Pooled) -> dict[str, Any]:
    explained = pooled.explained()
    return {
        "sizes": pooled.sizes._asdict(),
        **{counting: _counting_json(pooled, counting) for counting in COUNTINGS},
        "families": {
            name: {family: one._asdict() for family, one in pooled.families(name).items()}
            for name in pooled.names
        },
        "missed": {name: pooled.missed(name)._asdict() for name in pooled.names},
        "first_reasons": {family: one._asdict() for family, one in explained.items()},
        "false_alarms_by_kind": {name: dict(pooled.own_alarms(name)) for name in pooled.names},
        "benign_by_kind": dict(pooled.kinds()),
    }


def _counting_json(pooled: Pooled, counting: str) -> dict[str, Any]:
    """By contender: summary, each rule set's duel, and the curve."""
    figures: dict[str, Any] = {"recall_of_curve": RECALLS[::CURVE_STEP].tolist()}
    for name in pooled.names:
        summary = pooled.summary(counting, name)._asdict()
        summary["recall_at"] = {f"{rate:g}": r for rate, r in zip(RATES, summary["recall_at"])}
        figures[name] = {
            **summary,
            "at_recall_of": [pooled.versus(counting, name, r)._asdict() for r in pooled.rule_sets],
            "false_positives_of_curve": pooled.curve(counting, name)[::CURVE_STEP].tolist(),
        }
    return figures
