"""The second opinion: which static rules would have fired beside the model, when a call asks.

The rules have a memory of their own, fed by the calls that ask, in the order in which they come; it
never reaches the model, and nobody pays for it who does not ask.
"""

import asyncio
from collections.abc import Sequence

import numpy as np

from api_anomaly.logs.columns import Columns
from api_anomaly.rules import Fired, RuleSet, RuleStream, SentLogs
from api_anomaly.logs.from_models import agents
from api_anomaly.logs.schema import Log
from api_anomaly.runtime.threads import to_the_end


class RuleComparison:
    """The rules at work. Only the event loop takes the lock, as with the served model."""

    def __init__(self, rules: RuleSet, inline_logs: int) -> None:
        self._stream = RuleStream(rules)
        self._lock = asyncio.Lock()
        self._inline_logs = inline_logs

    async def on(self, logs: Sequence[Log], columns: Columns, remember: bool) -> Fired:
        """Which rules fire on which of n logs; they are counted on when `remember`."""
        async with self._lock:
            if len(logs) <= self._inline_logs:
                return self._fired(logs, columns, remember)
            return await to_the_end(self._fired, logs, columns, remember)

    def _fired(self, logs: Sequence[Log], columns: Columns, remember: bool) -> Fired:
        return self._stream.fired(_sent(logs, columns), remember)


def _sent(logs: Sequence[Log], columns: Columns) -> SentLogs:
    """The logs as rules read them."""
    logs = list(logs)  # each is made when it is asked for
    return SentLogs(
        columns.time,
        [log.user_id or log.ip_address for log in logs],
        [log.ip_address for log in logs],
        columns.status.astype(np.int64),
        [log.method for log in logs],
        columns.response_size,
        [log.endpoint for log in logs],
        agents(logs),
    )
