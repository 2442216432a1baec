"""YAML to rules and back, with errors that name the rule."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import yaml

from api_anomaly.rules.rule import SCOPES, Match, Rule, RuleError

EVERY_LOG = "every log"
COUNTING = frozenset({"id", "description", "counts", "per", "window", "threshold"})
INSTANT = frozenset({"id", "description", "fires_on"})
WINDOW = re.compile(r"(\d+(?:\.\d+)?) s")
THRESHOLD = re.compile(r"(more than|at least) (\d+)")
SIZE = re.compile(r"more than (\d+)")
STATUS = re.compile(r"(\d{3})-(\d{3})")


def read_rules(text: str) -> tuple[tuple[Rule, ...], tuple[str, ...]]:
    """The rules and notes of a YAML text; RuleError for anything else."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise RuleError(f"the rules are not readable YAML: {error}") from error
    if not isinstance(document, dict) or not isinstance(document.get("rules"), list):
        raise RuleError("the rules must be a mapping with a list named 'rules'")
    _reject_unknown(document, frozenset({"rules", "notes"}), "the rules")
    rules = tuple(_rule(entry, number) for number, entry in enumerate(document["rules"], start=1))
    for rule in rules:
        if sum(other.id == rule.id for other in rules) > 1:
            raise RuleError(f"rule {rule.id!r}: the id is used twice")
    return rules, tuple(str(note) for note in document.get("notes") or ())


def _rule(entry: object, number: int) -> Rule:
    """One rule from its mapping; `number` names a rule that has no id."""
    if not isinstance(entry, dict):
        raise RuleError(f"rule number {number}: must be a mapping, not {entry!r}")
    name = entry.get("id")
    if not isinstance(name, str) or not name:
        raise RuleError(f"rule number {number}: needs an id (text)")
    where = f"rule {name!r}"
    description = _required(entry, "description", where)
    if "fires_on" in entry:
        _reject_unknown(entry, INSTANT, where)
        return Rule(name, str(description), _match(entry["fires_on"], where))
    _reject_unknown(entry, COUNTING, where)
    counts = _required(entry, "counts", where, hint=" (or 'fires_on' for a rule without a window)")
    return Rule(
        name,
        str(description),
        Match() if counts == EVERY_LOG else _match(counts, where),
        _per(_required(entry, "per", where), where),
        _window(_required(entry, "window", where), where),
        _at_least(_required(entry, "threshold", where), where),
    )


def _match(conditions: object, where: str) -> Match:
    """The conditions of a rule; at least one."""
    if not isinstance(conditions, dict) or not conditions:
        raise RuleError(f"{where}: conditions must be a mapping such as 'status: 500-599'")
    _reject_unknown(conditions, frozenset(CONDITIONS), where)
    given: dict[str, Any] = {}
    for name, value in conditions.items():
        field, reader = CONDITIONS[name]
        given[field] = reader(value, f"{where}, {name}")
    return Match(**given)


def _statuses(value: object, where: str) -> tuple[tuple[int, int], ...]:
    return tuple(_status(item, where) for item in _items(value, where))


def _status(item: object, where: str) -> tuple[int, int]:
    """A code or a range of codes, both ends included, within 100..599."""
    found = STATUS.fullmatch(str(item))
    low, high = (int(found[1]), int(found[2])) if found else (item, item)
    if not isinstance(low, int) or not isinstance(high, int) or isinstance(item, bool):
        raise RuleError(f"{where}: {item!r} is neither a status code nor a range like 400-499")
    if not 100 <= low <= high <= 599:
        raise RuleError(f"{where}: {item!r} is not within 100-599, low end first")
    return low, high


def _methods(value: object, where: str) -> tuple[str, ...]:
    return tuple(text.upper() for text in _texts(value, where))


def _parts(value: object, where: str) -> tuple[str, ...]:
    return tuple(text.lower() for text in _texts(value, where))


def _texts(value: object, where: str) -> tuple[str, ...]:
    items = _items(value, where)
    for item in items:
        if not isinstance(item, str) or not item:
            raise RuleError(f"{where}: {item!r} must be a text (put it in quotes)")
    return tuple(str(item) for item in items)


def _size(value: object, where: str) -> int:
    found = SIZE.fullmatch(str(value))
    if found is None:
        raise RuleError(f"{where}: {value!r} must read 'more than N' (bytes)")
    return int(found[1])


def _items(value: object, where: str) -> Sequence[object]:
    """A single value or a list of them; never an empty list."""
    items = value if isinstance(value, list) else [value]
    if not items:
        raise RuleError(f"{where}: the list is empty")
    return items


def _per(value: object, where: str) -> str:
    if value not in SCOPES:
        raise RuleError(f"{where}: per must be one of {', '.join(SCOPES)}, not {value!r}")
    return str(value)


def _window(value: object, where: str) -> float:
    found = WINDOW.fullmatch(str(value))
    if found is None or float(found[1]) <= 0:
        raise RuleError(f"{where}: window {value!r} must read 'N s' (seconds, over 0)")
    return float(found[1])


def _at_least(value: object, where: str) -> int:
    """The count from which the rule fires; 'more than 60' is 61."""
    found = THRESHOLD.fullmatch(str(value))
    at_least = int(found[2]) + (found[1] == "more than") if found else 0
    if at_least < 1:
        raise RuleError(f"{where}: threshold {value!r} must read 'more than N' or 'at least N'")
    return at_least


def _required(entry: Mapping[str, Any], key: str, where: str, hint: str = "") -> object:
    if entry.get(key) in (None, ""):
        raise RuleError(f"{where}: needs {key!r}{hint}")
    found: object = entry[key]
    return found


def _reject_unknown(entry: Mapping[Any, Any], known: frozenset[str], where: str) -> None:
    for key in entry:
        if key not in known:
            raise RuleError(f"{where}: unknown entry {key!r}; known are {', '.join(sorted(known))}")


# Condition in YAML -> (field of Match, its reader).
CONDITIONS: dict[str, tuple[str, Callable[[object, str], Any]]] = {
    "status": ("status", _statuses),
    "method": ("method", _methods),
    "endpoint": ("endpoint", _parts),
    "agent": ("agent", _parts),
    "response_size": ("size_over", _size),
}


def write_rules(rules: Sequence[Rule], notes: Sequence[str]) -> str:
    """YAML of the rules in the form that ``read_rules`` reads."""
    document: dict[str, Any] = {"rules": [_entry(rule) for rule in rules]}
    if notes:
        document["notes"] = list(notes)
    text: str = yaml.safe_dump(document, sort_keys=False, allow_unicode=True, width=100)
    return text


def _entry(rule: Rule) -> dict[str, Any]:
    conditions = _conditions(rule.match)
    head = {"id": rule.id, "description": rule.description}
    if rule.window is None:
        return {**head, "fires_on": conditions}
    return {
        **head,
        "counts": conditions or EVERY_LOG,
        "per": rule.per,
        "window": f"{np.format_float_positional(rule.window, trim='-')} s",
        "threshold": f"at least {rule.at_least}",
    }


def _conditions(match: Match) -> dict[str, Any]:
    """The conditions that are not empty, as YAML values."""
    statuses = [low if low == high else f"{low}-{high}" for low, high in match.status]
    size = None if match.size_over is None else f"more than {match.size_over}"
    written = {
        "status": statuses,
        "method": list(match.method),
        "endpoint": list(match.endpoint),
        "agent": list(match.agent),
        "response_size": size,
    }
    return {name: value for name, value in written.items() if value}
