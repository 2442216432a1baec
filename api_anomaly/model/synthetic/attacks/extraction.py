"""Extraction of data and exhaustion of resources."""

import numpy as np

from api_anomaly.model.synthetic.sampler import (
    Episode,
    TrafficSampler,
    repeat_address,
    replace_number,
)


# OWASP OAT-011 Scraping
def scraping(sampler: TrafficSampler) -> Episode:
    """One actor requests object after object, at the pace of a person or a program."""
    size = sampler.size(30, 600)
    user, address, own_agent = sampler.actor()
    rows = sampler.pick(sampler.pick(sampler.numbered, int(sampler.rng.integers(1, 5))), size)
    numbers = sampler.rng.integers(1, 10_000_000, size)
    urls = [
        replace_number(sampler.url(int(row)), int(number))
        for row, number in zip(rows, numbers, strict=True)
    ]
    agent = sampler.agent(own_agent)
    times = sampler.times(size, min_gap=1.0, max_gap=120.0)
    return Episode(rows, times, user, repeat_address(address, size), agent, urls)


# OWASP API6:2023 Unrestricted Access to Sensitive Business Flows
def bulk_exfiltration(sampler: TrafficSampler) -> Episode:
    """An established user downloads 5 to 200 times as much as before."""
    size = sampler.size(10, 300)
    user, own = sampler.account()
    row = sampler.pick_one(own)
    factor = sampler.factor(5.0, 200.0)
    rows, times = np.full(size, row), sampler.times(size)
    address = repeat_address(sampler.address(row), size)
    return Episode(
        rows, times, user, address, agent=row, size_factor=factor, time_factor=factor**0.5
    )


# OWASP OAT-015 Denial of Service, API4:2023 Unrestricted Resource Consumption
def expensive_queries(sampler: TrafficSampler) -> Episode:
    """An established user sends queries that take 5 to 100 times as long."""
    size = sampler.size(5, 150)
    user, own = sampler.account()
    row = sampler.pick_one(own)
    url = sampler.url(row)
    separator = "&" if "?" in url else "?"
    urls = [f"{url}{separator}{sampler.word()}={'%25' * 9}{sampler.word() * 4}"] * size
    factor = sampler.factor(5.0, 100.0)
    rows, times = np.full(size, row), sampler.times(size)
    address = repeat_address(sampler.address(row), size)
    return Episode(rows, times, user, address, row, urls, time_factor=factor)
