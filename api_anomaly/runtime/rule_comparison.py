"""Static rules evaluated beside the model, for requests that ask for them.

The rules have windows of their own, which hold only the logs of requests that ask, in the order of
arrival. They never influence the model.
"""

import asyncio
from collections.abc import Sequence

import numpy as np

from api_anomaly.logs.columns import Columns
from api_anomaly.logs.schema import AGENT_CHARACTERS, Log
from api_anomaly.rules import Fired, RuleEngine, RuleLogs, RuleSet
from api_anomaly.runtime.threads import in_thread_uncancelled


class RuleComparison:
    """The rule engine behind a lock, as the registry does it for the served model."""

    def __init__(self, rules: RuleSet, inline_logs: int) -> None:
        self._engine = RuleEngine(rules.rules)
        self._lock = asyncio.Lock()
        self._inline_logs = inline_logs

    async def evaluate(self, logs: Sequence[Log], columns: Columns, remember: bool) -> Fired:
        """Which rules fire on which of n logs; the windows keep the logs if `remember`."""
        async with self._lock:
            if len(logs) <= self._inline_logs:
                return self._evaluate(logs, columns, remember)
            return await in_thread_uncancelled(self._evaluate, logs, columns, remember)

    def _evaluate(self, logs: Sequence[Log], columns: Columns, remember: bool) -> Fired:
        return self._engine.evaluate(_rule_logs(logs, columns), remember)


def _rule_logs(logs: Sequence[Log], columns: Columns) -> RuleLogs:
    logs = list(logs)  # each one is constructed on access
    return RuleLogs(
        columns.time,
        [log.user_id or log.ip_address for log in logs],
        [log.ip_address for log in logs],
        columns.status.astype(np.int64),
        [log.method for log in logs],
        columns.response_size,
        [log.endpoint for log in logs],
        [log.user_agent and log.user_agent[:AGENT_CHARACTERS] for log in logs],
    )
