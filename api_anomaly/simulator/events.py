"""Requests before the server responds, as columns, and the lists that the columns refer to."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

from api_anomaly.simulator.catalogue import ENDPOINTS, ITEMS
from api_anomaly.simulator.network import AddressBook
from api_anomaly.simulator.scenario import Scenario

Floats: TypeAlias = npt.NDArray[np.float64]
Ints: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

# Benign behaviour on which static rules fire, each marked in its logs; "" is ordinary behaviour.
CASES: dict[str, str] = {
    "": "ordinary",
    "sync_client": "a client that pushes and pulls a whole stock within a minute or two",
    "polling_client": "a worker that polls a queue, whose emptiness is a 404",
    "thumbnail_burst": "a gallery page that loads a hundred thumbnails at once",
    "nat_office": "a morning on which a whole office logs in from one address",
    "nightly_job": "a machine client's hundreds of requests at night, with large answers",
    "deploy": "a deploy during which many requests fail",
    "marketing_spike": "a campaign's crowd, most of it behind one carrier's address",
    "new_customer": "a newcomer: a form filled in wrongly, all behaviour without precedent",
    "traveller": "a person elsewhere: new address, other hours, tokens refused",
    "retry_storm": "a program that repeats a refused request far too eagerly",
    "own_scanner": "the company's own vulnerability scanner",
}
CASE: dict[str, int] = {name: index for index, name in enumerate(CASES)}

ABSENT = -1  # no user, no person, or no item
SERVER_DECIDES = 0

# CRC-32 of the former name of a renamed random stream, so that a scenario keeps its logs.
RENAMED_STREAMS: dict[str, int] = {
    "credential_stuffing": 2155050499,
    "distributed_stuffing": 2423493059,
    "bulk_exfiltration": 2576016244,
    "off_hours_insider": 2884070141,
    "key_sharing": 2899129949,
    "server state": 1288754030,
    "responses": 1355859462,
    "responses to attackers": 2921428960,
    "crawlers": 230844145,
    "anonymous visits": 835454906,
    "forgotten passwords": 213440974,
    "broken links": 1992774777,
}


class Actor(NamedTuple):
    """A sender of requests: id, role, and attack family or None."""

    id: str
    role: str
    attack: str | None = None


@dataclass(frozen=True, slots=True)
class Events:
    """n requests, in any order.

    time      float64  Unix seconds
    actor     int64    index in World.actors
    user      int64    index in World.users, ABSENT = no user
    address   int64    index in World.book.texts
    agent     int64    index in AGENTS, ABSENT = unknown
    endpoint  int64    index in ENDPOINTS
    item      int64    the number in the path, where the endpoint has one
    status    int64    SERVER_DECIDES, or a given status code
    size_factor  float64  size of the request and response relative to the median
    case      int64    index in CASES: the benign hard case that it belongs to, 0 = none
    """

    time: Floats
    actor: Ints
    user: Ints
    address: Ints
    agent: Ints
    endpoint: Ints
    item: Ints
    status: Ints
    size_factor: Floats
    case: Ints

    def __len__(self) -> int:
        return len(self.time)

    @classmethod
    def of(
        cls,
        time: Floats,
        actor: Ints | int,
        user: Ints | int,
        address: Ints | int,
        agent: Ints | int,
        endpoint: Ints | int,
        item: Ints | int = 0,
        status: Ints | int = SERVER_DECIDES,
        size_factor: Floats | float = 1.0,
        case: Ints | int = 0,
    ) -> Events:
        """Columns of equal length from arrays and single values."""
        whole = (actor, user, address, agent, endpoint, item, status)
        spread = [np.broadcast_to(np.asarray(value, np.int64), time.shape) for value in whole]
        return cls(
            np.asarray(time, dtype=np.float64),
            spread[0],
            spread[1],
            spread[2],
            spread[3],
            spread[4],
            spread[5],
            spread[6],
            np.broadcast_to(np.asarray(size_factor, np.float64), time.shape),
            np.broadcast_to(np.asarray(case, np.int64), time.shape),
        )

    def take(self, rows: Ints | Flags) -> Events:
        """The chosen rows."""
        return Events(*(getattr(self, field.name)[rows] for field in fields(self)))


def join(parts: Sequence[Events]) -> Events:
    """Concatenate at least one part."""
    names = [field.name for field in fields(Events)]
    return Events(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


class World:
    """The scenario, and the users, actors and addresses to which its events refer."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.book = AddressBook()
        self.users: list[str] = []
        self.actors: list[Actor] = []

    def rng(self, name: str, number: int | None = None) -> np.random.Generator:
        """The random stream of one part of the simulation, independent of all other parts."""
        key = RENAMED_STREAMS.get(name, zlib.crc32(name.encode()))
        if number is not None:
            key = zlib.crc32(f" {number}".encode(), key)
        return np.random.default_rng([self.scenario.seed, key])

    def add_user(self, user: str) -> int:
        """Add a user and return its index."""
        self.users.append(user)
        return len(self.users) - 1

    def add_actor(self, name: str, role: str, attack: str | None = None) -> int:
        """Add an actor and return its index."""
        self.actors.append(Actor(name, role, attack))
        return len(self.actors) - 1

    def add_actors(self, prefix: str, count: int, role: str) -> Ints:
        """int64 (count,): indices of new benign actors, numbered within their prefix."""
        indices = [self.add_actor(f"{prefix}-{number}", role) for number in range(1, count + 1)]
        return np.array(indices, dtype=np.int64)


_KINDS = tuple(ITEMS)
_KIND_OF = np.array([_KINDS.index(e.item) if e.item else ABSENT for e in ENDPOINTS])


def choose_items(
    endpoint: Ints, owner: Ints, everything: Flags | bool, time: Floats, rng: np.random.Generator
) -> Ints:
    """int64 (n,): the number in each path, as an ordinary caller would ask for it.

    owner       int64 (n,)  whose things "own" kinds are; each owner has up to ten of a kind
    everything  bool (n,)   callers whose work is with other people's things
    """
    shape = endpoint.shape
    theirs = np.minimum(rng.geometric(0.35, shape), 10)
    popular = rng.random(shape) ** 3
    free = rng.random(shape)
    items = np.zeros(shape, dtype=np.int64)
    everything = np.broadcast_to(np.asarray(everything), shape)
    for index, kind in enumerate(_KINDS):
        rows = np.flatnonzero(_KIND_OF[endpoint] == index)
        choice, first, many = ITEMS[kind]
        number = owner[rows] * 7_919 + index * 104_729
        if kind != "self":
            number = number + theirs[rows] * 15_485_863
        anywhere = (free[rows] * many).astype(np.int64)
        chosen = {
            "own": np.where(everything[rows], anywhere, number % many),
            "popular": (popular[rows] * many).astype(np.int64),
            "any": anywhere,
        }[choice]
        items[rows] = first + chosen
        if kind == "since":
            items[rows] = time[rows].astype(np.int64) // 60 * 60 - 300
    return items
