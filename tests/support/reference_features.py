"""The feature extraction, slowly and plainly: dictionaries and floats, one log after the other.

Written from the FEATURES table and the docstrings. It shares with the kernels only which pairs
fall into one hashed cell. Values are in each feature's unit until the end.
"""

import math
from collections import Counter, OrderedDict, defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from api_anomaly.features.table import FEATURES
from tests.support.reference_log_record import ParsedLog, join, parse

HALF_LIVES = {"10s": 10.0, "3m": 180.0, "1h": 3_600.0, "1d": 86_400.0}
DAY, SESSION = 86_400.0, 1_800.0
SESSION_START, TOTAL, PEER_GROUP, DENIED = 1, 2, 6, 0x9E3779B97F4A7C15
STATUS_CLASSES, METHODS = 6, 10


class ForgettingSet:
    """Two generations of a Bloom filter of so many bits, two bits an item."""

    def __init__(self, bits: int) -> None:
        self.bits, self.current, self.previous = bits, set[int](), set[int]()

    def add_new(self, item: int) -> bool:
        """Whether `item` was new; now it is in the set."""
        bits = {item % self.bits, (item >> 32) % self.bits}
        if bits <= self.current or bits <= self.previous:
            return False
        self.current |= bits
        if len(self.current) * 2 >= self.bits:
            self.current, self.previous = set(), self.current
        return True


@dataclass
class Actor:
    """The record of a user or an address."""

    first: float = 0.0
    last: float = 0.0
    seen: int = 0
    template: int = 0
    number: float | None = None
    hour: int = -1
    counts: defaultdict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    interval_mean: float = 0.0
    interval_variance: float = 0.0
    sequential_share: float = 0.0
    transition_surprise: float = 0.0
    hours: Counter[int] = field(default_factory=Counter)
    days: Counter[int] = field(default_factory=Counter)
    templates: ForgettingSet = field(default_factory=lambda: ForgettingSet(128))
    urls: ForgettingSet = field(default_factory=lambda: ForgettingSet(128))
    counterparts: ForgettingSet = field(default_factory=lambda: ForgettingSet(128))
    user_agents: ForgettingSet = field(default_factory=lambda: ForgettingSet(64))

    def settle(self, time: float, now: float) -> tuple[float, float]:
        """Move to `time`; (seconds since the last log, seconds of lateness)."""
        if not self.seen:
            self.first = self.last = time
        if time < self.last:
            lateness = self.last - time
            if lateness <= DAY or self.last <= now + DAY:
                return 0.0, lateness
            self.last = time
            return 0.0, 0.0
        gap, self.last = time - self.last, time
        for name, half_life in self.counts:
            self.counts[name, half_life] *= 2.0 ** (-gap / HALF_LIVES[half_life])
        return gap, 0.0

    def add_count(self, name: str, amount: float, lateness: float) -> None:
        for half_life, seconds in HALF_LIVES.items():
            self.counts[name, half_life] += amount * 2.0 ** (-lateness / seconds)

    def count_log(self, log: ParsedLog, lateness: float) -> None:
        is_client_error = 400 <= log.status < 500
        amounts = {
            "requests": 1.0,
            "client_errors": is_client_error,
            "denied": log.status in (401, 403),
            "not_found": log.status == 404,
            "server_errors": log.status >= 500,
            "writes": is_write(log),
            "failed_writes": is_write(log) and is_client_error,
            "response_kilobytes": (log.response_bytes or 0.0) / 1_000.0,
            "server_seconds": log.seconds or 0.0,
        }
        for name, amount in amounts.items():
            self.add_count(name, float(amount), lateness)

    def count_new(self, log: ParsedLog, counterpart: int, lateness: float) -> dict[str, bool]:
        new = {
            "new_endpoints": self.templates.add_new(log.template),
            "new_urls": self.urls.add_new(log.url),
            "new_counterparts": self.counterparts.add_new(counterpart),
            "denied_counterparts": log.status in (401, 403)
            and self.counterparts.add_new(counterpart ^ DENIED),
            "new_user_agents": self.user_agents.add_new(log.user_agent),
        }
        for name, is_new in new.items():
            self.add_count(name, float(is_new), lateness)
        return new

    def previous_template(self, gap: float) -> int:
        return SESSION_START if self.seen == 0 or gap > SESSION else self.template

    def update_means(self, log: ParsedLog, gap: float, lateness: float, surprise: float) -> None:
        self.seen += 1
        if lateness > SESSION:
            return
        if self.seen > 1 and lateness == 0.0:
            rate = max(0.1, 1.0 / (self.seen - 1))
            difference = math.log1p(gap) - self.interval_mean
            self.interval_mean += rate * difference
            self.interval_variance = (1.0 - rate) * (self.interval_variance + rate * difference**2)
        if log.number is not None:
            if self.number is not None:
                is_step = 1.0 <= abs(log.number - self.number) <= 3.0
                self.sequential_share += 0.1 * (is_step - self.sequential_share)
            self.number = log.number
        rate = max(0.1, 1.0 / self.seen)
        self.transition_surprise += rate * (surprise - self.transition_surprise)
        self.template = log.template

    def features(self) -> dict[str, float]:
        """The actor's block of the table, in units."""
        count = self.counts
        values = {f"{name}_{half_life}": amount for (name, half_life), amount in count.items()}
        for name, (part, half_life) in {
            "client_error_share_1h": ("client_errors", "1h"),
            "not_found_share_1d": ("not_found", "1d"),
            "write_share_1h": ("writes", "1h"),
            "peer_surprise_statuses_mean_1h": ("peer_surprise_statuses", "1h"),
            "peer_surprise_writes_mean_1h": ("peer_surprise_writes", "1h"),
            "peer_surprise_endpoints_mean_1h": ("peer_surprise_endpoints", "1h"),
        }.items():
            values[name] = count[part, half_life] / (count["requests", half_life] + 3.0)
        for name in ("response_kilobytes", "new_urls"):
            values[f"{name}_burst"] = (count[name, "1h"] + 1.0) / (count[name, "1d"] / 24.0 + 1.0)
        urls, endpoints = count["new_urls", "1d"], count["new_endpoints", "1d"]
        daily = count["requests", "1d"] * 180.0 / DAY
        return values | {
            "urls_per_endpoint_1d": (urls + 1.0) / (endpoints + 1.0),
            "request_burst": (count["requests", "3m"] + 1.0) / (daily + 1.0),
            "requests_per_url_1h": (count["requests", "1h"] + 1.0)
            / (count["new_urls", "1h"] + 1.0),
            "interval_spread": math.sqrt(self.interval_variance),
            "sequential_share": self.sequential_share,
            "transition_surprise_mean": self.transition_surprise,
            "age": max(0.0, self.last - self.first) / 3_600.0,
        }


@dataclass
class Baseline:
    """The record of an endpoint, a template or a peer group."""

    total: float = 0.0
    weight: float = 0.0
    statuses: list[float] = field(default_factory=lambda: [0.0] * STATUS_CLASSES)
    writes: float = 0.0
    newcomers: float = 0.0
    peer_surprise: float = 0.0
    clock: float | None = None
    recent: defaultdict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    moments: dict[str, list[float]] = field(default_factory=lambda: defaultdict(lambda: [0.0] * 3))

    def count_recent(self, log: ParsedLog, prior_logs: int, weight: float, now: float) -> None:
        """Decay the recent counts and add a log of a user with `prior_logs` logs before it."""
        lateness = 0.0
        if self.clock is None:
            self.clock = log.time
        elif log.time >= self.clock:
            for name, half_life in self.recent:
                decay = 2.0 ** (-(log.time - self.clock) / HALF_LIVES[half_life])
                self.recent[name, half_life] *= decay
            self.clock = log.time
        elif self.clock - log.time > DAY and self.clock > now + DAY:
            self.clock = log.time
        else:
            lateness = self.clock - log.time
        amounts = {
            "requests": True,
            "client_errors": 400 <= log.status < 500,
            "newcomers": prior_logs < 3,
        }
        for name, amount in amounts.items():
            for half_life in ("1h", "1d"):
                decayed = weight * 2.0 ** (-lateness / HALF_LIVES[half_life])
                self.recent[name, half_life] += amount * decayed

    def features(self) -> dict[str, float]:
        """The endpoint's rows of the table, in units."""
        shares = {
            "client_errors": sum(self.statuses[2:5]) / (self.weight + 5.0),
            "newcomers": self.newcomers / (self.weight + 5.0),
        }
        n = self.recent["requests", "1h"]
        excess = {
            name: (self.recent[name, "1h"] - n * p) / math.sqrt(n * p * (1.0 - p) + 1.0)
            for name, p in shares.items()
        }
        return {
            "endpoint_surge": (n + 1.0) / (self.recent["requests", "1d"] / 24.0 + 1.0),
            "endpoint_client_error_excess": max(0.0, min(8.0, excess["client_errors"])),
            "endpoint_newcomer_excess": max(0.0, min(8.0, excess["newcomers"])),
            "endpoint_client_error_share": shares["client_errors"],
            "endpoint_newcomer_share": shares["newcomers"],
            "endpoint_peer_surprise": self.peer_surprise / (self.weight + 5.0),
        }

    def update(
        self, log: ParsedLog, weight: float, prior_logs: int = 0, peer_surprise: float = 0.0
    ) -> None:
        self.total += weight
        self.weight += weight
        self.statuses[status_class(log.status)] += weight
        self.writes += weight * is_write(log)
        self.newcomers += weight * (prior_logs < 3)
        self.peer_surprise += weight * peer_surprise
        if self.weight > 10_000.0:
            self.weight, self.writes = self.weight / 2, self.writes / 2
            self.newcomers, self.peer_surprise = self.newcomers / 2, self.peer_surprise / 2
            self.statuses = [part / 2 for part in self.statuses]
        for name, value in measurements(log).items():
            remembered, mean, variance = self.moments[name]
            remembered = min(remembered + weight, 1_000.0)
            rate, difference = weight / remembered, value - mean
            variance = (1.0 - rate) * (variance + rate * difference**2)
            self.moments[name] = [remembered, mean + rate * difference, variance]

    def excess(self, name: str, log: ParsedLog) -> float:
        weight, mean, variance = self.moments[name]
        value = measurements(log).get(name)
        if value is None or weight < 5.0:
            return 0.0
        return max(-8.0, min(8.0, (value - mean) / (math.sqrt(variance) + 0.1)))


def is_write(log: ParsedLog) -> bool:
    return 2 <= log.method <= 5


def status_class(status: int) -> int:
    if status in (401, 403):
        return 3
    if status == 404:
        return 4
    return (0, 0, 0, 1, 2, 5)[min(5, status // 100)]


def measurements(log: ParsedLog) -> dict[str, float]:
    """Logarithms of response time and sizes, where they are known."""
    logarithms = {}
    if log.seconds is not None:
        logarithms["latency"] = math.log(log.seconds + 1e-4)
    if log.request_bytes is not None:
        logarithms["request_size"] = math.log1p(log.request_bytes)
    if log.response_bytes is not None:
        logarithms["response_size"] = math.log1p(log.response_bytes)
    return logarithms


def bits(part: float, whole: float, expected: float, strength: float) -> float:
    probability = (part + strength * expected) / (whole + strength)
    return max(0.0, -math.log2(max(probability, 1e-9)))


class ReferenceExtractor:
    """A memory and the pass over it."""

    def __init__(
        self, actors: int = 1_000_000, endpoints: int = 1_000_000, now: float = -math.inf
    ) -> None:
        """`now`: when the logs are received."""
        self.now = now
        self.actors: OrderedDict[int, Actor] = OrderedDict()
        self.endpoints: OrderedDict[int, Baseline] = OrderedDict()
        self.capacity = actors, endpoints
        self.traffic, self.methods = Baseline(), [0.0] * METHODS
        self.settled, self.novelties = 0.0, [0.0] * 4
        self.cells: defaultdict[int, float] = defaultdict(float)

    def rows(self, logs: list[dict[str, Any]]) -> NDArray[np.float64]:
        """The matrix (n, d) of these logs, with counts as log(1 + value)."""
        rows = [_to_row(self.extract(parse(log))) for log in logs]
        return np.array(rows).reshape(-1, len(FEATURES))

    def cell(self, first: int, second: int, weight: float = 0.0) -> float:
        """The count of a pair of keys, after `weight` was added to it."""
        cell = join(first, second) % (1 << 17)
        self.cells[cell] += weight
        return self.cells[cell]

    def transition_surprise(self, previous: int, template: int, share: float) -> float:
        whole = self.cell(previous, TOTAL)
        return bits(min(self.cell(previous, template), whole), whole, share, 2.0)

    def extract(self, log: ParsedLog) -> dict[str, float]:
        """Features of one log in units, against the past before it, to which it is then added."""
        user, address = (
            _see(self.actors, key, Actor, self.capacity[0]) for key in (log.user, log.address)
        )
        template, endpoint, peer_group = (
            _see(self.endpoints, key, Baseline, self.capacity[1])
            for key in (log.template, log.endpoint, join(log.user_agent, PEER_GROUP))
        )
        values, prior_logs = self.request_features(log, template, endpoint), user.seen
        gap, lateness = user.settle(log.time, self.now)
        address_gap, address_lateness = address.settle(log.time, self.now)
        weight = 1.0 / (1.0 + user.counts["requests", "1h"] / 10.0)
        share = self.share(template)
        previous = user.previous_template(gap), address.previous_template(address_gap)
        surprises = [
            0.0 if seconds > SESSION else self.transition_surprise(one, log.template, share)
            for one, seconds in zip(previous, (lateness, address_lateness), strict=True)
        ]
        values |= {
            "user_gap": gap,
            "transition_surprise": surprises[0],
            "user_hour_surprise": hour_surprise(user, log.time, lateness),
        }
        peer_surprises = self.peer_surprises(log, peer_group, share)
        for actor, seconds in ((user, lateness), (address, address_lateness)):
            actor.count_log(log, seconds)
            for name, surprise in peer_surprises.items():
                actor.add_count(name, surprise, seconds)
        values |= self.novelty_features(log, user, lateness, weight)
        address.count_new(log, log.user, address_lateness)
        user.update_means(log, gap, lateness, surprises[0])
        address.update_means(log, address_gap, address_lateness, surprises[1])
        for who, counterparts, actor in (
            ("user", "addresses", user),
            ("address", "users", address),
        ):
            values |= {f"{who}_{name}": value for name, value in actor.features().items()}
            values[f"{who}_new_{counterparts}_1d"] = actor.counts["new_counterparts", "1d"]
        values["address_denied_users_1d"] = address.counts["denied_counterparts", "1d"]
        endpoint.count_recent(log, prior_logs, weight, self.now)
        values |= endpoint.features()
        peer_weight, peer_surprise = 1.0 / user.counts["requests", "1d"], sum(
            peer_surprises.values()
        )
        self.count_traffic(log, weight, None if lateness > SESSION else previous[0], peer_weight)
        for baseline, own_weight in (
            (endpoint, weight),
            (template, weight),
            (peer_group, peer_weight),
        ):
            baseline.update(log, own_weight, prior_logs, peer_surprise)
        self.halve_if_large()
        return values

    def share(self, template: Baseline) -> float:
        return (template.total + 0.1) / (self.traffic.weight + 100.0)

    def request_features(
        self, log: ParsedLog, template: Baseline, endpoint: Baseline
    ) -> dict[str, float]:
        traffic, status = self.traffic, status_class(log.status)
        expected_status = (traffic.statuses[status] + 1.0) / (traffic.weight + STATUS_CLASSES)
        expected_method = (self.methods[log.method] + 1.0) / (traffic.weight + METHODS)
        excess = {
            f"{name}_excess": endpoint.excess(name, log)
            for name in ("latency", "request_size", "response_size")
        }
        return excess | {
            "status_surprise": bits(
                endpoint.statuses[status], endpoint.weight, expected_status, 5.0
            ),
            "method_surprise": bits(endpoint.total, template.total, expected_method, 5.0),
            "endpoint_surprise": max(0.0, -math.log2(self.share(template))),
            "endpoint_length": log.length,
            "path_depth": log.depth,
            "query_parameters": log.parameters,
            "unusual_characters": log.unusual_characters,
            "longest_token": log.longest_token,
        }

    def peer_surprises(
        self, log: ParsedLog, peer_group: Baseline, share: float
    ) -> dict[str, float]:
        has_peers = float(log.has_user_agent)
        weight, whole = has_peers * self.cell(log.user_agent, TOTAL), self.traffic.weight + 10.0
        expected_status = (self.cell(TOTAL, log.status) + 0.1) / whole
        surprises = {
            name: bits(min(self.cell(log.user_agent, item), weight), weight, expected, 20.0)
            for name, item, expected in (
                ("peer_surprise_statuses", log.status, min(1.0, expected_status)),
                ("peer_surprise_endpoints", log.template, share),
            )
        }
        expected_write = (self.traffic.writes + 1.0) / whole
        write = bits(
            has_peers * peer_group.writes, has_peers * peer_group.weight, expected_write, 20.0
        )
        surprises["peer_surprise_writes"] = write if is_write(log) else 0.0
        return {name: max(0.0, surprise - 2.0) for name, surprise in surprises.items()}

    def novelty_features(
        self, log: ParsedLog, user: Actor, lateness: float, weight: float
    ) -> dict[str, float]:
        endpoints, addresses, user_agents = (
            user.counts[name, "1d"]
            for name in ("new_endpoints", "new_counterparts", "new_user_agents")
        )
        new_network = user.counterparts.add_new(log.network)
        new = user.count_new(log, log.address, lateness)
        kinds = (
            ("endpoint", new["new_endpoints"], endpoints),
            ("address", new["new_counterparts"], addresses),
            ("network", new_network, addresses),
            ("user_agent", new["new_user_agents"], user_agents),
        )
        values = {}
        for i, (name, is_new, own_count) in enumerate(kinds):
            expected = min(1.0, (self.novelties[i] + 1.0) / (self.settled + 10.0))
            surprise = bits(own_count, user.counts["requests", "1d"], expected, 5.0)
            values[f"user_new_{name}_surprise"] = is_new * surprise * user.seen / (user.seen + 5.0)
        if user.seen >= 20:
            self.settled += weight
            self.novelties = [
                count + weight * kind[1] for count, kind in zip(self.novelties, kinds, strict=True)
            ]
            if self.settled > 1e6:
                self.settled, self.novelties = self.settled / 2, [n / 2 for n in self.novelties]
        return values

    def count_traffic(
        self, log: ParsedLog, weight: float, previous: int | None, peer_weight: float
    ) -> None:
        traffic = self.traffic
        if previous is not None:
            self.cell(previous, log.template, weight)
            self.cell(previous, TOTAL, weight)
        self.cell(TOTAL, log.status, weight)
        for item in (log.template, log.status, TOTAL):
            self.cell(log.user_agent, item, peer_weight)
        traffic.weight += weight
        traffic.writes += weight * is_write(log)
        traffic.statuses[status_class(log.status)] += weight
        self.methods[log.method] += weight

    def halve_if_large(self) -> None:
        traffic = self.traffic
        if traffic.weight > 1e6:
            traffic.weight, traffic.writes = traffic.weight / 2, traffic.writes / 2
            traffic.statuses = [part / 2 for part in traffic.statuses]
            self.methods = [part / 2 for part in self.methods]
            self.cells = defaultdict(float, {cell: w / 2 for cell, w in self.cells.items()})
            for baseline in self.endpoints.values():
                baseline.total /= 2


def hour_surprise(user: Actor, time: float, lateness: float) -> float:
    """Bits by which hour and day are rare among the user's active hours; then they are counted."""
    hours = math.floor(time / 3_600.0)
    hour, day = hours % 24, (hours // 24 + 3) % 7
    near = (2 * user.hours[hour] + user.hours[(hour + 1) % 24] + user.hours[(hour - 1) % 24]) / 4
    by_hour = bits(near, user.hours.total(), 1 / 24, 6.0) - math.log2(24)
    by_day = bits(user.days[day], user.days.total(), 1 / 7, 3.0) - math.log2(7)
    if user.hour != day * 24 + hour and lateness <= SESSION:
        user.hour = day * 24 + hour
        for counts, column in ((user.hours, hour), (user.days, day)):
            if counts[column] == 255:
                for other in counts:
                    counts[other] //= 2
            counts[column] += 1
    return max(0.0, by_hour) + max(0.0, by_day)


def _see(table: OrderedDict[int, Any], key: int, blank: Any, capacity: int) -> Any:
    """The record of `key`, now the latest seen; the least recently seen makes room."""
    if key not in table:
        if len(table) == capacity:
            table.popitem(last=False)
        table[key] = blank()
    table.move_to_end(key)
    return table[key]


def _to_row(values: dict[str, float]) -> list[float]:
    return [
        math.log1p(values[feature.name]) if feature.scale == "log1p" else values[feature.name]
        for feature in FEATURES
    ]
