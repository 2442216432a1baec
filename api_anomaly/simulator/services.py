"""Machine clients: regular and benign."""

from __future__ import annotations

from typing import NamedTuple

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
from api_anomaly.simulator.people import HOUR
from api_anomaly.simulator.scenario import DAY


class Service(NamedTuple):
    """A kind of machine client.

    per_100   clients for each 100 users, at least one
    has_account  whether it calls with an account of its own
    agent     kind of program; network: where it runs
    every     seconds between two runs, jitter the spread of that as a share
    hours     first and last hour of the day (UTC) in which it runs
    burst     least and most requests of a run; gap: median seconds between them
    calls     endpoints and weights; with ``ordered`` they follow each other instead
    misses    share of runs' requests answered with the status ``miss``
    size_factor  size of requests and responses, relative to the median
    case      the hard case that it is, if any
    """

    meaning: str
    per_100: float
    has_account: bool
    agent: str
    network: str
    every: float
    jitter: float
    hours: tuple[int, int]
    burst: tuple[int, int]
    gap: float
    calls: str
    ordered: bool = False
    miss: int = 404
    misses: float = 0.0
    size_factor: float = 1.0
    case: str = ""


ALWAYS = (0, 24)
SERVICES: dict[str, Service] = {
    "uptime": Service(
        "pings the API from outside",
        0,
        False,
        "monitor",
        "cloud",
        180,
        0.01,
        ALWAYS,
        (1, 1),
        1,
        "health 1",
    ),
    "synthetic": Service(
        "logs in and reads its account, to see that it works",
        0,
        True,
        "monitor",
        "cloud",
        600,
        0.02,
        ALWAYS,
        (3, 3),
        0.5,
        "auth.login 1, me.get 1, orders.list 1",
        ordered=True,
    ),
    "poller": Service(
        "asks for changed orders and fetches some",
        1.3,
        True,
        "integration",
        "cloud",
        900,
        0.03,
        ALWAYS,
        (1, 3),
        0.4,
        "orders.since 3, orders.get 2",
    ),
    "queue-worker": Service(
        "polls a queue that is mostly empty, which this API answers with 404",
        0.5,
        True,
        "script",
        "cloud",
        8 * HOUR,
        0.2,
        ALWAYS,
        (25, 60),
        8,
        "queue.next 1",
        misses=0.85,
        case="polling_client",
    ),
    "sync": Service(
        "pushes and pulls a shop's whole stock every few hours",
        0.8,
        True,
        "integration",
        "cloud",
        8 * HOUR,
        0.1,
        (5, 23),
        (10, 50),
        0.45,
        "sync.push 4, sync.pull 4, batch 1",
        size_factor=1.5,
        case="sync_client",
    ),
    "nightly": Service(
        "the nightly reconciliation of all orders",
        0,
        True,
        "script",
        "cloud",
        DAY,
        0.002,
        (1, 4),
        (100, 150),
        0.5,
        "orders.list 4, users.orders 4, orders.get 2, reports.run 1, exports.download 1",
        size_factor=3.0,
        case="nightly_job",
    ),
    "etl": Service(
        "loads the warehouse every hour",
        0.5,
        True,
        "integration",
        "cloud",
        HOUR,
        0.05,
        ALWAYS,
        (3, 6),
        25,
        "exports.create 1, exports.status 2, exports.download 2, files.get 1",
        size_factor=2.5,
    ),
    "payments": Service(
        "a payment provider's webhooks, known by their signature and not by a user",
        0,
        False,
        "integration",
        "cloud",
        900,
        0.7,
        ALWAYS,
        (1, 4),
        6,
        "hooks.payment 1",
    ),
    "shipping": Service(
        "a carrier's webhooks, in small bursts when a lorry is loaded",
        0,
        False,
        "integration",
        "cloud",
        2400,
        0.7,
        (5, 20),
        (1, 5),
        4,
        "hooks.shipping 1",
    ),
    "partner": Service(
        "a reseller's shop on this API",
        2,
        True,
        "script",
        "cloud",
        1.5 * HOUR,
        0.5,
        ALWAYS,
        (1, 12),
        1.5,
        "products.list 2, products.get 5, orders.create 1, orders.get 2, search.products 1",
        miss=403,
        misses=0.02,
    ),
    "pipeline": Service(
        "a developer team's integration tests",
        0.3,
        True,
        "script",
        "office",
        2.5 * HOUR,
        0.4,
        (7, 18),
        (12, 26),
        0.35,
        "orders.get 5, graphql 1.5, orders.create 0.7, me.get 3, unknown 0.7, admin.flags 1",
        miss=403,
        misses=0.04,
    ),
    "wallboard": Service(
        "a screen in the office that refreshes its sales figures",
        0.8,
        True,
        "desktop",
        "office",
        900,
        0.01,
        (6, 19),
        (1, 2),
        0.3,
        "reports.sales 2, me.notify 1",
    ),
}


def service_events(world: World) -> tuple[Events, dict[str, Ints]]:
    """All requests of all machine clients, and the users of each kind (for stolen keys)."""
    parts: list[Events] = []
    users: dict[str, Ints] = {}
    for name, service in SERVICES.items():
        rng = world.rng(f"service {name}")
        clients = max(1, round(service.per_100 * world.scenario.users / 100))
        actors = world.add_actors(f"svc-{name}", clients, "service")
        accounts = [
            world.add_user(world.actors[actor].id) for actor in actors if service.has_account
        ]
        users[name] = np.array(accounts or [ABSENT] * clients, dtype=np.int64)
        parts.extend(
            _client(world, service, int(actor), int(user), rng)
            for actor, user in zip(actors, users[name], strict=True)
        )
    return join(parts), users


def _client(
    world: World, service: Service, actor: int, user: int, rng: np.random.Generator
) -> Events:
    """The requests of one machine client."""
    begins = _runs(world, service, rng)
    low, high = service.burst
    sizes = rng.integers(low, high + 1, len(begins))
    run = np.repeat(np.arange(len(begins)), sizes)
    gaps = rng.lognormal(np.log(service.gap), 0.25, len(run))
    first = np.cumsum(sizes) - sizes
    elapsed = np.cumsum(gaps)
    time = begins[run] + elapsed - elapsed[first][run]
    position = np.arange(len(run)) - first[run]
    endpoint = _calls(service, position, rng)
    missed = rng.random(len(run)) < service.misses
    program = choose_programs(service.agent, 1, rng)
    return Events.of(
        time,
        actor=actor,
        user=user,
        address=world.book.draw(service.network, 1, rng)[0],
        agent=agents_at(
            np.repeat(program, len(run)),
            np.full(len(run), rng.random()),
            time - world.scenario.first,
        ),
        endpoint=endpoint,
        item=choose_items(endpoint, np.full(len(run), actor), True, time, rng),
        status=np.where(missed, service.miss, 0),
        size_factor=service.size_factor,
        case=CASE[service.case],
    )


def _runs(world: World, service: Service, rng: np.random.Generator) -> Floats:
    """float64 (runs,): when the client's runs begin; a daily one begins at its first hour."""
    scenario = world.scenario
    count = int((scenario.end - scenario.first) / service.every) + 1
    offset = 0.0 if service.every >= DAY else rng.uniform(0, service.every)
    base = service.hours[0] * HOUR if service.every >= DAY else 0.0
    drift = rng.normal(0, service.jitter * service.every, count)
    begins = scenario.first + base + offset + np.arange(count) * service.every + drift
    hour = (begins % DAY) / HOUR
    low, high = service.hours
    inside = (begins >= scenario.first) & (begins < scenario.end)
    return begins[inside & (hour >= low - 0.1) & (hour < high)]


def _calls(service: Service, position: Ints, rng: np.random.Generator) -> Ints:
    """int64 (n,): the endpoint of each request; ``position`` counts from 0 in each run."""
    pairs = [call.split() for call in service.calls.split(",")]
    endpoints = np.array([INDEX[name] for name, _ in pairs])
    if service.ordered:
        return endpoints[position % len(endpoints)]
    weights = np.array([float(weight) for _, weight in pairs])
    return endpoints[rng.choice(len(endpoints), len(position), p=weights / weights.sum())]
