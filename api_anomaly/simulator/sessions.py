"""Visits of people: when, from where, how they begin, and what is asked for during them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from api_anomaly.simulator.agents import agents_at
from api_anomaly.simulator.catalogue import INDEX
from api_anomaly.simulator.chains import Chain, chain_of, walk
from api_anomaly.simulator.events import (
    CASE,
    ABSENT,
    Events,
    Flags,
    Floats,
    Ints,
    World,
    choose_items,
    join,
)
from api_anomaly.simulator.people import FORBIDDEN, HOUR, ROLES, People
from api_anomaly.simulator.scenario import DAY

# How a visit begins: with a valid token, with an expired one, or with a log-in.
RESUMED, EXPIRED, LOGIN = 0, 1, 2
OPENINGS = (0.45, 0.30, 0.25)
LOYALTY = 0.25
MISTYPED = 0.14


@dataclass(frozen=True, slots=True)
class Visits:
    """v visits: the person, begin (Unix seconds), program, address, opening and case of each."""

    person: Ints
    start: Floats
    program: Ints
    address: Ints
    opening: Ints
    case: Ints


def make_visits(world: World, people: People) -> Visits:
    """All ordinary visits of all people over the whole scenario."""
    rng, scenario = world.rng("visits"), world.scenario
    person, day = _visit_days(world, people, rng)
    start, hour = _begins(world, people, person, day, rng)
    inside = (start >= scenario.first) & (start < scenario.end) & (start > people.joined[person])
    person, day, start, hour = person[inside], day[inside], start[inside], hour[inside]
    away = (start >= people.away[person, 0]) & (start < people.away[person, 1])
    mobile = rng.random(len(person)) < people.traits("mobile")[person]
    working = (people.traits("office")[person] > 0) & ~_weekend(world, day) & (abs(hour - 13) < 6.5)
    opening = rng.choice(3, len(person), p=OPENINGS)
    fresh = (people.joined[person] > 0) & (start < people.joined[person] + DAY)
    return Visits(
        person=person,
        start=start,
        program=np.where(mobile, people.phone[person], people.desktop[person]),
        address=_visit_addresses(world, people, person, start, away, mobile, working, rng),
        opening=np.where(away & (opening == RESUMED), LOGIN, opening),
        case=np.where(away, CASE["traveller"], np.where(fresh, CASE["new_customer"], 0)),
    )


def _begins(
    world: World, people: People, person: Ints, day: Ints, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Unix seconds of each visit's begin, and its local hour (of the place where the person is)."""
    evening = rng.random(len(person)) < people.traits("evening")[person]
    daytime = rng.normal(people.traits("hour")[person], 2.4)
    hour = np.where(evening, rng.normal(20.5, 1.3, len(person)), daytime)
    hour = (hour + people.hour[person]) % 24
    start = world.scenario.first + day * DAY + (hour - people.zone[person]) * HOUR
    away = (start >= people.away[person, 0]) & (start < people.away[person, 1])
    shift = np.where(away, people.zone[person] - people.away_zone[person], 0.0)
    return start + shift * HOUR, hour


def visit_events(world: World, people: People, visits: Visits) -> Events:
    """The requests of the visits, openings included."""
    rng = world.rng("visit events")
    parts = [_openings(world, people, visits, rng)]
    for index, name in enumerate(ROLES):
        rows = np.flatnonzero(people.role[visits.person] == index)
        role = ROLES[name]
        steps = draw_lengths(role.steps, len(rows), rng)
        favourites = people.favourites[visits.person[rows]]
        visit, time, endpoint = walk_visits(
            chain_of(name), visits.start[rows], steps, role.think, favourites, rng
        )
        row = rows[visit]
        person = visits.person[row]
        owner = people.user[person]
        parts.append(
            Events.of(
                time,
                actor=people.actor[person],
                user=owner,
                address=visits.address[row],
                agent=_agents(world, people, visits, row, time),
                endpoint=endpoint,
                item=choose_items(endpoint, owner, role.staff, time, rng),
                status=_forbidden(name, endpoint, rng),
                case=visits.case[row],
            )
        )
    return join(parts)


def _forbidden(role: str, endpoint: Ints, rng: np.random.Generator) -> Ints:
    """int64 (n,): 403 where a person is denied what the interface offers, else 0."""
    names, share = FORBIDDEN.get(role, ((), 0.0))
    offered = np.isin(endpoint, [INDEX[name] for name in names])
    return np.where(offered & (rng.random(len(endpoint)) < share), 403, 0)


def draw_lengths(median: float, count: int, rng: np.random.Generator) -> Ints:
    """int64 (count,): requests of visits, lognormal around a median, 1..80."""
    drawn = rng.lognormal(np.log(median), 0.7, count)
    lengths: Ints = np.clip(drawn, 1, 80).astype(np.int64)
    return lengths


def walk_visits(
    chain: Chain,
    start: Floats,
    lengths: Ints,
    think: float,
    favourites: Ints,
    rng: np.random.Generator,
) -> tuple[Ints, Floats, Ints]:
    """Visit, time and endpoint of each request of all visits.

    Nearly half of the requests belong to the page of the one before (tenths of a second apart);
    the others follow after a lognormal think time, ``think`` seconds in the median.
    """
    steps = walk(chain, lengths, favourites, LOYALTY, rng)
    shape = steps.shape
    together = rng.random(shape) < 0.45
    gaps = np.where(
        together, rng.lognormal(-2.0, 0.6, shape), rng.lognormal(np.log(think), 1.0, shape)
    )
    if shape[1]:
        gaps[:, 0] = 0.0
    times = start[:, None] + np.cumsum(np.minimum(gaps, 900.0), axis=1)
    valid = np.arange(shape[1])[None, :] < lengths[:, None]
    visit = np.nonzero(valid)[0]
    return visit, times[valid], steps[valid]


def _visit_days(world: World, people: People, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Person and local day of each visit; one day before the first, for those west of UTC."""
    days = np.arange(-1, world.scenario.days + 1)
    weekend = np.where(_weekend(world, days), 1.0, 0.0)[None, :]
    rate = people.traits("visits") * people.activity
    rates = rate[:, None] * (1 + weekend * (people.traits("weekend") - 1)[:, None])
    counts = rng.poisson(rates)
    person, column = np.nonzero(counts)
    repeats = counts[person, column]
    return np.repeat(person, repeats), np.repeat(days[column], repeats)


def _weekend(world: World, day: Ints) -> Flags:
    """bool: whether these days of the scenario are Saturdays or Sundays (1970-01-01: Thursday)."""
    weekend: Flags = (int(world.scenario.first // DAY) + day + 3) % 7 >= 5
    return weekend


def _visit_addresses(
    world: World,
    people: People,
    person: Ints,
    start: Floats,
    away: Flags,
    mobile: Flags,
    working: Flags,
    rng: np.random.Generator,
) -> Ints:
    """int64 (v,): the address of each visit. A phone is as often on its carrier as on Wi-Fi."""
    day = ((start - world.scenario.first) // DAY).astype(np.int64)
    carrier = world.book.draw("carrier", len(person), rng)
    on_carrier = mobile & (rng.random(len(person)) < 0.5)
    settled = np.where(working, people.office[person], people.home[person, day])
    settled = np.where(away, people.hotel[person], settled)
    return np.where(on_carrier, carrier, settled)


def _agents(world: World, people: People, visits: Visits, rows: Ints, time: Floats) -> Ints:
    lag = people.lag[visits.person[rows]]
    return agents_at(visits.program[rows], lag, time - world.scenario.first)


def _openings(world: World, people: People, visits: Visits, rng: np.random.Generator) -> Events:
    """Expired tokens, and log-ins with mistyped passwords."""
    count = len(visits.person)
    staff = people.traits("staff")[visits.person] > 0
    away = visits.case == CASE["traveller"]
    expired = visits.opening == EXPIRED
    login = visits.opening == LOGIN
    mistakes = np.where(rng.random(count) < MISTYPED, rng.geometric(0.6, count), 0)
    forgot = login & (mistakes > 1) & (rng.random(count) < 0.5)
    # (mask of the visits, seconds before the visit, endpoint, status)
    steps = [
        (expired, 0.6, "me.get", 401),
        (expired, 0.3, "auth.refresh", 0),
        (away, 9.0, "me.get", 401),
        (login & (mistakes > 0), 31.0, "auth.login", 401),
        (login & (mistakes > 1), 24.0, "auth.login", 401),
        (login & (mistakes > 2), 17.0, "auth.login", 401),
        (forgot, 14.0, "auth.forgot", 0),
        (forgot, 9.0, "auth.reset", 0),
        (login, 4.0, "auth.login", 0),
        (login & (staff | away), 1.5, "auth.mfa", 0),
    ]
    return join([_step_before(world, people, visits, step, rng) for step in steps])


def _step_before(
    world: World,
    people: People,
    visits: Visits,
    step: tuple[Flags, float, str, int],
    rng: np.random.Generator,
) -> Events:
    """One request before each of the chosen visits."""
    chosen, before, endpoint, status = step
    rows = np.flatnonzero(chosen)
    time = visits.start[rows] - before * rng.uniform(0.8, 1.2, len(rows))
    person = visits.person[rows]
    return Events.of(
        time,
        actor=people.actor[person],
        user=people.user[person],
        address=visits.address[rows],
        agent=_agents(world, people, visits, rows, time),
        endpoint=INDEX[endpoint],
        status=status,
        case=visits.case[rows],
    )


# Endpoints that are called before a user is authenticated: their logs have no user.
ANONYMOUS: tuple[int, ...] = tuple(
    INDEX[name] for name in ("auth.login", "auth.forgot", "auth.reset", "auth.register", "auth.mfa")
)


def remove_unknown_users(events: Events) -> Events:
    """The same events, without a user where none is authenticated yet."""
    events.user[np.isin(events.endpoint, ANONYMOUS)] = ABSENT
    return events
