"""A set of rules: read, evaluate, write."""

from __future__ import annotations

import sys
from dataclasses import dataclass, replace
from pathlib import Path

from api_anomaly.rules.engine import Fired, RuleEngine
from api_anomaly.rules.logs import RuleLogs
from api_anomaly.rules.parsing import read_rules, write_rules
from api_anomaly.rules.rule import Rule, RuleError

DEFAULT = Path(__file__).with_name("default.yaml")


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules in the order of their columns, and notes on how they were tuned."""

    rules: tuple[Rule, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def load(cls, source: Path | str) -> RuleSet:
        """Rules from YAML: a path, or the text itself when the string has more than one line.

        Raises RuleError, which names the rule, for an invalid rule; OSError when the file cannot be
        read.
        """
        if isinstance(source, str) and "\n" in source:
            text = source
        else:
            text = Path(source).read_text(encoding="utf-8")
        return cls(*read_rules(text))

    @classmethod
    def default(cls) -> RuleSet:
        """The rules of ``default.yaml``."""
        return cls.load(DEFAULT)

    @property
    def ids(self) -> tuple[str, ...]:
        """The rules' ids, in the order of the columns."""
        return tuple(rule.id for rule in self.rules)

    def without(self, *ids: str) -> RuleSet:
        """All rules except those named. Raises RuleError for an unknown id."""
        for unknown in set(ids) - set(self.ids):
            raise RuleError(f"rule {unknown!r}: not in this rule set")
        return replace(self, rules=tuple(rule for rule in self.rules if rule.id not in ids))

    def evaluate(self, logs: RuleLogs) -> Fired:
        """Apply every rule to n logs, with empty windows at the start and without memory limits."""
        return RuleEngine(self.rules, max(1, len(logs)), sys.maxsize).evaluate(logs)

    def to_yaml(self) -> str:
        """The rules as YAML that ``load`` reads back to an equal rule set."""
        return write_rules(self.rules, self.notes)
