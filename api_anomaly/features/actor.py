"""One actor's record (a user's or an address's) brought up to date by one log, and read as
behaviours.

`settle` moves the record to the log's time, `count` lets the log join, `write` reads the block of
behaviours. The order is the pass's: a log's own facts count in its rates (the tenth denial is the
tenth), but what it is compared with (habits, sets, usual gaps) is the past without it.
"""

import math

import numpy as np

from api_anomaly.kernels import kernel
from api_anomaly.features.memory import COUNTERS, PLACES, SPANS
from api_anomaly.features.sketches import add, known
from api_anomaly.features.decay import advance, decay_factors, share

CLIENT_ERRORS, DENIED, NOT_FOUND, SERVER_ERRORS, WRITES, RESPONSE_KILOBYTES = range(6)
SERVER_SECONDS, NEW_ENDPOINTS, NEW_URLS, NEW_COUNTERPARTS, DENIED_COUNTERPARTS, NEW_USER_AGENTS = (
    range(6, 12)
)
PEER_SURPRISE_STATUSES, PEER_SURPRISE_WRITES, PEER_SURPRISE_ENDPOINTS, FAILED_WRITES = range(12, 16)
assert len(COUNTERS) == 16  # the constants above are its rows, in its order

_PRIOR = 3.0  # logs of evidence that a share waits for
_SLOW = 0.1  # weight of the newest log in a running mean
_SESSION = 1_800.0  # seconds after which the next log begins a new session
_MOST_SEEN = np.uint32(2**32 - 1)
_START = np.uint64(1)  # the place before a session's first endpoint
_DENIED_SALT = np.uint64(0x9E3779B97F4A7C15)


@kernel
def settle(actor, time):  # type: ignore[no-untyped-def]
    """Decay the record to `time`: (seconds since its last log, seconds that this one is late)."""
    if actor.seen == 0:
        actor.first = time
        actor.last = time
        actor.number = -1.0
        actor.hour = 255
        return 0.0, 0.0
    gap, late, stands = advance(actor.last, time)
    actor.last = stands
    if gap > 0.0:
        factors = decay_factors(gap)
        for h in range(4):
            actor.requests[h] *= factors[h]
        for h in range(3):
            for place in range(SPANS[h], SPANS[h + 1]):
                actor.counts[place] *= factors[h + 1]
    return gap, late


@kernel
def bump(actor, counter, amount, weights):  # type: ignore[no-untyped-def]
    """Add `amount` to one counter at its half-lives."""
    for h in range(3):
        place = PLACES[counter, h]
        if place >= 0:
            actor.counts[place] += np.float32(amount) * weights[h + 1]


@kernel
def counted(actor, counter, h):  # type: ignore[no-untyped-def]
    """One counter at one of its half-lives: 3 minutes, an hour, a day."""
    return actor.counts[PLACES[counter, h]]


@kernel
def count(actor, log, late):  # type: ignore[no-untyped-def]
    """Let the log's own facts join the decayed counts, with the weight of its lateness."""
    weights = decay_factors(late)
    for h in range(4):
        actor.requests[h] += weights[h]
    if log.status >= 500:
        bump(actor, SERVER_ERRORS, 1.0, weights)
    elif log.status >= 400:
        bump(actor, CLIENT_ERRORS, 1.0, weights)
        if log.denied:
            bump(actor, DENIED, 1.0, weights)
        if log.status == 404:
            bump(actor, NOT_FOUND, 1.0, weights)
    if log.write:
        bump(actor, WRITES, 1.0, weights)
        if 400 <= log.status < 500:
            bump(actor, FAILED_WRITES, 1.0, weights)
    if log.kilobytes > 0.0:
        bump(actor, RESPONSE_KILOBYTES, log.kilobytes, weights)
    if log.seconds > 0.0:
        bump(actor, SERVER_SECONDS, log.seconds, weights)
    bump(actor, PEER_SURPRISE_STATUSES, log.odd_status, weights)
    bump(actor, PEER_SURPRISE_WRITES, log.odd_write, weights)
    bump(actor, PEER_SURPRISE_ENDPOINTS, log.odd_endpoint, weights)


@kernel
def meet(actor, log, partner, late):  # type: ignore[no-untyped-def]
    """Whether (endpoint, partner, agent) are new to the actor; from now on they are known."""
    weights = decay_factors(late)
    new_endpoint = not known(actor.templates, log.place)
    new_partner = not known(actor.counterparts, partner)
    new_agent = not known(actor.agents, log.agent)
    if new_endpoint:
        bump(actor, NEW_ENDPOINTS, 1.0, weights)
        add(actor.templates, log.place)
    if not known(actor.objects, log.object):
        bump(actor, NEW_URLS, 1.0, weights)
        add(actor.objects, log.object)
    if new_partner:
        bump(actor, NEW_COUNTERPARTS, 1.0, weights)
        add(actor.counterparts, partner)
    if log.denied and not known(actor.counterparts, partner ^ _DENIED_SALT):
        bump(actor, DENIED_COUNTERPARTS, 1.0, weights)
        add(actor.counterparts, partner ^ _DENIED_SALT)
    if new_agent:
        bump(actor, NEW_USER_AGENTS, 1.0, weights)
        add(actor.agents, log.agent)
    return new_endpoint, new_partner, new_agent


@kernel
def last_place(actor, gap):  # type: ignore[no-untyped-def]
    """The endpoint template before this log, or the start of a session."""
    return _START if actor.seen == 0 or gap > _SESSION else actor.place


@kernel
def move(actor, log, gap, late, step):  # type: ignore[no-untyped-def]
    """Bring the running means of rhythm, counting up and wandering up to date.

    From now on this log is the actor's last one.
    """
    if actor.seen > 0 and late == 0.0:
        pace = np.float32(max(_SLOW, 1.0 / actor.seen))
        difference = np.float32(math.log1p(gap)) - actor.gap_mean
        actor.gap_mean += pace * difference
        actor.gap_variance = (np.float32(1.0) - pace) * (
            actor.gap_variance + pace * difference * difference
        )
    if log.number >= 0.0 and actor.number >= 0.0:
        distance = abs(log.number - actor.number)
        hit = np.float32(1.0 if 1.0 <= distance <= 3.0 else 0.0)
        actor.sequential += np.float32(_SLOW) * (hit - actor.sequential)
    actor.transition_surprise += np.float32(max(_SLOW, 1.0 / (actor.seen + 1))) * (
        np.float32(step) - actor.transition_surprise
    )
    if log.number >= 0.0:
        actor.number = log.number
    actor.place = log.place
    if actor.seen < _MOST_SEEN:
        actor.seen += np.uint32(1)


@kernel
def _burst(hour, day):  # type: ignore[no-untyped-def]
    """The last hour's pace as a multiple of the last day's."""
    return (hour + 1.0) / (day / 24.0 + 1.0)


@kernel
def write(x, actor):  # type: ignore[no-untyped-def]
    """The actor's block of behaviours into x (44,), in the order of `features._ACTOR`, in their
    own units: the pass takes the logarithms of a whole row.
    """
    requests = actor.requests
    for h in range(4):
        x[h] = requests[h]
    x[4] = counted(actor, CLIENT_ERRORS, 0)
    x[5] = counted(actor, CLIENT_ERRORS, 2)
    x[6] = share(counted(actor, CLIENT_ERRORS, 1), requests[2], _PRIOR)
    x[7] = counted(actor, DENIED, 0)
    x[8] = counted(actor, DENIED, 2)
    x[9] = counted(actor, NOT_FOUND, 1)
    x[10] = share(counted(actor, NOT_FOUND, 2), requests[3], _PRIOR)
    x[11] = counted(actor, SERVER_ERRORS, 1)
    x[12] = counted(actor, WRITES, 0)
    x[13] = counted(actor, WRITES, 2)
    x[14] = share(counted(actor, WRITES, 1), requests[2], _PRIOR)
    x[15] = counted(actor, RESPONSE_KILOBYTES, 1)
    x[16] = counted(actor, RESPONSE_KILOBYTES, 2)
    x[17] = counted(actor, SERVER_SECONDS, 1)
    x[18] = counted(actor, NEW_ENDPOINTS, 0)
    x[19] = counted(actor, NEW_ENDPOINTS, 2)
    x[20] = counted(actor, NEW_URLS, 0)
    x[21] = counted(actor, NEW_URLS, 2)
    x[22] = (counted(actor, NEW_URLS, 2) + 1.0) / (counted(actor, NEW_ENDPOINTS, 2) + 1.0)
    x[23] = counted(actor, NEW_COUNTERPARTS, 2)
    x[24] = counted(actor, NEW_USER_AGENTS, 2)
    x[25] = (requests[1] + 1.0) / (requests[3] * (180.0 / 86_400.0) + 1.0)
    x[26] = math.sqrt(actor.gap_variance)
    x[27] = actor.sequential
    x[28] = actor.transition_surprise
    x[29] = max(0.0, actor.last - actor.first) / 3_600.0
    x[30] = (requests[2] + 1.0) / (counted(actor, NEW_URLS, 1) + 1.0)
    x[40] = counted(actor, FAILED_WRITES, 0)
    x[41] = counted(actor, FAILED_WRITES, 2)
    x[42] = _burst(counted(actor, RESPONSE_KILOBYTES, 1), counted(actor, RESPONSE_KILOBYTES, 2))
    x[43] = _burst(counted(actor, NEW_URLS, 1), counted(actor, NEW_URLS, 2))
    for odd in range(3):
        x[31 + 3 * odd] = counted(actor, PEER_SURPRISE_STATUSES + odd, 0)
        x[32 + 3 * odd] = counted(actor, PEER_SURPRISE_STATUSES + odd, 2)
        x[33 + 3 * odd] = share(
            counted(actor, PEER_SURPRISE_STATUSES + odd, 1), requests[2], _PRIOR
        )
