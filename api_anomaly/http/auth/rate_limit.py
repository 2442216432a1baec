"""Limit on failed logins per address. Bounded in memory, never written anywhere."""

import ipaddress
from collections import OrderedDict
from typing import NamedTuple

#: Addresses that are kept at most; the one that failed longest ago is dropped for a new one.
_MAX_ADDRESSES = 10_000
#: Host bits of an IPv6 address: one customer usually has a whole /64.
_IPV6_HOST_BITS = 64


class _Bucket(NamedTuple):
    """Failures that have not leaked out yet, and when that was computed (seconds)."""

    level: float
    updated_at: float


class LoginRateLimiter:
    """A leaky bucket for each address: `per_minute` failures fill it, a minute empties it."""

    def __init__(self, per_minute: int, max_addresses: int = _MAX_ADDRESSES) -> None:
        self._capacity = float(per_minute)
        self._max_addresses = max_addresses
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        """Number of addresses kept."""
        return len(self._buckets)

    def exhausted(self, address: str, now: float) -> bool:
        """Whether `address` has too many recent failures. `now`: seconds of a monotonic clock."""
        return self._level(_network(address), now) > self._capacity - 1.0

    def failed(self, address: str, now: float) -> None:
        """Count a failure of `address`."""
        network = _network(address)
        level = min(self._capacity, self._level(network, now) + 1.0)
        self._buckets[network] = _Bucket(level, now)
        self._buckets.move_to_end(network)
        if len(self._buckets) > self._max_addresses:
            self._buckets.popitem(last=False)

    def _level(self, network: str, now: float) -> float:
        bucket = self._buckets.get(network)
        if bucket is None:
            return 0.0
        return max(0.0, bucket.level - (now - bucket.updated_at) * self._capacity / 60.0)


def _network(address: str) -> str:
    """An IPv4 address itself, the /64 of an IPv6 address; any other text as it is."""
    if ":" not in address:
        return address
    try:
        number = int(ipaddress.IPv6Address(address.partition("%")[0]))
    except ValueError:
        return address
    return f"{number >> _IPV6_HOST_BITS:x}::"
