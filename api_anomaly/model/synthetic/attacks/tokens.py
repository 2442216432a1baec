"""Misuse of valid tokens and keys."""

from api_anomaly.model.synthetic.sampler import Episode, TrafficSampler, repeat_address


# OWASP API2:2023 Broken Authentication
def token_theft(sampler: TrafficSampler) -> Episode:
    """An established user's token at a new address: other user agent, endpoints and writes."""
    size = sampler.size(6, 200)
    user, _ = sampler.account()
    rows = sampler.pick(sampler.all, size)
    writes = sampler.rng.random(size) < sampler.rng.uniform(0.0, 0.5)
    rows[writes] = sampler.pick(sampler.writes, int(writes.sum()))
    agent = sampler.agent()
    times = sampler.times(size)
    return Episode(rows, times, user, repeat_address(sampler.new_addresses(1), size), agent)


# OWASP API2:2023 Broken Authentication
def key_sharing(sampler: TrafficSampler) -> Episode:
    """One user's key at several addresses and with several user agents at the same time."""
    size = sampler.size(20, 300)
    user, _ = sampler.account()
    pool = sampler.new_addresses(int(sampler.rng.integers(3, 25)))
    address = sampler.pick_addresses(pool, size)
    rows, times = sampler.pick(sampler.all, size), sampler.times(size, max_gap=120.0)
    return Episode(rows, times, user, address, agent=-1)
