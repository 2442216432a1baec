"""Searches for objects, endpoints, permissions and weaknesses."""

import numpy as np

from api_anomaly.logs.columns import METHODS
from api_anomaly.model.synthetic.sampler import (
    Episode,
    TrafficSampler,
    repeat_address,
    replace_number,
)

_POST = METHODS.index("POST")
_SCAN_STATUSES = (404, 403, 301, 200, 400)


# OWASP API1:2023 Broken Object Level Authorization
def enumeration(sampler: TrafficSampler) -> Episode:
    """One actor requests the objects of one endpoint by number, in sequence or at random."""
    size = sampler.size(8)
    row = sampler.pick_one(sampler.numbered)
    start = 1 if sampler.rng.random() < 0.5 else int(sampler.rng.integers(1, 100_000))
    sequential = sampler.rng.random() < 0.5
    numbers = start + np.arange(size) if sequential else sampler.rng.integers(1, 1_000_000, size)
    user, address, own_agent = sampler.actor()
    status = sampler.statuses(size, (200, 404, 403))
    urls = [replace_number(sampler.url(row), int(number)) for number in numbers]
    agent = sampler.agent(own_agent)
    rows, times = np.full(size, row), sampler.times(size)
    return Episode(rows, times, user, repeat_address(address, size), agent, urls, status)


# OWASP OAT-014 Vulnerability Scanning, API9:2023 Improper Inventory Management
def path_scanning(sampler: TrafficSampler) -> Episode:
    """One address requests paths that do not exist."""
    size = sampler.size(5)
    user, address, _ = sampler.stranger()
    urls = [sampler.unused_path(int(row)) for row in sampler.pick(sampler.all, size)]
    status = sampler.statuses(size, _SCAN_STATUSES)
    agent = sampler.agent()
    method = _POST if sampler.rng.random() < 0.2 else 0
    rows, times = sampler.pick(sampler.all, size), sampler.times(size)
    return Episode(rows, times, user, repeat_address(address, size), agent, urls, status, method)


# OWASP API5:2023 Broken Function Level Authorization
def privilege_probing(sampler: TrafficSampler) -> Episode:
    """An established user requests endpoints that it may not use."""
    size = sampler.size(5, 150)
    user, address, own_agent = sampler.account_user()
    rows = sampler.pick(np.unique(sampler.pick(sampler.all, 60)), size)
    status = sampler.statuses(size, (403, 403, 401, 404, 200))
    agent = sampler.agent(own_agent)
    times = sampler.times(size)
    return Episode(rows, times, user, repeat_address(address, size), agent, status=status)


# OWASP OAT-018 Footprinting
def lone_probe(sampler: TrafficSampler) -> Episode:
    """A stranger sends one to five unusual requests and does not return."""
    size = int(sampler.rng.integers(1, 6))
    user, address, _ = sampler.stranger()
    rows = sampler.pick(sampler.all, size)
    urls = [sampler.unused_path(int(row)) for row in rows]
    if len(sampler.rare) and sampler.rng.random() < 0.5:
        rows = sampler.pick(sampler.rare, size)
        urls = [sampler.url(int(row)) for row in rows]
    status = sampler.statuses(size, _SCAN_STATUSES)
    agent = sampler.one_agent_or_many()
    method = _POST if sampler.rng.random() < 0.2 else 0
    times = sampler.times(size)
    return Episode(rows, times, user, repeat_address(address, size), agent, urls, status, method)


# OWASP OAT-014 Vulnerability Scanning
def fuzzing(sampler: TrafficSampler) -> Episode:
    """One actor sends malformed parameters to a few endpoints."""
    size = sampler.size(4, 150)
    rows = sampler.pick(sampler.pick(sampler.all, int(sampler.rng.integers(1, 8))), size)
    urls = []
    for row in rows:
        path = sampler.url(int(row)).split("?")[0]
        special = "".join(sampler.rng.choice(list("%{|}\\^`"), int(sampler.rng.integers(1, 30))))
        urls.append(f"{path}?{sampler.word()}={special}{sampler.word()}")
    status = sampler.statuses(size, (200, 400, 403, 404, 500))
    user, address, own_agent = sampler.actor()
    times = sampler.times(size)
    agent = sampler.one_agent_or_many() if own_agent is None else own_agent
    return Episode(rows, times, user, repeat_address(address, size), agent, urls, status)
