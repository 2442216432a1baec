"""Traffic without a user: crawlers, anonymous visits, forgotten passwords, broken links."""

from __future__ import annotations

import numpy as np

from api_anomaly.simulator.agents import agents_at, choose_programs
from api_anomaly.simulator.catalogue import INDEX, ITEMS
from api_anomaly.simulator.chains import chain_of
from api_anomaly.simulator.events import ABSENT, Events, Floats, Ints, World, choose_items, join
from api_anomaly.simulator.people import HOUR
from api_anomaly.simulator.scenario import DAY
from api_anomaly.simulator.sessions import draw_lengths, walk_visits

CRAWLERS = 3
CRAWLER_PACE = 330.0
# Visits a day for each user of the scenario.
ANONYMOUS, FORGOTTEN, BROKEN_LINKS = 0.14, 0.05, 0.10


def visitor_events(world: World) -> Events:
    """All requests of clients without an account, and of people who cannot log in."""
    parts = {
        "crawlers": _crawlers,
        "anonymous visits": _anonymous_visits,
        "forgotten passwords": _forgotten_passwords,
        "broken links": _broken_links,
    }
    return join([part(world, world.rng(name)) for name, part in parts.items()])


def anonymous_visits(
    world: World, start: Floats, address: Ints, median: float, case: int, rng: np.random.Generator
) -> Events:
    """Visits of people without an account, who begin at ``start`` from ``address``; one actor each.

    start    float64 (v,)  Unix seconds
    address  int64 (v,)    indices of addresses
    median   requests of a visit
    """
    count = len(start)
    actors = world.add_actors(f"visitor{len(world.actors)}", count, "visitor")
    program = choose_programs("browser", count, rng)
    favourites = np.full((count, 4), INDEX["products.get"])
    lengths = draw_lengths(median, count, rng)
    visit, time, endpoint = walk_visits(chain_of("visitor"), start, lengths, 9.0, favourites, rng)
    return Events.of(
        time,
        actor=actors[visit],
        user=ABSENT,
        address=address[visit],
        agent=agents_at(program[visit], rng.random(count)[visit], time - world.scenario.first),
        endpoint=endpoint,
        item=choose_items(endpoint, actors[visit], False, time, rng),
        case=case,
    )


def moments(world: World, per_day: float, rng: np.random.Generator) -> Floats:
    """float64 (v,): random moments, more of them around 17:00 UTC than at 5:00."""
    scenario = world.scenario
    count = int(rng.poisson(per_day * scenario.days))
    day = rng.integers(0, scenario.days, count)
    return scenario.first + day * DAY + (rng.normal(17, 5.5, count) % 24) * HOUR


def _crawlers(world: World, rng: np.random.Generator) -> Events:
    """Search engines and price comparers, who go through the products in their order."""
    scenario, parts = world.scenario, []
    span = scenario.end - scenario.first
    calls = np.array([INDEX[n] for n in ("products.get", "products.list", "media.thumb", "home")])
    rare = np.array([INDEX[n] for n in ("robots", "sitemap", "unknown", "docs")])
    for actor in world.add_actors("crawler", CRAWLERS, "crawler"):
        time = scenario.first + np.cumsum(
            rng.lognormal(np.log(CRAWLER_PACE), 1.0, int(span / CRAWLER_PACE))
        )
        count = len(time)
        ordinary = calls[rng.choice(4, count, p=(0.66, 0.16, 0.14, 0.04))]
        endpoint = np.where(rng.random(count) < 0.07, rng.choice(rare, count), ordinary)
        item = choose_items(endpoint, np.full(count, actor), False, time, rng)
        first, many = ITEMS["product"].first, ITEMS["product"].many
        in_order = first + (rng.integers(0, many) + np.arange(count)) % many
        address = world.book.draw("cloud", 4, rng)
        program = np.repeat(choose_programs("crawler", 1, rng), count)
        parts.append(
            Events.of(
                time,
                actor=int(actor),
                user=ABSENT,
                address=address[rng.integers(0, 4, count)],
                agent=agents_at(program, np.zeros(count), time - scenario.first),
                endpoint=endpoint,
                item=np.where(endpoint == INDEX["products.get"], in_order, item),
            )
        )
    return join(parts)


def _anonymous_visits(world: World, rng: np.random.Generator) -> Events:
    start = moments(world, ANONYMOUS * world.scenario.users, rng)
    return anonymous_visits(world, start, visitor_addresses(world, len(start), rng), 8, 0, rng)


def _forgotten_passwords(world: World, rng: np.random.Generator) -> Events:
    """Wrong passwords, one after the other, then a new one; from anywhere."""
    start = moments(world, FORGOTTEN * world.scenario.users, rng)
    script = ("auth.login",) * 3 + ("auth.forgot", "auth.reset", "auth.login", "me.get")
    steps = np.array([INDEX[name] for name in script])
    wrong = np.array([401, 401, 401, 0, 0, 0, 401])
    # Those who remember at the second try leave out the third, and so on.
    skipped = rng.random((len(start), len(script))) < np.array([0, 0.3, 0.5, 0.3, 0.4, 0, 0.8])
    gaps = rng.lognormal(np.log(14), 0.5, skipped.shape)
    gaps[:, 4] *= 4
    return _scripts(world, start, steps, wrong, gaps, skipped, rng)


def _broken_links(world: World, rng: np.random.Generator) -> Events:
    """Old links, guessed paths, browsers that look for an icon."""
    start = moments(world, BROKEN_LINKS * world.scenario.users, rng)
    steps = np.array([INDEX[name] for name in ("unknown", "unknown", "home")])
    skipped = rng.random((len(start), 3)) < np.array([0, 0.6, 0.5])
    gaps = rng.lognormal(np.log(5), 0.8, skipped.shape)
    return _scripts(world, start, steps, np.zeros(3, dtype=np.int64), gaps, skipped, rng)


def _scripts(
    world: World,
    start: Floats,
    steps: Ints,
    statuses: Ints,
    gaps: Floats,
    skipped: np.typing.NDArray[np.bool_],
    rng: np.random.Generator,
) -> Events:
    """The same few steps by many strangers, each leaving out some; one actor each.

    start  float64 (v,); steps, statuses  int64 (k,); gaps, skipped  (v, k)
    """
    count = len(start)
    actors = world.add_actors(f"stranger{len(world.actors)}", count, "visitor")
    address = visitor_addresses(world, count, rng)
    program = choose_programs("browser", count, rng)
    lag = rng.random(count)
    row, step = np.nonzero(~skipped)
    time = (start[:, None] + np.cumsum(gaps, axis=1))[row, step]
    endpoint = steps[step]
    return Events.of(
        time,
        actor=actors[row],
        user=ABSENT,
        address=address[row],
        agent=agents_at(program[row], lag[row], time - world.scenario.first),
        endpoint=endpoint,
        item=choose_items(endpoint, actors[row], False, time, rng),
        status=statuses[step],
    )


def visitor_addresses(world: World, count: int, rng: np.random.Generator) -> Ints:
    """int64 (count,): homes and carriers, as strangers have them."""
    home, carrier = world.book.draw("home", count, rng), world.book.draw("carrier", count, rng)
    return np.where(rng.random(count) < 0.35, carrier, home)
