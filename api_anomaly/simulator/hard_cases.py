"""Benign behaviour on which static rules fire, where it is an event of its own.

Sync and polling clients and the nightly job are services, travellers are people, deploys belong to
the server; the others are here. ``events.CASES`` names them all.
"""

from __future__ import annotations

import numpy as np

from api_anomaly.simulator.agents import agents_at, choose_programs
from api_anomaly.simulator.catalogue import INDEX
from api_anomaly.simulator.events import (
    CASE,
    ABSENT,
    Events,
    Floats,
    Ints,
    World,
    choose_items,
    join,
)
from api_anomaly.simulator.people import HOUR, People
from api_anomaly.simulator.scenario import DAY
from api_anomaly.simulator.sessions import Visits
from api_anomaly.simulator.visitors import anonymous_visits, visitor_addresses

# Of each, a day for each user of the scenario.
GALLERIES, STORMS = 0.006, 0.004
SPIKE_DAYS, SCAN_DAYS = 5, 3
STORM_CALLS = ("cart.add", "orders.create", "me.notify", "graphql", "orders.get", "auth.refresh")
STORM_STATUSES = (429, 503, 409, 401, 429)


def hard_case_events(world: World, people: People, visits: Visits) -> Events:
    return join(
        [
            _galleries(world, people, visits),
            _storms(world, people, visits),
            _office_mornings(world, people),
            _registrations(world, people),
            _spikes(world),
            _own_scanner(world),
        ]
    )


def _galleries(world: World, people: People, visits: Visits) -> Events:
    """Bursts of thumbnails in the middle of some visits."""
    rng = world.rng("galleries")
    rows = _some_visits(world, visits, GALLERIES, rng)
    sizes = rng.integers(75, 130, len(rows))
    row = np.repeat(np.arange(len(rows)), sizes)
    time = visits.start[rows][row] + 20 + rng.uniform(0, 15, len(row))
    first = rng.integers(0, 11_000, len(rows))
    item = first[row] + np.arange(len(row)) % 140
    return _in_visit(
        world, people, visits, rows[row], time, INDEX["media.thumb"], item, 0, "thumbnail_burst"
    )


def _storms(world: World, people: People, visits: Visits) -> Events:
    """One request, repeated again and again until it succeeds."""
    rng = world.rng("storms")
    rows = _some_visits(world, visits, STORMS, rng)
    sizes = rng.integers(10, 40, len(rows))
    row = np.repeat(np.arange(len(rows)), sizes)
    pause = rng.uniform(0.4, 2.0, len(rows))
    position = np.arange(len(row)) - (np.cumsum(sizes) - sizes)[row]
    time = visits.start[rows][row] + 8 + position * pause[row] + rng.uniform(0, 0.2, len(row))
    endpoint = np.array([INDEX[name] for name in STORM_CALLS])[rng.integers(0, 6, len(rows))]
    status = np.array(STORM_STATUSES)[rng.integers(0, 5, len(rows))]
    owner = people.user[visits.person[rows]]
    item = choose_items(endpoint, owner, False, visits.start[rows], rng)
    last = position == sizes[row] - 1
    codes = np.where(last, 0, status[row])
    return _in_visit(
        world, people, visits, rows[row], time, endpoint[row], item[row], codes, "retry_storm"
    )


def _some_visits(world: World, visits: Visits, per_day: float, rng: np.random.Generator) -> Ints:
    """int64 (k,): visits for hard cases, spread over the whole scenario."""
    count = max(3, rng.poisson(per_day * world.scenario.users * world.scenario.days))
    return rng.choice(np.flatnonzero(visits.case == 0), count, replace=False)


def _in_visit(
    world: World,
    people: People,
    visits: Visits,
    rows: Ints,
    time: Floats,
    endpoint: Ints | int,
    item: Ints,
    status: Ints | int,
    case: str,
) -> Events:
    """Requests with the person, address and device of the visits in ``rows``, one row each."""
    person = visits.person[rows]
    return Events.of(
        time,
        actor=people.actor[person],
        user=people.user[person],
        address=visits.address[rows],
        agent=agents_at(visits.program[rows], people.lag[person], time - world.scenario.first),
        endpoint=endpoint,
        item=item,
        status=status,
        case=CASE[case],
    )


def _office_mornings(world: World, people: People) -> Events:
    """Each workday the sessions of the largest office have ended: everybody logs in at once."""
    rng, scenario = world.rng("mornings"), world.scenario
    offices, members = np.unique(people.office[people.traits("office") > 0], return_counts=True)
    office = offices[np.argmax(members)]
    staff = np.flatnonzero((people.office == office) & (people.traits("office") > 0))
    days = np.arange(scenario.days)
    workdays = days[(int(scenario.first // DAY) + days + 3) % 7 < 5]
    present = rng.random((len(workdays), len(staff))) < 0.6
    day, member = np.nonzero(present)
    person = staff[member]
    begin = scenario.first + workdays * DAY + rng.normal(7.6, 0.2, len(workdays)) * HOUR
    time = begin[day] + rng.uniform(0, 100, len(day))
    wrong = rng.random(len(day)) < 0.15
    steps = [
        ("auth.login", 401, -9.0, wrong),
        ("auth.login", 0, 0.0, wrong | True),
        ("auth.mfa", 0, 4.0, wrong | True),
        ("me.get", 0, 4.4, wrong | True),
    ]
    return join(
        [
            Events.of(
                time[chosen] + after,
                actor=people.actor[person[chosen]],
                user=people.user[person[chosen]],
                address=int(office),
                agent=agents_at(
                    people.desktop[person[chosen]],
                    people.lag[person[chosen]],
                    time[chosen] - scenario.first,
                ),
                endpoint=INDEX[name],
                status=status,
                case=CASE["nat_office"],
            )
            for name, status, after, chosen in steps
        ]
    )


def _registrations(world: World, people: People) -> Events:
    """Newcomers and the form that they fill in wrongly at first."""
    rng, scenario = world.rng("registrations"), world.scenario
    person = np.flatnonzero(people.joined > 0)
    script = ["auth.register"] * 4 + ["auth.mfa", "auth.mfa", "auth.login", "me.get"]
    script += ["me.update", "me.update", "me.payment"]
    steps = np.array([INDEX[name] for name in script])
    wrong = np.array([422, 422, 409, 201, 401, 0, 0, 0, 422, 0, 0])
    chance = np.array([0.6, 0.4, 0.2, 1, 0.3, 1, 0.8, 1, 0.25, 0.7, 0.3])
    row, step = np.nonzero(rng.random((len(person), len(script))) < chance)
    gaps = rng.lognormal(np.log(7), 0.5, (len(person), len(script)))
    time = (people.joined[person][:, None] + np.cumsum(gaps, axis=1))[row, step]
    day = ((people.joined[person] - scenario.first) // DAY).astype(np.int64)
    return Events.of(
        time,
        actor=people.actor[person[row]],
        user=people.user[person[row]],
        address=people.home[person, day][row],
        agent=agents_at(people.phone[person[row]], people.lag[person[row]], time - scenario.first),
        endpoint=steps[step],
        status=wrong[step],
        case=CASE["new_customer"],
    )


def _spikes(world: World) -> Events:
    """A newsletter every few days: a crowd within minutes, most of it behind one carrier."""
    rng, scenario = world.rng("spikes"), world.scenario
    size = max(90, scenario.users // 3)
    parts = []
    for day in range(1, scenario.days, SPIKE_DAYS):
        begin = scenario.first + (day + rng.integers(0, 2)) % scenario.days * DAY + 17 * HOUR
        start = begin + rng.gamma(2.0, 70.0, size)
        shared = world.book.draw("carrier", 1, rng)
        own = visitor_addresses(world, size, rng)
        address = np.where(rng.random(size) < 0.6, shared, own)
        parts.append(anonymous_visits(world, start, address, 7, CASE["marketing_spike"], rng))
    return join(parts)


def _own_scanner(world: World) -> Events:
    """The company's own scanner, every few nights."""
    rng, scenario = world.rng("own scanner"), world.scenario
    actor = world.add_actor("own-scanner", "scanner")
    address = int(world.book.draw("cloud", 1, rng)[0])
    calls = ("unknown", "auth.login", "admin.settings", "search.products", "openapi", "graphql")
    nights = np.arange(scenario.days)[::SCAN_DAYS]
    sizes = rng.integers(100, 170, len(nights))
    night = np.repeat(np.arange(len(nights)), sizes)
    count = len(night)
    position = np.arange(count) - (np.cumsum(sizes) - sizes)[night]
    begin = scenario.first + nights * DAY + rng.uniform(2, 4, len(nights)) * HOUR
    time = begin[night] + position * 0.45 + rng.uniform(0, 0.3, count)
    drawn = rng.choice(6, count, p=(0.62, 0.1, 0.08, 0.08, 0.06, 0.06))
    status = np.array([0, 401, 403, 0, 0, 400])[drawn]
    endpoint = np.array([INDEX[name] for name in calls])[drawn]
    program = choose_programs("scanner", len(nights), rng)
    return Events.of(
        time,
        actor=actor,
        user=ABSENT,
        address=address,
        agent=agents_at(program[night], np.zeros(count), time - scenario.first),
        endpoint=endpoint,
        item=choose_items(endpoint, np.full(count, actor), True, time, rng),
        status=status,
        case=CASE["own_scanner"],
    )
