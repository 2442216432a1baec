"""What only a user's record is read for: its active hours and how surprising novelties are."""

import math

import numpy as np
from numpy.typing import NDArray

from api_anomaly.features.actor import count_new, read_count
from api_anomaly.features.decay import DAY_1, SESSION_SECONDS
from api_anomaly.features.endpoint import PRIOR
from api_anomaly.features.peers import count_novelties
from api_anomaly.features.probability import LOG2E, surprise
from api_anomaly.features.records import Count, Novelty
from api_anomaly.features.sketches import add, contains
from api_anomaly.features.table import F
from api_anomaly.kernels import Record, kernel

_SETTLED_LOGS = 20  # from so many on a user's novelties tell how often something is new to users
_HOUR_PRIOR, _DAY_PRIOR = 6.0, 3.0  # active hours that an even spread is worth
_FULL_SURPRISE_LOGS = 5.0  # with n logs a novelty surprises by n / (n + this)


@kernel
def write_active_hours(x: NDArray[np.float32], user: Record, time: float, lateness: float) -> None:
    """How unusual the hour of the week is for the user into x (d,); then the hour is counted,
    unless the log is from a session before: the hour may have been counted then."""
    hours = int(math.floor(time / 3_600.0))
    hour, day = hours % 24, (hours // 24 + 3) % 7  # the first of January 1970 was a Thursday
    x[F.user_hour_surprise] = _hour_surprise(user, hour, day)
    if user.hour != day * 24 + hour and lateness <= SESSION_SECONDS:
        user.hour = day * 24 + hour
        _count_hour(user.hours, hour)
        _count_hour(user.days, day)


@kernel
def _hour_surprise(user: Record, hour: int, day: int) -> float:
    """Bits by which this hour and this day are rarer among the user's active hours than if all
    were alike.
    """
    earlier, later = user.hours[(hour + 23) % 24], user.hours[(hour + 1) % 24]
    near = (2.0 * user.hours[hour] + earlier + later) / 4.0
    by_hour = surprise(near, _sum(user.hours), 1.0 / 24.0, _HOUR_PRIOR) - math.log(24.0) * LOG2E
    on_day = float(user.days[day])
    by_day = surprise(on_day, _sum(user.days), 1.0 / 7.0, _DAY_PRIOR) - math.log(7.0) * LOG2E
    return max(0.0, by_hour) + max(0.0, by_day)


@kernel
def _sum(counts: NDArray[np.uint8]) -> float:
    total = 0.0
    for count in counts:
        total += count
    return total


@kernel
def _count_hour(counts: NDArray[np.uint8], column: int) -> None:
    """One more active hour; all counts are halved when this one would overflow."""
    if counts[column] == 255:
        for i in range(len(counts)):
            counts[i] >>= 1
    counts[column] += 1


@kernel
def write_novelties(
    x: NDArray[np.float32],
    user: Record,
    log: Record,
    traffic: Record,
    weight: float,
    lateness: float,
) -> None:
    """Bits of surprise of what is new to the user into x (d,); then it is counted as seen."""
    new_network = not contains(user.counterparts, log.network)
    if new_network:
        add(user.counterparts, log.network)
    endpoints = read_count(user, Count.new_endpoints, DAY_1)
    addresses = read_count(user, Count.new_counterparts, DAY_1)
    user_agents = read_count(user, Count.new_user_agents, DAY_1)
    new_endpoint, new_address, new_user_agent = count_new(user, log, log.address, lateness)
    x[F.user_new_endpoint_surprise] = _novelty_surprise(
        user, traffic, Novelty.endpoint, new_endpoint, endpoints
    )
    x[F.user_new_address_surprise] = _novelty_surprise(
        user, traffic, Novelty.address, new_address, addresses
    )
    x[F.user_new_network_surprise] = _novelty_surprise(
        user, traffic, Novelty.network, new_network, addresses
    )
    x[F.user_new_user_agent_surprise] = _novelty_surprise(
        user, traffic, Novelty.user_agent, new_user_agent, user_agents
    )
    if user.seen >= _SETTLED_LOGS:
        new = new_endpoint, new_address, new_network, new_user_agent
        count_novelties(traffic, new, weight)


@kernel
def _novelty_surprise(
    user: Record, traffic: Record, novelty: Novelty, is_new: bool, own_count: float
) -> float:
    """Bits of surprise that something is new to the user.

    `own_count` of the user's last requests had something new of this kind; how often those of
    other users do is the prior. Few logs cannot surprise, see _FULL_SURPRISE_LOGS.
    """
    if not is_new:
        return 0.0
    seen = float(user.seen)
    expected = (traffic.novelties[novelty] + 1.0) / (traffic.settled + 10.0)
    bits = surprise(own_count, user.requests[DAY_1], min(1.0, expected), PRIOR)
    return bits * seen / (seen + _FULL_SURPRISE_LOGS)
