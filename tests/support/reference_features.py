"""The behaviour pass, slowly and plainly: dictionaries and floats, one log after the other.

Written from the BEHAVIOURS table and the docstrings. It shares with the kernels only the places of
the hashed cells. Values are in each behaviour's unit until the end.
"""

import math
from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from api_anomaly.features.table import FEATURES
from tests.support.reference_log_record import Read, join, read

HALF_LIVES = {"10s": 10.0, "3m": 180.0, "1h": 3_600.0, "1d": 86_400.0}
DAY = 86_400.0
START, ANYWHERE, PEERS, DENIED = 1, 2, 6, 0x9E3779B97F4A7C15
CLASSES, METHODS = 6, 10


class Forgetting:
    """Two generations of a filter of so many bits, two bits an item."""

    def __init__(self, bits: int) -> None:
        self.bits, self.now, self.before = bits, set[int](), set[int]()

    def meet(self, item: int) -> bool:
        """Whether `item` was new; now it is known."""
        places = {item % self.bits, (item >> 32) % self.bits}
        if places <= self.now or places <= self.before:
            return False
        self.now |= places
        if len(self.now) * 2 >= self.bits:
            self.now, self.before = set(), self.now
        return True


@dataclass
class Actor:
    """A user's or an address's past."""

    first: float = 0.0
    last: float = 0.0
    seen: int = 0
    place: int = 0
    number: float | None = None
    hour: int = -1
    counts: defaultdict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    gap_mean: float = 0.0
    gap_variance: float = 0.0
    sequential: float = 0.0
    transition_surprise: float = 0.0
    hours: Counter[int] = field(default_factory=Counter)
    days: Counter[int] = field(default_factory=Counter)
    templates: Forgetting = field(default_factory=lambda: Forgetting(128))
    objects: Forgetting = field(default_factory=lambda: Forgetting(128))
    counterparts: Forgetting = field(default_factory=lambda: Forgetting(128))
    agents: Forgetting = field(default_factory=lambda: Forgetting(64))

    def settle(self, time: float) -> tuple[float, float]:
        """Move to `time`; (seconds since the last log, seconds late)."""
        if not self.seen:
            self.first = self.last = time
        if time < self.last:
            late = self.last - time
            if late <= DAY:
                return 0.0, late
            self.last = time
            return 0.0, 0.0
        gap, self.last = time - self.last, time
        for name, span in self.counts:
            self.counts[name, span] *= 2.0 ** (-gap / HALF_LIVES[span])
        return gap, 0.0

    def count(self, name: str, amount: float, late: float) -> None:
        for span, half_life in HALF_LIVES.items():
            self.counts[name, span] += amount * 2.0 ** (-late / half_life)

    def count_log(self, log: Read, late: float) -> None:
        refused = 400 <= log.status < 500
        facts = {
            "requests": 1.0,
            "client_errors": refused,
            "denied": log.status in (401, 403),
            "not_found": log.status == 404,
            "server_errors": log.status >= 500,
            "writes": is_write(log),
            "failed_writes": is_write(log) and refused,
            "response_kilobytes": (log.response or 0.0) / 1_000.0,
            "server_seconds": log.seconds or 0.0,
        }
        for name, amount in facts.items():
            self.count(name, float(amount), late)

    def meet(self, log: Read, partner: int, late: float) -> dict[str, bool]:
        new = {
            "new_endpoints": self.templates.meet(log.place),
            "new_urls": self.objects.meet(log.object),
            "new_counterparts": self.counterparts.meet(partner),
            "failed": log.status in (401, 403) and self.counterparts.meet(partner ^ DENIED),
            "new_user_agents": self.agents.meet(log.agent),
        }
        for name, is_new in new.items():
            self.count(name, float(is_new), late)
        return new

    def before(self, gap: float) -> int:
        return START if self.seen == 0 or gap > 1_800.0 else self.place

    def move(self, log: Read, gap: float, late: float, step: float) -> None:
        if self.seen and late == 0.0:
            pace = max(0.1, 1.0 / self.seen)
            difference = math.log1p(gap) - self.gap_mean
            self.gap_mean += pace * difference
            self.gap_variance = (1.0 - pace) * (self.gap_variance + pace * difference**2)
        if log.number is not None:
            if self.number is not None:
                hit = 1.0 <= abs(log.number - self.number) <= 3.0
                self.sequential += 0.1 * (hit - self.sequential)
            self.number = log.number
        self.seen += 1
        self.transition_surprise += max(0.1, 1.0 / self.seen) * (step - self.transition_surprise)
        self.place = log.place

    def features(self) -> dict[str, float]:
        """Its block of the table, in units."""
        count = self.counts
        values = {f"{name}_{span}": amount for (name, span), amount in count.items()}
        shares = {
            "client_error_share_1h": ("client_errors", "1h"),
            "not_found_share_1d": ("not_found", "1d"),
            "write_share_1h": ("writes", "1h"),
            "peer_surprise_statuses_mean_1h": ("peer_surprise_statuses", "1h"),
            "peer_surprise_writes_mean_1h": ("peer_surprise_writes", "1h"),
            "peer_surprise_endpoints_mean_1h": ("peer_surprise_endpoints", "1h"),
        }
        for name, (part, span) in shares.items():
            values[name] = count[part, span] / (count["requests", span] + 3.0)
        for name in ("response_kilobytes_burst", "new_urls_burst"):
            what = {"response_kilobytes_burst": "response_kilobytes", "new_urls_burst": "new_urls"}[
                name
            ]
            values[name] = (count[what, "1h"] + 1.0) / (count[what, "1d"] / 24.0 + 1.0)
        objects, endpoints = count["new_urls", "1d"], count["new_endpoints", "1d"]
        daily = count["requests", "1d"] * 180.0 / DAY
        return values | {
            "urls_per_endpoint_1d": (objects + 1.0) / (endpoints + 1.0),
            "request_burst": (count["requests", "3m"] + 1.0) / (daily + 1.0),
            "requests_per_url_1h": (count["requests", "1h"] + 1.0)
            / (count["new_urls", "1h"] + 1.0),
            "interval_spread": math.sqrt(self.gap_variance),
            "sequential_share": self.sequential,
            "transition_surprise_mean": self.transition_surprise,
            "age": max(0.0, self.last - self.first) / 3_600.0,
        }


@dataclass
class Usual:
    """An endpoint's, template's or agent family's past."""

    voices: float = 0.0
    weight: float = 0.0
    statuses: list[float] = field(default_factory=lambda: [0.0] * CLASSES)
    writes: float = 0.0
    newcomers: float = 0.0
    odd: float = 0.0
    now: float | None = None
    lately: defaultdict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    moments: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0] * 3))

    def happen(self, log: Read, seen: int, weight_of_user: float) -> None:
        """A log of a user with `seen` logs before it joins what happened lately."""
        late = 0.0
        if self.now is None:
            self.now = log.time
        elif log.time >= self.now:
            for name, span in self.lately:
                self.lately[name, span] *= 2.0 ** (-(log.time - self.now) / HALF_LIVES[span])
            self.now = log.time
        elif self.now - log.time > DAY:
            self.now = log.time
        else:
            late = self.now - log.time
        facts = {"requests": True, "refused": 400 <= log.status < 500, "newcomers": seen < 3}
        for name, fact in facts.items():
            for span in ("1h", "1d"):
                self.lately[name, span] += fact * weight_of_user * 2.0 ** (-late / HALF_LIVES[span])

    def of_the_place(self) -> dict[str, float]:
        """The endpoint's rows of the table, in units."""
        shares = {
            "refused": sum(self.statuses[2:5]) / (self.weight + 5.0),
            "newcomers": self.newcomers / (self.weight + 5.0),
        }
        n = self.lately["requests", "1h"]
        excess = {
            name: (self.lately[name, "1h"] - n * p) / math.sqrt(n * p * (1.0 - p) + 1.0)
            for name, p in shares.items()
        }
        return {
            "endpoint_surge": (n + 1.0) / (self.lately["requests", "1d"] / 24.0 + 1.0),
            "endpoint_client_error_excess": max(0.0, min(8.0, excess["refused"])),
            "endpoint_newcomer_excess": max(0.0, min(8.0, excess["newcomers"])),
            "endpoint_client_error_share": shares["refused"],
            "endpoint_newcomer_share": shares["newcomers"],
            "endpoint_peer_surprise": self.odd / (self.weight + 5.0),
        }

    def learn(self, log: Read, weight_of_user: float, seen: int = 0, odd: float = 0.0) -> None:
        self.voices += weight_of_user
        self.weight += weight_of_user
        self.statuses[status_class(log.status)] += weight_of_user
        self.writes += weight_of_user * is_write(log)
        self.newcomers += weight_of_user * (seen < 3)
        self.odd += weight_of_user * odd
        if self.weight > 10_000.0:
            self.weight, self.writes = self.weight / 2, self.writes / 2
            self.newcomers, self.odd = self.newcomers / 2, self.odd / 2
            self.statuses = [part / 2 for part in self.statuses]
        for name, value in measures(log).items():
            weight, mean, variance = self.moments[name]
            weight = min(weight + weight_of_user, 1_000.0)
            pace, difference = weight_of_user / weight, value - mean
            variance = (1.0 - pace) * (variance + pace * difference**2)
            self.moments[name] = [weight, mean + pace * difference, variance]

    def excess(self, name: str, log: Read) -> float:
        weight, mean, variance = self.moments[name]
        value = measures(log).get(name)
        if value is None or weight < 5.0:
            return 0.0
        return max(-8.0, min(8.0, (value - mean) / (math.sqrt(variance) + 0.1)))


def is_write(log: Read) -> bool:
    return 2 <= log.method <= 5


def status_class(status: int) -> int:
    if status in (401, 403):
        return 3
    if status == 404:
        return 4
    return (0, 0, 0, 1, 2, 5)[min(5, status // 100)]


def measures(log: Read) -> dict[str, float]:
    """What is known of the log's time and sizes, as logarithms."""
    known = {}
    if log.seconds is not None:
        known["latency"] = math.log(log.seconds + 1e-4)
    if log.request is not None:
        known["request_size"] = math.log1p(log.request)
    if log.response is not None:
        known["response_size"] = math.log1p(log.response)
    return known


def bits(part: float, whole: float, expected: float, strength: float) -> float:
    probability = (part + strength * expected) / (whole + strength)
    return max(0.0, -math.log2(max(probability, 1e-9)))


class Naive:
    """A memory and its pass."""

    def __init__(self, actors: int = 1_000_000, endpoints: int = 1_000_000) -> None:
        self.actors: OrderedDict[int, Actor] = OrderedDict()
        self.endpoints: OrderedDict[int, Usual] = OrderedDict()
        self.package = actors, endpoints
        self.everybody, self.methods = Usual(), [0.0] * METHODS
        self.settled, self.novelties = 0.0, [0.0] * 4
        self.cells: defaultdict[int, float] = defaultdict(float)

    def rows(self, logs: list[dict[str, Any]]) -> NDArray[np.float64]:
        """The matrix (n, d) of these logs, as it is held: counts as log(1 + value)."""
        return np.array([_held(self.observe(read(log))) for log in logs]).reshape(-1, len(FEATURES))

    def cell(self, first: int, second: int, weight_of_user: float = 0.0) -> float:
        place = join(first, second) % (1 << 17)
        self.cells[place] += weight_of_user
        return self.cells[place]

    def step(self, before: int, place: int, share: float) -> float:
        whole = self.cell(before, ANYWHERE)
        return bits(min(self.cell(before, place), whole), whole, share, 2.0)

    def observe(self, log: Read) -> dict[str, float]:
        """Behaviours of one log in units, against the past before it; then it joins."""
        user, address = (_seen(self.actors, key, Actor, self.package[0]) for key in _who(log))
        place, endpoint, peers = (
            _seen(self.endpoints, key, Usual, self.package[1])
            for key in (log.place, log.endpoint, join(log.agent, PEERS))
        )
        values, seen = self.request(log, place, endpoint), user.seen
        gap, late = user.settle(log.time)
        address_gap, address_late = address.settle(log.time)
        weight_of_user = 1.0 / (1.0 + user.counts["requests", "1h"] / 10.0)
        before, share = user.before(gap), self.share(place)
        steps = [self.step(b, log.place, share) for b in (before, address.before(address_gap))]
        values |= {
            "user_gap": gap,
            "transition_surprise": steps[0],
            "user_hour_surprise": habit(user, log.time),
        }
        odd = self.unlike_peers(log, peers, share)
        for actor, lateness in ((user, late), (address, address_late)):
            actor.count_log(log, lateness)
            for name, surprise in odd.items():
                actor.count(name, surprise, lateness)
        values |= self.novelty(log, user, late, weight_of_user)
        address.meet(log, log.user, address_late)
        user.move(log, gap, late, steps[0])
        address.move(log, address_gap, address_late, steps[1])
        for who, actor in (("user", user), ("address", address)):
            values |= {f"{who}_{name}": value for name, value in actor.features().items()}
            counterparts = "addresses" if who == "user" else "users"
            values[f"{who}_new_{counterparts}_1d"] = actor.counts["new_counterparts", "1d"]
        values["address_denied_users_1d"] = address.counts["failed", "1d"]
        endpoint.happen(log, seen, weight_of_user)
        values |= endpoint.of_the_place()
        peer_voice, oddness = 1.0 / user.counts["requests", "1d"], sum(odd.values())
        self.join(log, weight_of_user, before, peer_voice)
        for usual, weight in (
            (endpoint, weight_of_user),
            (place, weight_of_user),
            (peers, peer_voice),
        ):
            usual.learn(log, weight, seen, oddness)
        self.age()
        return values

    def share(self, place: Usual) -> float:
        return (place.voices + 0.1) / (self.everybody.weight + 100.0)

    def request(self, log: Read, place: Usual, endpoint: Usual) -> dict[str, float]:
        everybody, kind = self.everybody, status_class(log.status)
        usual_status = (everybody.statuses[kind] + 1.0) / (everybody.weight + CLASSES)
        usual_method = (self.methods[log.method] + 1.0) / (everybody.weight + METHODS)
        excess = {
            f"{n}_excess": endpoint.excess(n, log)
            for n in ("latency", "request_size", "response_size")
        }
        return excess | {
            "status_surprise": bits(endpoint.statuses[kind], endpoint.weight, usual_status, 5.0),
            "method_surprise": bits(endpoint.voices, place.voices, usual_method, 5.0),
            "endpoint_surprise": max(0.0, -math.log2(self.share(place))),
            "endpoint_length": log.length,
            "path_depth": log.depth,
            "query_parameters": log.parameters,
            "unusual_characters": log.odd,
            "longest_token": log.longest,
        }

    def unlike_peers(self, log: Read, peers: Usual, share: float) -> dict[str, float]:
        known = float(log.agent_known)
        weight, whole = known * self.cell(log.agent, ANYWHERE), self.everybody.weight + 10.0
        code = (self.cell(ANYWHERE, log.status) + 0.1) / whole
        met = {
            "peer_surprise_statuses": (log.status, min(1.0, code)),
            "peer_surprise_endpoints": (log.place, share),
        }
        odd = {
            name: bits(min(self.cell(log.agent, item), weight), weight, expected, 20.0)
            for name, (item, expected) in met.items()
        }
        writes = (self.everybody.writes + 1.0) / whole
        write = bits(known * peers.writes, known * peers.weight, writes, 20.0)
        odd["peer_surprise_writes"] = write if is_write(log) else 0.0
        return {name: max(0.0, surprise - 2.0) for name, surprise in odd.items()}

    def novelty(
        self, log: Read, user: Actor, late: float, weight_of_user: float
    ) -> dict[str, float]:
        own = {
            name: user.counts[name, "1d"]
            for name in ("new_endpoints", "new_counterparts", "new_user_agents")
        }
        network = user.counterparts.meet(log.network)
        met = user.meet(log, log.address, late)
        kinds = (
            ("endpoint", met["new_endpoints"], own["new_endpoints"]),
            ("address", met["new_counterparts"], own["new_counterparts"]),
            ("network", network, own["new_counterparts"]),
            ("user_agent", met["new_user_agents"], own["new_user_agents"]),
        )
        values = {}
        for i, (name, is_new, before) in enumerate(kinds):
            expected = min(1.0, (self.novelties[i] + 1.0) / (self.settled + 10.0))
            surprise = bits(before, user.counts["requests", "1d"], expected, 5.0)
            values[f"user_new_{name}_surprise"] = is_new * surprise * user.seen / (user.seen + 5.0)
        if user.seen >= 20:
            self.settled += weight_of_user
            self.novelties = [
                n + weight_of_user * kind[1] for n, kind in zip(self.novelties, kinds, strict=True)
            ]
            if self.settled > 1e6:
                self.settled, self.novelties = self.settled / 2, [n / 2 for n in self.novelties]
        return values

    def join(self, log: Read, weight_of_user: float, before: int, peer_voice: float) -> None:
        everybody = self.everybody
        for first, second in ((before, log.place), (before, ANYWHERE), (ANYWHERE, log.status)):
            self.cell(first, second, weight_of_user)
        for item in (log.place, log.status, ANYWHERE):
            self.cell(log.agent, item, peer_voice)
        everybody.weight += weight_of_user
        everybody.writes += weight_of_user * is_write(log)
        everybody.statuses[status_class(log.status)] += weight_of_user
        self.methods[log.method] += weight_of_user

    def age(self) -> None:
        everybody = self.everybody
        if everybody.weight > 1e6:
            everybody.weight, everybody.writes = everybody.weight / 2, everybody.writes / 2
            everybody.statuses = [part / 2 for part in everybody.statuses]
            self.methods = [part / 2 for part in self.methods]
            self.cells = defaultdict(float, {place: w / 2 for place, w in self.cells.items()})
            for place in self.endpoints.values():
                place.voices /= 2


def habit(user: Actor, time: float) -> float:
    """Bits by which this hour and day are rare among the user's hours; then it joins them."""
    whole = math.floor(time / 3_600.0)
    hour, day = whole % 24, (whole // 24 + 3) % 7
    near = (2 * user.hours[hour] + user.hours[(hour + 1) % 24] + user.hours[(hour - 1) % 24]) / 4
    by_hour = bits(near, user.hours.total(), 1 / 24, 6.0) - math.log2(24)
    by_day = bits(user.days[day], user.days.total(), 1 / 7, 3.0) - math.log2(7)
    if user.hour != day * 24 + hour:
        user.hour = day * 24 + hour
        for counts, place in ((user.hours, hour), (user.days, day)):
            if counts[place] == 255:
                for other in counts:
                    counts[other] //= 2
            counts[place] += 1
    return max(0.0, by_hour) + max(0.0, by_day)


def _who(log: Read) -> tuple[int, int]:
    return log.user, log.address


def _seen(table: OrderedDict[int, Any], key: int, blank: Any, capacity: int) -> Any:
    """The record of `key`, now the latest seen; the one least recently seen makes room."""
    if key not in table:
        if len(table) == capacity:
            table.popitem(last=False)
        table[key] = blank()
    table.move_to_end(key)
    return table[key]


def _held(values: dict[str, float]) -> list[float]:
    return [
        math.log1p(values[row.name]) if row.scale == "log1p" else values[row.name]
        for row in FEATURES
    ]
