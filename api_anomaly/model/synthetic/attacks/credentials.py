"""Attacks on passwords, codes and accounts."""

import numpy as np

from api_anomaly.logs.columns import METHODS
from api_anomaly.model.synthetic.sampler import Episode, TrafficSampler, repeat_address

POST = METHODS.index("POST")


# OWASP OAT-007 Credential Cracking (also OAT-002 Token Cracking: coupons, one-time codes)
def credential_cracking(sampler: TrafficSampler) -> Episode:
    """One address repeats one write: passwords, coupons, one-time codes."""
    size = sampler.size()
    row = sampler.write_row()
    user, address, _ = sampler.stranger()
    status = sampler.attempt_statuses(row, size, (401, 403, 200, 400, 429))
    rows, times = np.full(size, row), sampler.times(size)
    agent = sampler.agent()
    addresses = repeat_address(address, size)
    return Episode(rows, times, user, addresses, agent, status=status, method=POST)


# OWASP OAT-008 Credential Stuffing
def credential_stuffing(sampler: TrafficSampler) -> Episode:
    """A few addresses repeat one write for many users."""
    size = sampler.size(10)
    row = sampler.write_row()
    pool = sampler.new_addresses(int(sampler.rng.integers(1, 12)))
    users = sampler.user_names(row, size)
    status = sampler.attempt_statuses(row, size, (401, 403, 200, 404))
    address = sampler.pick_addresses(pool, size)
    agent = sampler.agent()
    rows, times = np.full(size, row), sampler.times(size)
    return Episode(rows, times, None, address, agent, status=status, method=POST, users=users)


# OWASP OAT-008 Credential Stuffing, from a botnet
def distributed_stuffing(sampler: TrafficSampler) -> Episode:
    """One write from so many addresses that each sends only one or a few."""
    size = sampler.size(10, 150)
    row = sampler.write_row()
    pool = sampler.new_addresses(max(2, int(size / sampler.rng.uniform(1.0, 3.0))))
    address = sampler.pick_addresses(pool, size)
    users = sampler.user_names(row, size)
    status = sampler.attempt_statuses(row, size, (401, 403, 200, 404, 400))
    times = sampler.times(size, min_gap=1.0)
    agent = -1 if sampler.rng.random() < 0.5 else sampler.agent()
    rows = np.full(size, row)
    return Episode(rows, times, None, address, agent, status=status, method=POST, users=users)


# OWASP API2:2023 Broken Authentication (what follows OAT-007 and OAT-008)
def account_takeover(sampler: TrafficSampler) -> Episode:
    """An established user's account from a new address: failed logins, then reads and writes."""
    size, attempts = sampler.size(6, 120), int(sampler.rng.integers(0, 8))
    user, _ = sampler.account()
    rows = sampler.pick(sampler.writes, size)
    rows[:attempts] = rows[0]
    reads = sampler.rng.random(size) < sampler.rng.uniform(0.2, 0.8)
    reads[:attempts] = False
    rows[reads] = sampler.pick(sampler.all, int(reads.sum()))
    status = sampler.columns.status[rows].copy()
    status[:attempts] = 401
    agent = sampler.agent()
    address = repeat_address(sampler.new_addresses(1), size)
    return Episode(rows, sampler.times(size), user, address, agent, status=status)
