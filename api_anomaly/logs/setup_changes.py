"""Wrong set-ups that show from block to block: one client's share, fields and units that change.

Each check remembers a few numbers of the blocks before.
"""

import math
from dataclasses import dataclass

from api_anomaly.logs.setup_sample import BLOCK_LOGS, FIELDS, Facts, Quantiles

_HOUR, _WEEK = 3_600.0, 7 * 86_400.0

#: Share of one client, from which on and until which it is most of the traffic.
_MOST, _NO_LONGER_MOST = 0.5, 0.4
#: Each block before counts this much less: the last 20,000 logs count most.
_FADING = 0.95
#: Attackers who send more than all others do not do so for six hours.
_ONE_CLIENT_SECONDS = 6 * _HOUR
#: Logs to judge from: one morning's thousand is no traffic.
_ENOUGH = 1.5 * BLOCK_LOGS
#: Frequent clients that are followed. One with half of the logs is among them.
_FOLLOWED = 8
#: With fewer clients nobody is disturbed: one integration that calls one API.
_MIN_CLIENTS = 5


@dataclass(slots=True)
class _Followed:
    logs: float
    since: float


class OneClient:
    """One client is most of the traffic."""

    def __init__(self) -> None:
        self._logs = 0.0
        self._clients: dict[int, _Followed] = {}
        self._others = 0.0
        self._found: int | None = None

    def judge(self, block: Facts, now: float) -> str | None:
        self._follow(block)
        if self._logs < _ENOUGH or not self._clients:
            self._found = None
            return None
        key, client = max(self._clients.items(), key=lambda item: item[1].logs)
        share = client.logs / self._logs
        lasts = key == self._found or block.last - client.since >= _ONE_CLIENT_SECONDS
        needed = _NO_LONGER_MOST if key == self._found else _MOST
        if share < needed or not lasts or self._others < _MIN_CLIENTS:
            self._found = None
            return None
        self._found = key
        return (
            f"One client sent {_percent(share)} of the latest logs. If it is a health probe, a"
            " monitor or a load test, leave it out of what is logged and trained on: what is"
            " ordinary is else learned of it, not of the people."
        )

    def _follow(self, block: Facts) -> None:
        self._logs = _FADING * self._logs + block.n
        self._others = max(_FADING * self._others, block.clients - 1.0)
        for client in self._clients.values():
            client.logs *= _FADING
        for key, logs in block.top:
            known = self._clients.setdefault(key, _Followed(0.0, block.first))
            known.logs, known.since = known.logs + logs, min(known.since, block.first)
        frequent = sorted(self._clients.items(), key=lambda item: -item[1].logs)
        self._clients = dict(frequent[:_FOLLOWED])


#: Share of the logs that had a field before it stopped, and logs that lack it since.
_HAD, _LACKING = 0.5, 1_000
#: Each block changes what is usual by a fifth.
_LEARNING = 0.2
#: What lasts for a week is how it is now.
_GIVEN_UP = _WEEK


class FieldStopped:
    """A field that most logs had is in none of the last 1,000, though the same crowd sends them:
    at night, or in a flood, fewer users, addresses and endpoints are left to lack it."""

    def __init__(self) -> None:
        self._usual: dict[str, float] = {}
        self._crowd: list[float] = []
        self._lacking: dict[str, int] = dict.fromkeys(FIELDS, 0)
        self._stopped: dict[str, float] = {}

    def judge(self, block: Facts, now: float) -> str | None:
        if not self._usual:
            self._usual, self._crowd = dict(block.present), [float(n) for n in block.crowd]
            self._count(block)
            return None
        self._count(block)
        for name in FIELDS:
            stops = self._lacking[name] >= _LACKING and self._usual[name] >= _HAD
            if block.present[name] > 0:
                self._stopped.pop(name, None)
            elif now - self._stopped.get(name, now) > _GIVEN_UP:
                del self._stopped[name]
                self._usual[name] = 0.0
            elif stops and self._is_usual_crowd(block):
                self._stopped.setdefault(name, now)
        self._learn(block)
        if not self._stopped:
            return None
        names = " and ".join(self._stopped)
        return (
            f"The {names} stopped: most logs had them before, and none of the last"
            f" {min(self._lacking[name] for name in self._stopped):,} has. Look for a change of the"
            " log format or of the shipper; if it is intended, train again on logs like the new"
            " ones."
        )

    def _count(self, block: Facts) -> None:
        for name in FIELDS:
            absent = block.absent[name]
            whole = absent == block.n
            self._lacking[name] = self._lacking[name] + absent if whole else absent

    def _is_usual_crowd(self, block: Facts) -> bool:
        """A quarter of the usual number of each kind that the block has at all."""
        pairs = zip(block.crowd, self._crowd, strict=True)
        return all(now >= 0.25 * usual for now, usual in pairs if now > 0)

    def _learn(self, block: Facts) -> None:
        for name in FIELDS:
            if name not in self._stopped:
                self._usual[name] += _LEARNING * (block.present[name] - self._usual[name])
        if not self._stopped:
            self._crowd = [
                usual + _LEARNING * (now - usual)
                for usual, now in zip(self._crowd, block.crowd, strict=True)
            ]


#: Powers of ten between units of time, and by how many a quantile may differ from them. An
#: overload does not make the fastest tenth, the median and the slowest tenth longer alike.
_UNITS = {
    -6: "a millionth of",
    -3: "a thousandth of",
    3: "1,000 times",
    6: "1,000,000 times",
}
_UNIT_DIFFERENCE = 0.5
#: Whole numbers with this median in seconds are milliseconds: nobody waits 20 seconds for half of
#: the answers. Also from 3 seconds on if a hundredth takes over the 60 seconds that proxies allow.
_WHOLE, _SLOW, _SLOW_WITH_LONG, _LONG = 0.95, 20.0, 3.0, 60.0


class UnitChanged:
    """Response times are in another unit than before, or are milliseconds from the start."""

    def __init__(self) -> None:
        self._usual: list[float] | None = None
        self._since: float | None = None
        self._said: str | None = None

    def judge(self, block: Facts, now: float) -> str | None:
        seconds = block.seconds
        if seconds is None:
            return self._said
        logs = [math.log10(value) for value in seconds[:3]]
        power = self._power(logs)
        if power and now - (self._since or now) <= _GIVEN_UP:
            self._since = self._since or now
            self._said = self._changed(power)
        else:
            self._since = None
            self._learn(logs, power)
            self._said = self._always_wrong(seconds)
        return self._said

    def _always_wrong(self, seconds: Quantiles) -> str | None:
        slow = seconds.median > _SLOW
        slow |= seconds.median >= _SLOW_WITH_LONG and seconds.highest > _LONG
        if not slow or seconds.whole < _WHOLE:
            return None
        return (
            f"Half of the response times are above {seconds.median:,.0f} seconds, in whole numbers:"
            " they are probably milliseconds. Send seconds, or name the format so that its unit is"
            " known."
        )

    def _power(self, logs: list[float]) -> int:
        """The power of ten by which all quantiles differ from the usual ones; 0: no unit's."""
        if self._usual is None:
            return 0
        differences = [now - usual for now, usual in zip(logs, self._usual, strict=True)]
        for power in _UNITS:
            if all(abs(each - power) <= _UNIT_DIFFERENCE for each in differences):
                return power
        return 0

    def _learn(self, logs: list[float], power: int) -> None:
        if self._usual is None or power:
            self._usual = logs
        self._usual = [u + _LEARNING * (n - u) for u, n in zip(self._usual, logs, strict=True)]

    def _changed(self, power: int) -> str:
        return (
            f"The response times are now about {_UNITS[power]} those before: their unit changed."
            " Send seconds as before, or name the format so that its unit is known."
        )


def _percent(share: float) -> str:
    return f"{100.0 * share:.0f} %"
