"""Traffic-wide baselines: shares of endpoints, transitions and novelties, and what is usual among
peers, the clients with the same family of user agents.

Each user's weight shrinks as it sends more, so that no client dominates: a log weighs
1 / (1 + n / 10), where n is how many requests its user made in the last hours. k logs in an hour
add about 10 log(1 + k / 10) instead of k. Among its peers a log weighs
1 / (its user's requests of the last days).

Whatever is a share of all traffic (of endpoints, methods, transitions, peers) is halved together
with it, at the same moment: a part that aged by itself would drift away from its whole.

Transitions and what peers do are counted in one table of hashed cells, without their keys. Two
pairs that share a cell (probability 1 / TRANSITIONS) look more usual than they are.
"""

import math

import numpy as np
from numpy.typing import NDArray

from api_anomaly.features.lru_table import USED, Table
from api_anomaly.features.probability import LOG2E, surprise
from api_anomaly.features.records import TRANSITIONS
from api_anomaly.kernels import Record, kernel
from api_anomaly.logs.columns import METHODS
from api_anomaly.logs.templates import join

#: Bits below which nothing is a peer surprise: what one of four peers does is plausible.
PLAUSIBLE_BITS = 2.0
_WEIGHT_LIMIT = 1_000_000.0  # above it all sums are halved
_TRANSITION_PRIOR, _PEER_PRIOR = 2.0, 20.0
_TOTAL = np.uint64(2)  # with it the total of all pairs with the same first key is counted
_CELL_MASK = np.uint64(TRANSITIONS - 1)

Cells = NDArray[np.float64]


@kernel
def _cell(first: np.uint64, second: np.uint64) -> np.uint64:
    """Where a pair of keys is counted."""
    return join(first, second) & _CELL_MASK


@kernel
def weight_of_user(requests: float) -> float:
    """The weight of one log of a user who made `requests` in the last hours."""
    return 1.0 / (1.0 + requests / 10.0)


@kernel
def endpoint_share(template: Record, traffic: Record) -> float:
    """The template's share of all traffic."""
    part: float = (template.total + 0.1) / (traffic.weight + 100.0)
    return part


@kernel
def endpoint_surprise(expected: float) -> float:
    """Bits of surprise of an endpoint with a share of `expected`."""
    return max(0.0, -math.log(expected) * LOG2E)


@kernel
def transition_surprise(
    cells: Cells, previous: np.uint64, template: np.uint64, expected: float
) -> float:
    """Bits of surprise of going from one template to another, whose share of all is `expected`."""
    part = cells[_cell(previous, template)]
    whole = cells[_cell(previous, _TOTAL)]
    return surprise(min(part, whole), whole, expected, _TRANSITION_PRIOR)


@kernel
def peer_surprises(
    cells: Cells, log: Record, peer_group: Record, traffic: Record, expected: float
) -> tuple[float, float, float]:
    """Bits beyond the plausible by which the log's status, its write and its endpoint (whose share
    of all traffic is `expected`) surprise among its peers.
    """
    has_peers = 1.0 if log.has_user_agent else 0.0
    weight, whole = has_peers * cells[_cell(log.user_agent, _TOTAL)], traffic.weight + 10.0
    expected_status = (cells[_cell(_TOTAL, np.uint64(log.status))] + 0.1) / whole
    part = cells[_cell(log.user_agent, np.uint64(log.status))]
    status = surprise(min(part, weight), weight, min(1.0, expected_status), _PEER_PRIOR)
    write = 0.0
    if log.write:
        expected_write = (traffic.writes + 1.0) / whole
        write = surprise(
            has_peers * peer_group.writes,
            has_peers * peer_group.weight,
            expected_write,
            _PEER_PRIOR,
        )
    part = cells[_cell(log.user_agent, log.template)]
    endpoint = surprise(min(part, weight), weight, expected, _PEER_PRIOR)
    return (
        max(0.0, status - PLAUSIBLE_BITS),
        max(0.0, write - PLAUSIBLE_BITS),
        max(0.0, endpoint - PLAUSIBLE_BITS),
    )


@kernel
def count_traffic(traffic: Record, log: Record, weight: float) -> None:
    """Add the log to the statuses and methods of all traffic."""
    traffic.weight += weight
    traffic.statuses[log.status_class] += weight
    traffic.methods[log.method] += weight
    traffic.writes += weight * log.write


@kernel
def count_transition(cells: Cells, previous: np.uint64, template: np.uint64, weight: float) -> None:
    cells[_cell(previous, template)] += weight
    cells[_cell(previous, _TOTAL)] += weight


@kernel
def count_peers(cells: Cells, log: Record, weight: float, peer_weight: float) -> None:
    """Add the log's status and endpoint to those of its peers."""
    cells[_cell(log.user_agent, log.template)] += peer_weight
    cells[_cell(log.user_agent, np.uint64(log.status))] += peer_weight
    cells[_cell(log.user_agent, _TOTAL)] += peer_weight
    cells[_cell(_TOTAL, np.uint64(log.status))] += weight


@kernel
def count_novelties(traffic: Record, new: tuple[bool, bool, bool, bool], weight: float) -> None:
    """Add what is new to a settled user, in the order of Novelty."""
    traffic.settled += weight
    for novelty in range(len(traffic.novelties)):
        if new[novelty]:
            traffic.novelties[novelty] += weight
    if traffic.settled > _WEIGHT_LIMIT:
        traffic.settled *= 0.5
        for novelty in range(len(traffic.novelties)):
            traffic.novelties[novelty] *= 0.5


@kernel
def halve_if_large(traffic: Record, endpoints: Table, cells: Cells) -> None:
    """Halve the weight of all traffic, and all parts of it, when it has become too large."""
    if traffic.weight <= _WEIGHT_LIMIT:
        return
    traffic.weight *= 0.5
    traffic.writes *= 0.5
    for status_class in range(len(traffic.statuses)):
        traffic.statuses[status_class] *= 0.5
    for method in range(len(METHODS)):
        traffic.methods[method] *= 0.5
    for slot in range(endpoints.state[USED]):
        endpoints.records[slot].total *= 0.5
    for cell in range(TRANSITIONS):
        cells[cell] *= 0.5
