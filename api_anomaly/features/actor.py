"""The record of one actor (a user or an address): brought up to date by one log, read as features.

`settle` decays the record to the log's time, `count_log` and `count_new` add the log,
`update_means` makes it the last one, `write_features` reads the actor's block of features. A log's
own facts are part of its rates (the tenth denial is the tenth), but what the log is compared with
(baselines, sets, usual intervals) is the past without it.
"""

import math

import numpy as np
from numpy.typing import NDArray

from api_anomaly.features.decay import (
    DAY_1,
    HOUR_1,
    MINUTES_3,
    SESSION_SECONDS,
    Factors,
    advance,
    decay_factors,
)
from api_anomaly.features.probability import share
from api_anomaly.features.records import COUNT_COLUMNS, COUNT_STARTS, Count
from api_anomaly.features.sketches import ItemSet, add, contains
from api_anomaly.features.table import A
from api_anomaly.kernels import Record, kernel

SHARE_PRIOR = 3.0  # requests that a share waits for
_LEAST_RATE = 0.1  # weight of the newest log in a running mean
_MOST_SEEN = np.uint32(2**32 - 1)
_SESSION_START = np.uint64(1)  # stands for the template before a session's first one
_DENIED_SALT = np.uint64(0x9E3779B97F4A7C15)


@kernel
def settle(actor: Record, time: float, now: float) -> tuple[float, float]:
    """Decay the record to `time`: (seconds since its last log, seconds that this one, received at
    `now`, is late)."""
    if actor.seen == 0:
        actor.first = time
        actor.last = time
        actor.number = -1.0
        actor.hour = 255
        return 0.0, 0.0
    gap, lateness, clock = advance(actor.last, time, now)
    actor.last = clock
    if gap > 0.0:
        factors = decay_factors(gap)
        for h in range(4):
            actor.requests[h] *= factors[h]
        for h in range(MINUTES_3, DAY_1 + 1):
            for column in range(COUNT_STARTS[h], COUNT_STARTS[h + 1]):
                actor.counts[column] *= factors[h]
    return gap, lateness


@kernel
def add_count(actor: Record, count: Count, amount: float, weights: Factors) -> None:
    """Add `amount` to one count at each of its half-lives."""
    for h in range(MINUTES_3, DAY_1 + 1):
        column = COUNT_COLUMNS[count, h]
        if column >= 0:
            actor.counts[column] += np.float32(amount) * weights[h]


@kernel
def read_count(actor: Record, count: Count, half_life: int) -> float:
    """One count at one of the half-lives at which it is kept."""
    value: float = actor.counts[COUNT_COLUMNS[count, half_life]]
    return value


@kernel
def count_log(actor: Record, log: Record, lateness: float) -> None:
    """Add the log's own facts to the decayed counts, with the weight of its lateness."""
    weights = decay_factors(lateness)
    for h in range(4):
        actor.requests[h] += weights[h]
    if log.status >= 500:
        add_count(actor, Count.server_errors, 1.0, weights)
    elif log.status >= 400:
        add_count(actor, Count.client_errors, 1.0, weights)
        if log.denied:
            add_count(actor, Count.denied, 1.0, weights)
        if log.status == 404:
            add_count(actor, Count.not_found, 1.0, weights)
    if log.write:
        add_count(actor, Count.writes, 1.0, weights)
        if 400 <= log.status < 500:
            add_count(actor, Count.failed_writes, 1.0, weights)
    if log.kilobytes > 0.0:
        add_count(actor, Count.response_kilobytes, log.kilobytes, weights)
    if log.seconds > 0.0:
        add_count(actor, Count.server_seconds, log.seconds, weights)
    add_count(actor, Count.peer_surprise_statuses, log.peer_surprise_status, weights)
    add_count(actor, Count.peer_surprise_writes, log.peer_surprise_write, weights)
    add_count(actor, Count.peer_surprise_endpoints, log.peer_surprise_endpoint, weights)


@kernel
def count_new(
    actor: Record, log: Record, counterpart: np.uint64, lateness: float
) -> tuple[bool, bool, bool]:
    """Whether (endpoint, counterpart, user agent) are new to the actor; now they no longer are."""
    weights = decay_factors(lateness)
    new_endpoint = _add_new(actor.templates, log.template)
    if new_endpoint:
        add_count(actor, Count.new_endpoints, 1.0, weights)
    if _add_new(actor.urls, log.url):
        add_count(actor, Count.new_urls, 1.0, weights)
    new_counterpart = _add_new(actor.counterparts, counterpart)
    if new_counterpart:
        add_count(actor, Count.new_counterparts, 1.0, weights)
    if log.denied and _add_new(actor.counterparts, counterpart ^ _DENIED_SALT):
        add_count(actor, Count.denied_counterparts, 1.0, weights)
    new_user_agent = _add_new(actor.user_agents, log.user_agent)
    if new_user_agent:
        add_count(actor, Count.new_user_agents, 1.0, weights)
    return new_endpoint, new_counterpart, new_user_agent


@kernel
def _add_new(items: ItemSet, key: np.uint64) -> bool:
    """Whether `key` was new to the set; now it is in it."""
    new = not contains(items, key)
    if new:
        add(items, key)
    return new


@kernel
def previous_template(actor: Record, gap: float) -> np.uint64:
    """The template of the actor's last log, or the start of a session."""
    if actor.seen == 0 or gap > SESSION_SECONDS:
        return _SESSION_START
    template: np.uint64 = actor.template
    return template


@kernel
def update_means(
    actor: Record, log: Record, gap: float, lateness: float, transition_surprise: float
) -> None:
    """Update the running means with the log, which becomes the actor's last one unless it is from
    a session before.

    Mean and variance with exponential forgetting: West, "Updating mean and variance estimates: an
    improved method", CACM 22 (1979).
    """
    if lateness <= SESSION_SECONDS:
        _update_order(actor, log, gap, lateness, transition_surprise)
    if actor.seen < _MOST_SEEN:
        actor.seen += np.uint32(1)


@kernel
def _update_order(
    actor: Record, log: Record, gap: float, lateness: float, transition_surprise: float
) -> None:
    """Update what depends on the order of the logs."""
    if actor.seen > 0 and lateness == 0.0:
        rate = np.float32(max(_LEAST_RATE, 1.0 / actor.seen))
        difference = np.float32(math.log1p(gap)) - actor.interval_mean
        actor.interval_mean += rate * difference
        actor.interval_variance = (np.float32(1.0) - rate) * (
            actor.interval_variance + rate * difference * difference
        )
    if log.number >= 0.0 and actor.number >= 0.0:
        distance = abs(log.number - actor.number)
        is_step = np.float32(1.0 if 1.0 <= distance <= 3.0 else 0.0)
        actor.sequential_share += np.float32(_LEAST_RATE) * (is_step - actor.sequential_share)
    actor.transition_surprise += np.float32(max(_LEAST_RATE, 1.0 / (actor.seen + 1))) * (
        np.float32(transition_surprise) - actor.transition_surprise
    )
    if log.number >= 0.0:
        actor.number = log.number
    actor.template = log.template


@kernel
def _burst(actor: Record, count: Count) -> float:
    """The rate of the last hour as a multiple of the rate of the last day."""
    return (read_count(actor, count, HOUR_1) + 1.0) / (read_count(actor, count, DAY_1) / 24.0 + 1.0)


@kernel
def _share(actor: Record, count: Count, half_life: int) -> float:
    """A count per request of the actor."""
    return share(read_count(actor, count, half_life), actor.requests[half_life], SHARE_PRIOR)


@kernel
def write_features(x: NDArray[np.float32], base: int, actor: Record) -> None:
    """The actor's block into the row x (d,), whose columns begin at `base`, in units: the
    logarithms of a whole row are taken at once.
    """
    requests = actor.requests
    x[base + A.requests_10s] = requests[0]
    x[base + A.requests_3m] = requests[MINUTES_3]
    x[base + A.requests_1h] = requests[HOUR_1]
    x[base + A.requests_1d] = requests[DAY_1]
    x[base + A.client_errors_3m] = read_count(actor, Count.client_errors, MINUTES_3)
    x[base + A.client_errors_1d] = read_count(actor, Count.client_errors, DAY_1)
    x[base + A.client_error_share_1h] = _share(actor, Count.client_errors, HOUR_1)
    x[base + A.denied_3m] = read_count(actor, Count.denied, MINUTES_3)
    x[base + A.denied_1d] = read_count(actor, Count.denied, DAY_1)
    x[base + A.not_found_1h] = read_count(actor, Count.not_found, HOUR_1)
    x[base + A.not_found_share_1d] = _share(actor, Count.not_found, DAY_1)
    x[base + A.server_errors_1h] = read_count(actor, Count.server_errors, HOUR_1)
    x[base + A.writes_3m] = read_count(actor, Count.writes, MINUTES_3)
    x[base + A.writes_1d] = read_count(actor, Count.writes, DAY_1)
    x[base + A.write_share_1h] = _share(actor, Count.writes, HOUR_1)
    x[base + A.failed_writes_3m] = read_count(actor, Count.failed_writes, MINUTES_3)
    x[base + A.failed_writes_1d] = read_count(actor, Count.failed_writes, DAY_1)
    x[base + A.server_seconds_1h] = read_count(actor, Count.server_seconds, HOUR_1)
    x[base + A.new_endpoints_3m] = read_count(actor, Count.new_endpoints, MINUTES_3)
    x[base + A.new_endpoints_1d] = read_count(actor, Count.new_endpoints, DAY_1)
    x[base + A.new_counterparts_1d] = read_count(actor, Count.new_counterparts, DAY_1)
    x[base + A.new_user_agents_1d] = read_count(actor, Count.new_user_agents, DAY_1)
    x[base + A.request_burst] = (requests[MINUTES_3] + 1.0) / (
        requests[DAY_1] * (180.0 / 86_400.0) + 1.0
    )
    x[base + A.interval_spread] = math.sqrt(actor.interval_variance)
    x[base + A.sequential_share] = actor.sequential_share
    x[base + A.transition_surprise_mean] = actor.transition_surprise
    x[base + A.age] = max(0.0, actor.last - actor.first) / 3_600.0
    _write_volume(x, base, actor)
    _write_peer_surprise(x, base, actor)


@kernel
def _write_volume(x: NDArray[np.float32], base: int, actor: Record) -> None:
    """Response sizes and URLs."""
    new_urls_1h = read_count(actor, Count.new_urls, HOUR_1)
    new_urls_1d = read_count(actor, Count.new_urls, DAY_1)
    new_endpoints_1d = read_count(actor, Count.new_endpoints, DAY_1)
    x[base + A.response_kilobytes_1h] = read_count(actor, Count.response_kilobytes, HOUR_1)
    x[base + A.response_kilobytes_1d] = read_count(actor, Count.response_kilobytes, DAY_1)
    x[base + A.response_kilobytes_burst] = _burst(actor, Count.response_kilobytes)
    x[base + A.new_urls_3m] = read_count(actor, Count.new_urls, MINUTES_3)
    x[base + A.new_urls_1d] = new_urls_1d
    x[base + A.new_urls_burst] = _burst(actor, Count.new_urls)
    x[base + A.urls_per_endpoint_1d] = (new_urls_1d + 1.0) / (new_endpoints_1d + 1.0)
    x[base + A.requests_per_url_1h] = (actor.requests[HOUR_1] + 1.0) / (new_urls_1h + 1.0)


@kernel
def _write_peer_surprise(x: NDArray[np.float32], base: int, actor: Record) -> None:
    statuses, writes = Count.peer_surprise_statuses, Count.peer_surprise_writes
    endpoints = Count.peer_surprise_endpoints
    x[base + A.peer_surprise_statuses_3m] = read_count(actor, statuses, MINUTES_3)
    x[base + A.peer_surprise_statuses_1d] = read_count(actor, statuses, DAY_1)
    x[base + A.peer_surprise_statuses_mean_1h] = _share(actor, statuses, HOUR_1)
    x[base + A.peer_surprise_writes_3m] = read_count(actor, writes, MINUTES_3)
    x[base + A.peer_surprise_writes_1d] = read_count(actor, writes, DAY_1)
    x[base + A.peer_surprise_writes_mean_1h] = _share(actor, writes, HOUR_1)
    x[base + A.peer_surprise_endpoints_3m] = read_count(actor, endpoints, MINUTES_3)
    x[base + A.peer_surprise_endpoints_1d] = read_count(actor, endpoints, DAY_1)
    x[base + A.peer_surprise_endpoints_mean_1h] = _share(actor, endpoints, HOUR_1)
