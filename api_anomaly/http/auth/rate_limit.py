"""Failed attempts to log in, by address: how many are let through in a minute.

The store is bounded; the address that failed longest ago makes room. Nothing of it is written
anywhere.
"""

import ipaddress
from collections import OrderedDict
from typing import NamedTuple

#: Addresses that are kept; more of them need more machines than tokens are worth.
_ADDRESSES = 10_000
#: IPv6: whoever has one address has the whole /64.
_HOST_BITS = 64


class _Bucket(NamedTuple):
    """Failures that have not yet been forgotten, and when they were counted."""

    level: float
    at: float


class LoginRateLimiter:
    """A leaking bucket for each address: `per_minute` failures fill it, and a minute empties it."""

    def __init__(self, per_minute: int, addresses: int = _ADDRESSES) -> None:
        self._most = float(per_minute)
        self._addresses = addresses
        self._buckets: OrderedDict[str, _Bucket] = OrderedDict()

    def __len__(self) -> int:
        """Addresses that are kept."""
        return len(self._buckets)

    def exhausted(self, address: str, now: float) -> bool:
        """Whether `address` failed so often that its guesses are no longer looked at.

        `now` is in seconds of any clock that never goes back.
        """
        return self._level(_group(address), now) > self._most - 1.0

    def failed(self, address: str, now: float) -> None:
        """Count a failure of `address`."""
        group = _group(address)
        self._buckets[group] = _Bucket(min(self._most, self._level(group, now) + 1.0), now)
        self._buckets.move_to_end(group)
        if len(self._buckets) > self._addresses:
            self._buckets.popitem(last=False)

    def _level(self, group: str, now: float) -> float:
        bucket = self._buckets.get(group)
        if bucket is None:
            return 0.0
        return max(0.0, bucket.level - (now - bucket.at) * self._most / 60.0)


def _group(address: str) -> str:
    """The address, or the network of an IPv6 address; text that is no address stands for itself."""
    if ":" not in address:
        return address
    try:
        number = int(ipaddress.IPv6Address(address.partition("%")[0]))
    except ValueError:
        return address
    return f"{number >> _HOST_BITS:x}::"
