"""People with an account: their roles, habits, devices and indices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from api_anomaly.simulator.agents import choose_programs
from api_anomaly.simulator.chains import CHAINS
from api_anomaly.simulator.catalogue import INDEX
from api_anomaly.simulator.events import Flags, Floats, Ints, World

HOUR = 3_600.0
OFFICES = 4


class Role(NamedTuple):
    """What people of a role have in common.

    share    of all people
    visits   a day, on workdays
    weekend  visits on a weekend day, as a share of those on a workday
    hour     local hour around which the visits lie; evening: the share that lies around 20:30
    steps    median requests of a visit
    think    median seconds between two pages
    mobile   share of visits from a phone
    office   works in an office on workdays
    staff    works with other people's data
    """

    share: float
    visits: float
    weekend: float
    hour: float
    evening: float
    steps: float
    think: float
    mobile: float
    office: bool
    staff: bool


# share, visits, weekend, hour, evening, steps, think, mobile, office, staff
ROLES: dict[str, Role] = {
    "customer": Role(0.58, 0.75, 1.30, 13.0, 0.55, 9, 10, 0.55, False, False),
    "power": Role(0.12, 1.60, 0.35, 12.5, 0.10, 13, 8, 0.15, True, False),
    "support": Role(0.10, 4.20, 0.25, 13.0, 0.05, 18, 14, 0.02, True, True),
    "analyst": Role(0.06, 2.40, 0.10, 12.0, 0.05, 14, 25, 0.02, True, True),
    "admin": Role(0.04, 2.00, 0.20, 12.5, 0.10, 11, 12, 0.08, True, True),
    "developer": Role(0.10, 2.20, 0.30, 14.0, 0.20, 13, 9, 0.03, True, False),
}

# Two people who always travel: the first with the roles power and support.
TRAVELLERS = [1, 2]

# What an interface offers to a role although it may be denied: endpoints, and the share of 403.
FORBIDDEN: dict[str, tuple[tuple[str, ...], float]] = {
    "power": (("hooks.list", "reports.run", "me.keys"), 0.25),
    "support": (("admin.user", "orders.refund"), 0.25),
    "analyst": (("orders.list", "exports.create"), 0.08),
    "developer": (("admin.flags", "admin.settings", "hooks.list", "orders.create"), 0.4),
}

# Hours from UTC and their share of all people.
ZONES: dict[float, float] = {-8: 0.12, -5: 0.16, 0: 0.16, 1: 0.30, 2: 0.10, 5.5: 0.10, 8: 0.06}


@dataclass(frozen=True, slots=True)
class People:
    """p people, one entry each.

    role        int64 (p,)     index in ROLES
    user        int64 (p,)     index in World.users; actor: index in World.actors
    zone        float64 (p,)   hours from UTC
    hour        float64 (p,)   own shift of the role's hour, hours
    activity    float64 (p,)   own visits as a share of the role's
    joined      float64 (p,)   Unix seconds of registration (0: long ago)
    office      int64 (p,)     address of the office; home: address at home, by day int64 (p, days)
    desktop     int64 (p,)     program, likewise phone; lag float64 (p,) how late they update
    favourites  int64 (p, 4)   endpoints they return to
    away        float64 (p, 2) Unix seconds of a journey's begin and end (0, 0: none)
    hotel       int64 (p,)     address while away; away_zone float64 (p,) hours from UTC there
    """

    role: Ints
    user: Ints
    actor: Ints
    zone: Floats
    hour: Floats
    activity: Floats
    joined: Floats
    office: Ints
    home: Ints
    desktop: Ints
    phone: Ints
    lag: Floats
    favourites: Ints
    away: Floats
    hotel: Ints
    away_zone: Floats

    def of_roles(self, *names: str) -> Ints:
        """int64 (k,): the people of these roles who were there from the start."""
        indices = [list(ROLES).index(name) for name in names]
        return np.flatnonzero(np.isin(self.role, indices) & (self.joined == 0))

    def traits(self, name: str) -> Floats:
        """float64 (p,): a trait of each one's role."""
        return np.array([float(getattr(role, name)) for role in ROLES.values()])[self.role]


def make_people(world: World) -> People:
    """All people with an account, including one newcomer per eight users at the start."""
    rng, scenario = world.rng("people"), world.scenario
    newcomers = max(4, scenario.users // 8)
    count = scenario.users + newcomers
    role = rng.choice(len(ROLES), count, p=[role.share for role in ROLES.values()])
    role[: len(ROLES)] = np.arange(len(ROLES))
    activity = rng.lognormal(-0.15, 0.55, count)
    activity[TRAVELLERS] = 1.0
    role[scenario.users :] = 0
    users, actors = _accounts(world, role, rng)
    joined = np.zeros(count)
    joined[scenario.users :] = rng.uniform(scenario.first, scenario.end - 6 * HOUR, newcomers)
    offices = world.book.draw("office", OFFICES, rng)
    away, hotel, away_zone = _journeys(world, count, joined == 0, rng)
    zone = rng.choice(list(ZONES), count, p=list(ZONES.values()))
    return People(
        role=role,
        user=users,
        actor=actors,
        zone=zone,
        hour=rng.normal(0, 1.1, count),
        activity=activity,
        joined=joined,
        office=offices[rng.choice(OFFICES, count, p=(0.45, 0.25, 0.2, 0.1))],
        home=_home_addresses(world, count, rng),
        desktop=choose_programs("desktop", count, rng),
        phone=choose_programs("mobile", count, rng),
        lag=rng.random(count),
        favourites=_favourites(role, rng),
        away=away,
        hotel=hotel,
        away_zone=away_zone,
    )


def account_name(number: int) -> str:
    """A user id as this API gives them: not in the order of registration."""
    return f"usr_{(number * 48_271 + 11) % 900_001 + 100_000:06d}"


def _accounts(world: World, role: Ints, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """The users and actors of all people."""
    names = list(ROLES)
    users = [world.add_user(account_name(number)) for number in range(len(role))]
    actors = [
        world.add_actor(world.users[user], names[kind])
        for user, kind in zip(users, role.tolist(), strict=True)
    ]
    return np.array(users), np.array(actors)


def _home_addresses(world: World, count: int, rng: np.random.Generator) -> Ints:
    """int64 (count, days): IPv4 homes that change now and then, IPv6 homes that change daily."""
    days = world.scenario.days
    first = world.book.draw("home", count, rng)
    second = world.book.draw("home", count, rng)
    change = rng.uniform(0, 4 * days, count)
    homes = np.where(np.arange(days)[None, :] < change[:, None], first[:, None], second[:, None])
    for person in np.flatnonzero(rng.random(count) < 0.25):
        prefix = world.book.texts[int(world.book.draw("home6", 1, rng)[0])].split(":")[:4]
        homes[person] = world.book.private_suffixes(days, ":".join(prefix), rng)
    return homes.astype(np.int64)


def _favourites(role: Ints, rng: np.random.Generator) -> Ints:
    """int64 (p, 4): endpoints out of the role's chain."""
    states = [
        [INDEX[line.split(" > ")[0].strip()] for line in CHAINS[name].strip().splitlines()[1:]]
        for name in ROLES
    ]
    return np.array([rng.choice(states[kind], 4) for kind in role.tolist()])


def _journeys(
    world: World, count: int, settled: Flags, rng: np.random.Generator
) -> tuple[Floats, Ints, Floats]:
    """Begin and end, address and time zone of the journeys of one person in twelve."""
    scenario = world.scenario
    span = scenario.end - scenario.first
    begin = rng.uniform(scenario.first, scenario.end, count)
    length = rng.uniform(1.5, 4.0, count) * 24 * HOUR
    travels = settled & (rng.random(count) < 1 / 12)
    # Two busy people travel in every scenario, however small.
    travels[TRAVELLERS] = True
    begin[TRAVELLERS] = scenario.first + rng.uniform(0.15, 0.6, 2) * span
    away = np.where(travels[:, None], np.stack([begin, begin + length], axis=1), 0.0)
    return away, world.book.draw("hotel", count, rng), rng.choice(list(ZONES), count)
