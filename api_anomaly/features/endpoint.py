"""What is usual at an endpoint and for everybody: the shared past, in which no user's voice is
unbounded.

Shared statistics age by count, not by time, so that no skewed clock can wipe them. Each log joins
with a voice 1 / (1 + n / 10), where n is how many requests its user made in the last hours: a
user who sends k logs in an hour adds about 10 log(1 + k / 10) voices, not k. Among the peers of its
user-agent family it joins with 1 / (its requests of the last days).

Whatever is a share of everybody's voices (of endpoints, methods, steps, peers) ages with
everybody's, all in the same moment: a part that aged by itself would drift away from its whole.
"""

import math

import numpy as np

from api_anomaly.kernels import kernel
from api_anomaly.logs.columns import METHODS
from api_anomaly.logs.templates import join
from api_anomaly.features.memory import LATELY, NOVELTIES, STATUS_CLASSES, TRANSITIONS
from api_anomaly.features.lru_table import USED
from api_anomaly.features.decay import advance, decay_factors, surprise

LATENCY, REQUEST_SIZE, RESPONSE_SIZE = range(3)
REQUESTS, REFUSED, NEWCOMERS = range(3)
assert len(LATELY) == 3  # the constants above are its rows, in its order
_ENDPOINT_SPAN = 10_000.0  # voices after which an endpoint's status counts are halved
_SHARED_SPAN = 1_000_000.0  # voices after which everybody's are halved
_MOMENT_SPAN = 1_000.0  # voices that a running moment remembers
_FEW = 3  # logs after which a user is no newcomer any more
_ENOUGH = 5.0  # voices before an endpoint has a usual latency or size
_SPREAD_FLOOR = 0.1  # of log s or log bytes: where all are alike, a ripple is no storm
_EXTREME = 8.0  # standard deviations at which an excess is cut
PRIOR = 5.0  # voices that the prior of a status or method is worth
_STEP_PRIOR = 2.0
_PEER_PRIOR = 20.0
_PLAUSIBLE = 2.0  # bits: what a quarter of the peers do surprises nobody
_ANYWHERE = np.uint64(2)
_CELLS = np.uint64(TRANSITIONS - 1)


@kernel
def weight_of_user(requests):  # type: ignore[no-untyped-def]
    """The weight of one log of a user who made `requests` in the last hours."""
    return 1.0 / (1.0 + requests / 10.0)


@kernel
def excess(moments, value):  # type: ignore[no-untyped-def]
    """Standard deviations by which `value` (NaN: unknown) lies above the usual in moments (3,)."""
    if math.isnan(value) or moments[0] < _ENOUGH:
        return 0.0
    distance = (value - moments[1]) / (math.sqrt(moments[2]) + _SPREAD_FLOOR)
    return min(_EXTREME, max(-_EXTREME, distance))


@kernel
def learn(moments, value, weight):  # type: ignore[no-untyped-def]
    """Running mean and variance with exponential forgetting (West, 1979)."""
    if math.isnan(value):
        return
    moments[0] = min(moments[0] + weight, _MOMENT_SPAN)
    pace = weight / moments[0]
    difference = value - moments[1]
    moments[1] += pace * difference
    moments[2] = (1.0 - pace) * (moments[2] + pace * difference * difference)


@kernel
def status_surprise(endpoint, shared, kind):  # type: ignore[no-untyped-def]
    """Bits of surprise of a status class at this endpoint."""
    expected = (shared.statuses[kind] + 1.0) / (shared.weight + len(STATUS_CLASSES))
    return surprise(endpoint.statuses[kind], endpoint.weight, expected, PRIOR)


@kernel
def method_rarity(endpoint, place, shared, method):  # type: ignore[no-untyped-def]
    """Bits of surprise of this method at this template."""
    expected = (shared.methods[method] + 1.0) / (shared.weight + len(METHODS))
    return surprise(endpoint.voices, place.voices, expected, PRIOR)


@kernel
def endpoint_share(place, shared):  # type: ignore[no-untyped-def]
    """The template's share of all voices."""
    return (place.voices + 0.1) / (shared.weight + 100.0)


@kernel
def step_surprise(transitions, before, place, expected):  # type: ignore[no-untyped-def]
    """Bits of surprise of going from one template to another, whose share of all is `expected`."""
    part = transitions[join(before, place) & _CELLS]
    whole = transitions[join(before, _ANYWHERE) & _CELLS]
    return surprise(min(part, whole), whole, expected, _STEP_PRIOR)


@kernel
def novelty(is_new, own_new, own_all, shared, kind, seen):  # type: ignore[no-untyped-def]
    """Bits of surprise that a thing is new to a user, given how often it and others meet new ones.

    A user without history cannot surprise: the bits grow with seen / (seen + 5).
    """
    if not is_new:
        return 0.0
    expected = (shared.novelties[kind] + 1.0) / (shared.settled + 10.0)
    return surprise(own_new, own_all, min(1.0, expected), PRIOR) * seen / (seen + 5.0)


@kernel
def unlike_peers(log, peers, shared, transitions, expected):  # type: ignore[no-untyped-def]
    """Bits beyond the plausible by which the log's status, write and endpoint surprise among
    its agent's users.
    """
    known = 1.0 if log.agent_known else 0.0
    weight, whole = known * transitions[join(log.agent, _ANYWHERE) & _CELLS], shared.weight + 10.0
    code = (transitions[join(_ANYWHERE, np.uint64(log.status)) & _CELLS] + 0.1) / whole
    met = transitions[join(log.agent, np.uint64(log.status)) & _CELLS]
    status = surprise(min(met, weight), weight, min(1.0, code), _PEER_PRIOR)
    write = 0.0
    if log.write:
        usual = (shared.writes + 1.0) / whole
        write = surprise(known * peers.writes, known * peers.weight, usual, _PEER_PRIOR)
    met = transitions[join(log.agent, log.place) & _CELLS]
    endpoint = surprise(min(met, weight), weight, expected, _PEER_PRIOR)
    return (
        max(0.0, status - _PLAUSIBLE),
        max(0.0, write - _PLAUSIBLE),
        max(0.0, endpoint - _PLAUSIBLE),
    )


@kernel
def settle(endpoint, time):  # type: ignore[no-untyped-def]
    """Decay what was counted lately to `time`; returns how many seconds this log is late."""
    if endpoint.seen == 0:
        endpoint.now = time
        return 0.0
    gap, late, stands = advance(endpoint.now, time)
    endpoint.now = stands
    if gap > 0.0:
        factors = decay_factors(gap)
        for counter in range(len(LATELY)):
            endpoint.lately[counter, 0] *= factors[2]
            endpoint.lately[counter, 1] *= factors[3]
    return late


@kernel
def join_lately(endpoint, log, seen, weight, late):  # type: ignore[no-untyped-def]
    """Let a log of a user with `seen` logs before it join what happened here lately."""
    factors = decay_factors(late)
    for h in range(2):
        voice_now = weight * factors[2 + h]
        endpoint.lately[REQUESTS, h] += voice_now
        if 400 <= log.status < 500:
            endpoint.lately[REFUSED, h] += voice_now
        if seen < _FEW:
            endpoint.lately[NEWCOMERS, h] += voice_now


@kernel
def above_usual(endpoint, counter, usual):  # type: ignore[no-untyped-def]
    """Standard deviations by which a part of the last hour's voices lies above its `usual` share
    (normal approximation of the binomial, one voice of doubt); 0 to _EXTREME.
    """
    requests = endpoint.lately[REQUESTS, 0]
    doubt = math.sqrt(requests * usual * (1.0 - usual) + 1.0)
    return min(_EXTREME, max(0.0, (endpoint.lately[counter, 0] - requests * usual) / doubt))


@kernel
def refused_share(endpoint):  # type: ignore[no-untyped-def]
    """Share of 4xx among the voices ever heard at this endpoint."""
    refused = endpoint.statuses[2] + endpoint.statuses[3] + endpoint.statuses[4]
    return refused / (endpoint.weight + PRIOR)


@kernel
def surge(endpoint):  # type: ignore[no-untyped-def]
    """The last hour's pace at this endpoint as a multiple of the last day's."""
    return (endpoint.lately[REQUESTS, 0] + 1.0) / (endpoint.lately[REQUESTS, 1] / 24.0 + 1.0)


@kernel
def join_endpoint(endpoint, log, seen, weight):  # type: ignore[no-untyped-def]
    """Let the log join its endpoint's usual."""
    endpoint.voices += weight
    endpoint.weight += weight
    endpoint.statuses[log.status_class] += weight
    endpoint.writes += weight * log.write
    endpoint.newcomers += weight * (seen < _FEW)
    endpoint.odd += weight * (log.odd_status + log.odd_write + log.odd_endpoint)
    if endpoint.weight > _ENDPOINT_SPAN:
        endpoint.weight *= 0.5
        endpoint.writes *= 0.5
        endpoint.newcomers *= 0.5
        endpoint.odd *= 0.5
        for kind in range(len(STATUS_CLASSES)):
            endpoint.statuses[kind] *= 0.5
    learn(endpoint.moments[LATENCY], log.latency, weight)
    learn(endpoint.moments[REQUEST_SIZE], log.request_size, weight)
    learn(endpoint.moments[RESPONSE_SIZE], log.response_size, weight)
    endpoint.last = log.time
    endpoint.seen += np.uint64(1)


@kernel
def join_shared(shared, log, weight):  # type: ignore[no-untyped-def]
    """Let the log join the statuses and methods of everybody."""
    shared.weight += weight
    shared.statuses[log.status_class] += weight
    shared.methods[log.method] += weight
    shared.writes += weight * log.write


@kernel
def join_novelties(shared, news, weight):  # type: ignore[no-untyped-def]
    """Let a settled user's novelties (four booleans) join everybody's."""
    shared.settled += weight
    for kind in range(len(NOVELTIES)):
        if news[kind]:
            shared.novelties[kind] += weight
    if shared.settled > _SHARED_SPAN:
        shared.settled *= 0.5
        for kind in range(len(NOVELTIES)):
            shared.novelties[kind] *= 0.5


@kernel
def join_peers(transitions, log, weight, peer_weight):  # type: ignore[no-untyped-def]
    """Let the log's status and endpoint join those of its agent's users."""
    transitions[join(log.agent, log.place) & _CELLS] += peer_weight
    transitions[join(log.agent, np.uint64(log.status)) & _CELLS] += peer_weight
    transitions[join(log.agent, _ANYWHERE) & _CELLS] += peer_weight
    transitions[join(_ANYWHERE, np.uint64(log.status)) & _CELLS] += weight


@kernel
def join_step(transitions, before, place, weight):  # type: ignore[no-untyped-def]
    """Let a step from template to template join everybody's."""
    transitions[join(before, place) & _CELLS] += weight
    transitions[join(before, _ANYWHERE) & _CELLS] += weight


@kernel
def age(shared, endpoints, transitions):  # type: ignore[no-untyped-def]
    """Halve everybody's voices, and all parts of them, when they have become too many."""
    if shared.weight <= _SHARED_SPAN:
        return
    shared.weight *= 0.5
    shared.writes *= 0.5
    for kind in range(len(STATUS_CLASSES)):
        shared.statuses[kind] *= 0.5
    for method in range(len(METHODS)):
        shared.methods[method] *= 0.5
    for slot in range(endpoints.state[USED]):
        endpoints.records[slot].voices *= 0.5
    for cell in range(TRANSITIONS):
        transitions[cell] *= 0.5
