"""Which static rules fire on the logs of a call, for calls that ask for it.

The rules keep windows of their own, fed only by the calls that ask, in the order in which they
arrive. The windows never influence the model.
"""

import asyncio
from collections.abc import Sequence

import numpy as np

from api_anomaly.logs.columns import Columns
from api_anomaly.rules import Fired, RuleEngine, RuleLogs, RuleSet
from api_anomaly.logs.schema import AGENT_CHARACTERS, Log
from api_anomaly.runtime.threads import to_the_end


class RuleComparison:
    """The rule engine behind a lock that only the event loop takes, as with the served model."""

    def __init__(self, rules: RuleSet, inline_logs: int) -> None:
        self._engine = RuleEngine(rules.rules)
        self._lock = asyncio.Lock()
        self._inline_logs = inline_logs

    async def on(self, logs: Sequence[Log], columns: Columns, remember: bool) -> Fired:
        """Which rules fire on which of n logs; the logs are counted if `remember`."""
        async with self._lock:
            if len(logs) <= self._inline_logs:
                return self._fired(logs, columns, remember)
            return await to_the_end(self._fired, logs, columns, remember)

    def _fired(self, logs: Sequence[Log], columns: Columns, remember: bool) -> Fired:
        return self._engine.evaluate(_rule_logs(logs, columns), remember)


def _rule_logs(logs: Sequence[Log], columns: Columns) -> RuleLogs:
    logs = list(logs)  # each is validated when it is read
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
