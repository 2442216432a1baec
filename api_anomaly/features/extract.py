"""One compiled pass over the logs: columns and memory in, behaviours out, memory up to date.

The same pass serves training and detection. It costs a few microseconds a log, independent of the
history's length.
"""

import math
from collections import namedtuple
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.kernels import kernel
from api_anomaly.features import actor as actors, endpoint as usual
from api_anomaly.features.table import ADDRESS, FEATURES, COUNTS, SINGLE, USER
from api_anomaly.logs.columns import Columns, Texts
from api_anomaly.features.logarithm import log1p_where
from api_anomaly.features.memory import Memory, State
from api_anomaly.features.log_record import LOG, read
from api_anomaly.features.sketches import add, known
from api_anomaly.features.lru_table import Table, find, see
from api_anomaly.features.decay import LOG2E, share, surprise

_SETTLED = 20  # logs after which a user's novelties say what is usual for users
_HOUR_PRIOR, _DAY_PRIOR = 6.0, 3.0
_WIDTH = len(FEATURES)

# `Columns` in the form that a kernel can take.
_Arrays = namedtuple("_Arrays", tuple(Columns.__dataclass_fields__))  # type: ignore[misc]


class Extraction(NamedTuple):
    """Behaviours (n, d), how many logs each log's user or address (the longer known) had before it
    (n,), and the keys of user, address and endpoint template (n, 3).
    """

    rows: NDArray[np.float32]
    history: NDArray[np.int64]
    keys: NDArray[np.uint64]


def observe(memory: Memory, columns: Columns, remember: bool = True) -> Extraction:
    """Behaviours of n logs in the order given, each against the past before it, which it joins.

    With `remember` false the logs still see one another, as they would if they were remembered,
    but `memory` stays as it was; nothing has to be forgotten for them. O(n).
    """
    state = memory.state if remember else _scratch(memory, _arrays(columns))
    n = len(columns.time)
    rows, history = np.empty((n, _WIDTH), np.float32), np.empty(n, np.int64)
    keys = np.empty((n, 3), np.uint64)
    c = columns
    who = *c.user, *c.endpoint, *c.agent, c.address
    what = c.method, c.status, c.response_time, c.request_size, c.response_size
    shared = state.shared, state.transitions
    _observe(*state.actors, *state.endpoints, *shared, c.time, *who, *what, rows, history, keys)
    return Extraction(rows, history, keys)


def actor_keys(columns: Columns) -> NDArray[np.uint64]:
    """Each log's user as a key (n,): equal keys are one user or, without one, one address."""
    return _all_keys(columns)[:, 0].copy()


def address_keys(columns: Columns) -> NDArray[np.uint64]:
    """Each log's address as a key (n,): equal keys are one address or, without one, one user."""
    return _all_keys(columns)[:, 1].copy()


def _all_keys(columns: Columns) -> NDArray[np.uint64]:
    keys = np.empty((len(columns), 5), np.uint64)
    _keys(_arrays(columns), np.zeros(1, LOG), keys)
    return keys


def _arrays(columns: Columns) -> Any:
    fields: Any = (getattr(columns, name) for name in Columns.__dataclass_fields__)
    return _Arrays(*fields)


def _scratch(memory: Memory, arrays: Any) -> State:
    keys = np.empty((len(arrays.time), 5), np.uint64)
    _keys(arrays, np.zeros(1, LOG), keys)
    return memory.scratch(np.unique(keys[:, :2]), np.unique(keys[:, 2:])).state


@kernel
def _keys(arrays, scratch, keys):  # type: ignore[no-untyped-def]
    """Keys of user, address, template, endpoint and peers per log into keys (n, 5)."""
    log = scratch[0]
    for i in range(len(arrays.time)):
        read(log, arrays, i)
        keys[i, 0], keys[i, 1] = log.user, log.address
        keys[i, 2], keys[i, 3], keys[i, 4] = log.place, log.endpoint, log.peers


@kernel
def _observe(  # type: ignore[no-untyped-def]
    records, index, links, order, blank, records2, index2, links2, order2, blank2,
    shared, transitions, time, user, user_ends, endpoint, endpoint_ends, agent, agent_ends,
    address, method, status, response_time, request_size, response_size, rows, history, keys,
):  # fmt: skip
    """The pass over n logs. It takes each array by itself: for one log alone, handing over named
    tuples of them would take longer than all the rest.
    """
    people = Table(records, index, links, order, blank)
    places = Table(records2, index2, links2, order2, blank2)
    state = State(people, places, shared, transitions)
    user, endpoint = Texts(user, user_ends), Texts(endpoint, endpoint_ends)
    arrays = _Arrays(  # type: ignore[call-arg]  # the fields of Columns
        time, user, endpoint, Texts(agent, agent_ends), method, status,
        response_time, request_size, response_size, address,
    )  # fmt: skip
    scratch = np.zeros(1, LOG)
    for i in range(len(time)):
        log = scratch[0]  # inside the loop: a record does not keep its array alive
        read(log, arrays, i)
        keys[i, 0], keys[i, 1], keys[i, 2] = log.user, log.address, log.place
        history[i] = _observe_one(state, log, rows[i])


@kernel
def _observe_one(state, log, x):  # type: ignore[no-untyped-def]
    """One log: behaviours into x (d,); returns how many logs its user or address had before."""
    user = state.actors.records[see(state.actors, log.user)]
    address = state.actors.records[see(state.actors, log.address)]
    place = state.endpoints.records[see(state.endpoints, log.place)]
    endpoint = state.endpoints.records[see(state.endpoints, log.endpoint)]
    peers = state.endpoints.records[see(state.endpoints, log.peers)]
    shared = state.shared[0]
    seen = max(user.seen, address.seen)
    _write_request(x[SINGLE:], log, endpoint, place, shared)
    known_before = user.seen

    user_gap, user_late = actors.settle(user, log.time)
    address_gap, address_late = actors.settle(address, log.time)
    weight = usual.weight_of_user(user.requests[2])
    before = actors.last_place(user, user_gap)
    expected = usual.endpoint_share(place, shared)
    step = usual.step_surprise(state.transitions, before, log.place, expected)
    address_step = usual.step_surprise(
        state.transitions, actors.last_place(address, address_gap), log.place, expected
    )
    _write_habits(x[SINGLE:], user, log, user_gap, step)

    log.odd_status, log.odd_write, log.odd_endpoint = usual.unlike_peers(
        log, peers, shared, state.transitions, expected
    )
    actors.count(user, log, user_late)
    actors.count(address, log, address_late)
    _write_novelties(x[SINGLE:], user, log, shared, weight, user_late)
    actors.meet(address, log, log.user, address_late)
    actors.move(user, log, user_gap, user_late, step)
    actors.move(address, log, address_gap, address_late, address_step)
    actors.write(x[USER:], user)
    actors.write(x[ADDRESS:], address)
    x[SINGLE] = actors.counted(address, actors.DENIED_COUNTERPARTS, 2)

    endpoint_late = usual.settle(endpoint, log.time)
    usual.join_lately(endpoint, log, known_before, weight, endpoint_late)
    _write_endpoint(x[SINGLE:], endpoint)

    usual.join_step(state.transitions, before, log.place, weight)
    _join_usual(state, log, known_before, weight, 1.0 / user.requests[3])
    log1p_where(x, COUNTS)
    return seen


@kernel
def _join_usual(state, log, seen, weight, peer_weight):  # type: ignore[no-untyped-def]
    """Let a log of a user with `seen` logs before it join what all users share."""
    usual.join_shared(state.shared[0], log, weight)
    for key in (log.endpoint, log.place):
        record = state.endpoints.records[find(state.endpoints, key)]
        usual.join_endpoint(record, log, seen, weight)
    peers = state.endpoints.records[find(state.endpoints, log.peers)]
    usual.join_endpoint(peers, log, seen, peer_weight)
    usual.join_peers(state.transitions, log, weight, peer_weight)
    usual.age(state.shared[0], state.endpoints, state.transitions)


@kernel
def _write_request(x, log, endpoint, place, shared):  # type: ignore[no-untyped-def]
    """The request against its endpoint's usual, and its shape (single rows 7 to 12, 14 to 18)."""
    x[7] = usual.excess(endpoint.moments[usual.LATENCY], log.latency)
    x[8] = usual.excess(endpoint.moments[usual.REQUEST_SIZE], log.request_size)
    x[9] = usual.excess(endpoint.moments[usual.RESPONSE_SIZE], log.response_size)
    x[10] = usual.status_surprise(endpoint, shared, log.status_class)
    x[11] = usual.method_rarity(endpoint, place, shared, log.method)
    x[12] = max(0.0, -math.log(usual.endpoint_share(place, shared)) * LOG2E)
    x[14] = log.length
    x[15] = log.depth
    x[16] = log.parameters
    x[17] = log.odd
    x[18] = log.longest


@kernel
def _write_endpoint(x, endpoint):  # type: ignore[no-untyped-def]
    """What happened at the endpoint lately, and what is usual there (single rows 19 to 24)."""
    refused = usual.refused_share(endpoint)
    newcomers = share(endpoint.newcomers, endpoint.weight, usual.PRIOR)
    x[19] = usual.surge(endpoint)
    x[20] = usual.above_usual(endpoint, usual.REFUSED, refused)
    x[21] = usual.above_usual(endpoint, usual.NEWCOMERS, newcomers)
    x[22] = refused
    x[23] = newcomers
    x[24] = share(endpoint.odd, endpoint.weight, usual.PRIOR)


@kernel
def _write_habits(x, user, log, gap, step):  # type: ignore[no-untyped-def]
    """The user's rhythm and step (the single rows 1, 2 and 13); then the hour joins its habit."""
    x[1] = gap
    x[13] = step
    hours = int(math.floor(log.time / 3_600.0))
    hour, day = hours % 24, (hours // 24 + 3) % 7  # the first of January 1970 was a Thursday
    x[2] = _hour_surprise(user, hour, day)
    if user.hour != day * 24 + hour:
        user.hour = day * 24 + hour
        _count_hour(user.hours, hour)
        _count_hour(user.days, day)


@kernel
def _hour_surprise(user, hour, day):  # type: ignore[no-untyped-def]
    """Bits by which this hour and day are rarer in the user's hours of activity than if all were
    alike.
    """
    earlier, later = user.hours[(hour + 23) % 24], user.hours[(hour + 1) % 24]
    near = (2.0 * user.hours[hour] + earlier + later) / 4.0
    by_hour = surprise(near, _sum(user.hours), 1.0 / 24.0, _HOUR_PRIOR) - math.log(24.0) * LOG2E
    that_day = float(user.days[day])
    by_day = surprise(that_day, _sum(user.days), 1.0 / 7.0, _DAY_PRIOR) - math.log(7.0) * LOG2E
    return max(0.0, by_hour) + max(0.0, by_day)


@kernel
def _sum(counts):  # type: ignore[no-untyped-def]
    total = 0.0
    for counted in counts:
        total += counted
    return total


@kernel
def _count_hour(counts, place):  # type: ignore[no-untyped-def]
    """One more hour of activity; all are halved when one would overflow."""
    if counts[place] == 255:
        for i in range(len(counts)):
            counts[i] >>= 1
    counts[place] += 1


@kernel
def _write_novelties(x, user, log, shared, weight, late):  # type: ignore[no-untyped-def]
    """What is new to the user, in bits of surprise (the single rows 3 to 6); then it is known."""
    new_network = not known(user.counterparts, log.network)
    if new_network:
        add(user.counterparts, log.network)
    seen, requests = float(user.seen), user.requests[3]
    own_endpoints = actors.counted(user, actors.NEW_ENDPOINTS, 2)
    own_partners = actors.counted(user, actors.NEW_COUNTERPARTS, 2)
    own_agents = actors.counted(user, actors.NEW_USER_AGENTS, 2)
    new_endpoint, new_address, new_agent = actors.meet(user, log, log.address, late)
    x[3] = usual.novelty(new_endpoint, own_endpoints, requests, shared, 0, seen)
    x[4] = usual.novelty(new_address, own_partners, requests, shared, 1, seen)
    x[5] = usual.novelty(new_network, own_partners, requests, shared, 2, seen)
    x[6] = usual.novelty(new_agent, own_agents, requests, shared, 3, seen)
    if user.seen >= _SETTLED:
        usual.join_novelties(shared, (new_endpoint, new_address, new_network, new_agent), weight)
