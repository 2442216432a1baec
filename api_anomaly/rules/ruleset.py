"""A set of rules: read it, apply it, write it down again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from api_anomaly.rules.logs import RuleLogs
from api_anomaly.rules.parsing import read_rules, write_rules
from api_anomaly.rules.rule import Rule, RuleError
from api_anomaly.rules.state import MAX_ACTORS, RuleState

DEFAULT = Path(__file__).with_name("default.yaml")


class Fired(NamedTuple):
    """Which rule fired on which log.

    matrix    bool (n, rules)
    rule_ids  the rule of each column
    """

    matrix: npt.NDArray[np.bool_]
    rule_ids: tuple[str, ...]

    def any(self) -> npt.NDArray[np.bool_]:
        """bool (n,): at least one rule fired on the log."""
        alerted: npt.NDArray[np.bool_] = np.asarray(self.matrix.any(axis=1))
        return alerted

    def by_rule(self) -> dict[str, int]:
        """How many logs each rule fired on."""
        return dict(zip(self.rule_ids, self.matrix.sum(axis=0).tolist(), strict=True))


@dataclass(frozen=True, slots=True)
class RuleSet:
    """Rules in the order of their columns, and notes on how they came to be."""

    rules: tuple[Rule, ...]
    notes: tuple[str, ...] = ()

    @classmethod
    def load(cls, source: Path | str) -> RuleSet:
        """Rules from YAML: a path, or the text itself when the string has more than one line.

        Raises RuleError, which names the rule, for anything that is not a readable rule; OSError
        when the file cannot be read.
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
        """The same rules but those named. Raises RuleError for an id that is not here."""
        for unknown in set(ids) - set(self.ids):
            raise RuleError(f"rule {unknown!r}: not in this rule set")
        return replace(self, rules=tuple(rule for rule in self.rules if rule.id not in ids))

    def new_state(self, max_actors: int = MAX_ACTORS) -> RuleState:
        """An empty memory for these rules, to be handed to each call of ``evaluate``."""
        return RuleState(self.rules, max_actors)

    def evaluate(self, logs: RuleLogs, state: RuleState | None = None) -> Fired:
        """Apply every rule to every log, in time order; O(n) for a fixed set of rules.

        With a state, the windows reach back into earlier calls, and n calls of one log fire the
        same rules as one call of n logs. Without one, the past starts empty.
        Raises RuleError when the state was made for other rules or when time goes back.
        """
        state = state if state is not None else self.new_state()
        counting = [i for i, rule in enumerate(self.rules) if rule.window is not None]
        if state.rules != tuple(self.rules[i] for i in counting):
            raise RuleError("this rule state was made for other rules")
        matrix = np.zeros((len(logs), len(self.rules)), dtype=np.bool_)
        for column, rule in enumerate(self.rules):
            matrix[:, column] = rule.match.rows(logs)
        matrix[:, counting] = state.advance(logs, matrix[:, counting])
        return Fired(matrix, self.ids)

    def to_yaml(self) -> str:
        """The rules as YAML that ``load`` reads back to an equal rule set."""
        return write_rules(self.rules, self.notes)
