"""The baseline of one endpoint: statuses, latency, sizes and how busy it was in the last hours.

A record of this kind stands for a template with a method (an endpoint), for a template alone or for
a family of user agents. Its statistics age by count, not by time, so that no wrong clock can wipe
them: each log adds the weight of its user (see `peers.weight_of_user`), and all sums are halved
when they have become large. Only `recent`, the counts of the last hours, decays with time.
"""

import math

import numpy as np
from numpy.typing import NDArray

from api_anomaly.features.decay import DAY_1, HOUR_1, advance, decay_factors
from api_anomaly.features.probability import share, surprise
from api_anomaly.features.records import Moment, Recent, StatusClass
from api_anomaly.features.table import F
from api_anomaly.kernels import Record, kernel
from api_anomaly.logs.columns import METHODS

NEWCOMER_LOGS = 3  # a user with fewer logs is a newcomer
PRIOR = 5.0  # weight of the prior of a status, method or share
_WEIGHT_LIMIT = 10_000.0  # above it the status counts are halved
_MOMENT_LIMIT = 1_000.0  # weight that a running mean and variance remember
_MOMENT_LEAST = 5.0  # weight before a mean is used
_DEVIATION_FLOOR = 0.1  # added to the deviation of log s or log bytes, which may be 0
_MOST_DEVIATIONS = 8.0
_HALF_LIVES = (HOUR_1, DAY_1)  # of `recent`
_CLASSES = len(StatusClass)


@kernel
def _deviations(moments: NDArray[np.float64], value: float) -> float:
    """Standard deviations by which `value` (NaN: unknown) lies above the mean in moments (3,)."""
    if math.isnan(value) or moments[0] < _MOMENT_LEAST:
        return 0.0
    distance: float = (value - moments[1]) / (math.sqrt(moments[2]) + _DEVIATION_FLOOR)
    return min(_MOST_DEVIATIONS, max(-_MOST_DEVIATIONS, distance))


@kernel
def _update_moments(moments: NDArray[np.float64], value: float, weight: float) -> None:
    """Running mean and variance with exponential forgetting (West, CACM 22, 1979)."""
    if math.isnan(value):
        return
    moments[0] = min(moments[0] + weight, _MOMENT_LIMIT)
    rate = weight / moments[0]
    difference = value - moments[1]
    moments[1] += rate * difference
    moments[2] = (1.0 - rate) * (moments[2] + rate * difference * difference)


@kernel
def _status_surprise(endpoint: Record, traffic: Record, status_class: int) -> float:
    expected = (traffic.statuses[status_class] + 1.0) / (traffic.weight + _CLASSES)
    return surprise(endpoint.statuses[status_class], endpoint.weight, expected, PRIOR)


@kernel
def _method_surprise(endpoint: Record, template: Record, traffic: Record, method: int) -> float:
    expected = (traffic.methods[method] + 1.0) / (traffic.weight + len(METHODS))
    return surprise(endpoint.total, template.total, expected, PRIOR)


@kernel
def write_request_features(
    x: NDArray[np.float32], log: Record, endpoint: Record, template: Record, traffic: Record
) -> None:
    """The request against the baseline of its endpoint, and the shape of its URL, into x (d,)."""
    moments = endpoint.moments
    x[F.latency_excess] = _deviations(moments[Moment.latency], log.latency)
    x[F.request_size_excess] = _deviations(moments[Moment.request_size], log.request_size)
    x[F.response_size_excess] = _deviations(moments[Moment.response_size], log.response_size)
    x[F.status_surprise] = _status_surprise(endpoint, traffic, log.status_class)
    x[F.method_surprise] = _method_surprise(endpoint, template, traffic, log.method)
    x[F.endpoint_length] = log.length
    x[F.path_depth] = log.depth
    x[F.query_parameters] = log.parameters
    x[F.unusual_characters] = log.unusual_characters
    x[F.longest_token] = log.longest_token


@kernel
def settle(endpoint: Record, time: float, now: float) -> float:
    """Decay the recent counts to `time`; returns how many seconds this log, received at `now`, is
    late."""
    if endpoint.seen == 0:
        endpoint.clock = time
        return 0.0
    gap, lateness, clock = advance(endpoint.clock, time, now)
    endpoint.clock = clock
    if gap > 0.0:
        factors = decay_factors(gap)
        for count in range(len(endpoint.recent)):
            for h in range(len(_HALF_LIVES)):
                endpoint.recent[count, h] *= factors[_HALF_LIVES[h]]
    return lateness


@kernel
def count_recent(
    endpoint: Record, log: Record, prior_logs: int, weight: float, lateness: float
) -> None:
    """Add a log of a user with `prior_logs` logs before it to the recent counts."""
    factors = decay_factors(lateness)
    for h in range(len(_HALF_LIVES)):
        decayed = weight * factors[_HALF_LIVES[h]]
        endpoint.recent[Recent.requests, h] += decayed
        if 400 <= log.status < 500:
            endpoint.recent[Recent.client_errors, h] += decayed
        if prior_logs < NEWCOMER_LOGS:
            endpoint.recent[Recent.newcomers, h] += decayed


@kernel
def _share_excess(endpoint: Record, count: Recent, usual_share: float) -> float:
    """Standard deviations by which a part of the last hour's requests lies above its usual share,
    at least 0 (normal approximation of the binomial, one request of uncertainty added).
    """
    requests = endpoint.recent[Recent.requests, 0]
    deviation = math.sqrt(requests * usual_share * (1.0 - usual_share) + 1.0)
    excess: float = (endpoint.recent[count, 0] - requests * usual_share) / deviation
    return min(_MOST_DEVIATIONS, max(0.0, excess))


@kernel
def write_features(x: NDArray[np.float32], endpoint: Record) -> None:
    """The recent counts of the endpoint and its baseline into x (d,)."""
    statuses, recent = endpoint.statuses, endpoint.recent
    client_errors = statuses[StatusClass.client_error] + statuses[StatusClass.denied]
    client_errors = share(client_errors + statuses[StatusClass.not_found], endpoint.weight, PRIOR)
    newcomers = share(endpoint.newcomers, endpoint.weight, PRIOR)
    x[F.endpoint_surge] = (recent[Recent.requests, 0] + 1.0) / (
        recent[Recent.requests, 1] / 24.0 + 1.0
    )
    x[F.endpoint_client_error_excess] = _share_excess(endpoint, Recent.client_errors, client_errors)
    x[F.endpoint_newcomer_excess] = _share_excess(endpoint, Recent.newcomers, newcomers)
    x[F.endpoint_client_error_share] = client_errors
    x[F.endpoint_newcomer_share] = newcomers
    x[F.endpoint_peer_surprise] = share(endpoint.peer_surprise, endpoint.weight, PRIOR)


@kernel
def update_baseline(endpoint: Record, log: Record, prior_logs: int, weight: float) -> None:
    """Add a log of a user with `prior_logs` logs before it to the statistics."""
    surprises = log.peer_surprise_status + log.peer_surprise_write + log.peer_surprise_endpoint
    endpoint.total += weight
    endpoint.weight += weight
    endpoint.statuses[log.status_class] += weight
    endpoint.writes += weight * log.write
    endpoint.newcomers += weight * (prior_logs < NEWCOMER_LOGS)
    endpoint.peer_surprise += weight * surprises
    if endpoint.weight > _WEIGHT_LIMIT:
        endpoint.weight *= 0.5
        endpoint.writes *= 0.5
        endpoint.newcomers *= 0.5
        endpoint.peer_surprise *= 0.5
        for status_class in range(_CLASSES):
            endpoint.statuses[status_class] *= 0.5
    _update_moments(endpoint.moments[Moment.latency], log.latency, weight)
    _update_moments(endpoint.moments[Moment.request_size], log.request_size, weight)
    _update_moments(endpoint.moments[Moment.response_size], log.response_size, weight)
    endpoint.last = log.time
    endpoint.seen += np.uint64(1)
