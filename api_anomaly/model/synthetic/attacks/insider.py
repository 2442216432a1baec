"""Misuse by the team's own users."""

from api_anomaly.model.synthetic.sampler import Episode, TrafficSampler, repeat_address


# OWASP API6:2023 Unrestricted Access to Sensitive Business Flows
def off_hours_insider(sampler: TrafficSampler) -> Episode:
    """An established user at hours at which it is never active, on endpoints of others."""
    size = sampler.size(10, 200)
    user, own = sampler.account()
    times = sampler.times(size, max_gap=60.0)
    times = sampler.shift_to_inactive_hours(own, times)
    rows = sampler.pick(sampler.all, size)
    address = repeat_address(sampler.address(int(own[0])), size)
    return Episode(rows, times, user, address, agent=int(own[0]))
