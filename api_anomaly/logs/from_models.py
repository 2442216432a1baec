"""From validated logs to columns."""

from collections.abc import Sequence
from typing import Any

from api_anomaly.logs.columns import Columns, columns_of
from api_anomaly.logs.schema import AGENT_CHARACTERS, Log


def columns_from(logs: Sequence[Log]) -> Columns:
    """The columns of n validated logs; a negative duration or size is unknown."""
    sizes: list[list[Any]] = [
        [known(log.request_size) for log in logs],
        [known(log.response_size) for log in logs],
    ]
    return columns_of(
        [log.timestamp.timestamp() for log in logs],
        [log.user_id for log in logs],
        [log.endpoint for log in logs],
        [log.method for log in logs],
        [log.status_code for log in logs],
        [known(log.response_time) for log in logs],
        [log.ip_address for log in logs],
        agents(logs),
        *sizes,
    )


def agents(logs: Sequence[Log]) -> list[str | None]:
    """The user agents, cut where nothing tells families apart any more."""
    return [log.user_agent and log.user_agent[:AGENT_CHARACTERS] for log in logs]


def known(value: float | None) -> float | None:
    """`value`, or None when it is negative, as some log writers put it when they do not know."""
    return None if value is None or value < 0 else value
