"""The requests of attackers: one actor for each attack, according to the row of its family."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from api_anomaly.simulator.agents import agents_at, choose_programs
from api_anomaly.simulator.attacks import ATTACKS, Attack
from api_anomaly.simulator.catalogue import ENDPOINTS, INDEX, ITEMS
from api_anomaly.simulator.chains import chain_of, walk
from api_anomaly.simulator.events import ABSENT, Events, Floats, Ints, World, choose_items, join
from api_anomaly.simulator.people import HOUR, ROLES, People, account_name
from api_anomaly.simulator.scenario import DAY
from api_anomaly.simulator.sessions import LOYALTY

MEMBERS_OF_LONG_STANDING = 0.5
FROM_THE_OWNERS_ADDRESS = 0.7
KEYS = ("partner", "poller", "etl")


class Account(NamedTuple):
    """The account that an attacker uses: user, role, its person (or ABSENT), and whether the
    attacker owns it.
    """

    user: int
    role: str
    person: int
    owner: bool


class Origin(NamedTuple):
    """The addresses of an attacker: address, program and update lag of each."""

    address: Ints
    program: Ints
    lag: Floats


def campaign_events(world: World, people: People, keys: dict[str, Ints]) -> list[Events]:
    """The requests of each attacker, in the training part and in the test part.

    keys  the users of each kind of machine client, from ``service_events``
    """
    scenario = world.scenario
    parts = (
        (scenario.first, scenario.split, scenario.training_attackers),
        (scenario.split, scenario.end, scenario.attackers),
    )
    campaigns = []
    for family in scenario.families:
        number = 0
        for begin, end, attackers in parts:
            for _ in range(attackers):
                number += 1
                campaigns.append(_campaign(world, people, keys, family, number, (begin, end)))
    return campaigns


def _campaign(
    world: World,
    people: People,
    keys: dict[str, Ints],
    family: str,
    number: int,
    part: tuple[float, float],
) -> Events:
    """All requests of one attacker, within its part of the scenario."""
    rng, attack = world.rng(family, number), ATTACKS[family]
    account = _choose_account(world, people, keys, attack, rng)
    origin = _origin(world, people, account, attack, rng)
    actor = world.add_actor(f"{family}-{number}", account.role, family)
    count = int(rng.integers(attack.requests[0], attack.requests[1] + 1))
    time = _times(world, people, account, attack, count, part, rng)
    opening = _opening(attack, account)
    endpoint, covered = _endpoints(people, account, attack, count, opening, rng)
    index = _address_of_each(len(origin.address), count, rng)
    elapsed = time - world.scenario.first
    events = Events.of(
        time,
        actor=actor,
        user=account.user,
        address=origin.address[index],
        agent=agents_at(origin.program[index], origin.lag[index], elapsed),
        endpoint=endpoint,
        item=_items(attack, account, actor, endpoint, covered, time, rng),
        status=_statuses(attack, covered, opening, rng),
        size_factor=np.where(covered, 1.0, rng.uniform(*attack.size_factor, count)),
    )
    return events.take(time < part[1])


def _choose_account(
    world: World,
    people: People,
    keys: dict[str, Ints],
    attack: Attack,
    rng: np.random.Generator,
) -> Account:
    if attack.account == "none":
        return Account(ABSENT, "visitor", ABSENT, False)
    if attack.account == "key":
        return Account(int(rng.choice(keys[str(rng.choice(KEYS))])), "developer", ABSENT, False)
    if attack.account == "member" and rng.random() > MEMBERS_OF_LONG_STANDING:
        name = account_name(700_000 + len(world.users))
        return Account(world.add_user(name), "customer", ABSENT, False)
    own = {"member": ("customer", "power"), "staff": ("support", "admin", "analyst")}
    roles = own.get(attack.account) or tuple(attack.account.split())
    person = int(rng.choice(people.of_roles(*roles)))
    role = list(ROLES)[int(people.role[person])]
    return Account(int(people.user[person]), role, person, attack.account in own)


def _origin(
    world: World, people: People, account: Account, attack: Attack, rng: np.random.Generator
) -> Origin:
    """The attacker's addresses and devices; owners of the account often use their own."""
    if account.owner and (attack.night or rng.random() < FROM_THE_OWNERS_ADDRESS):
        person = account.person
        return Origin(
            people.home[person, -1:], people.desktop[person, None], people.lag[person, None]
        )
    count = int(rng.integers(attack.addresses[0], attack.addresses[1] + 1))
    kinds = rng.choice(np.array(attack.networks), count)
    programs = rng.choice(np.array(attack.agents), count)
    return Origin(
        np.concatenate([world.book.draw(str(kind), 1, rng) for kind in kinds]),
        np.concatenate([choose_programs(str(kind), 1, rng) for kind in programs]),
        rng.random(count),
    )


def _address_of_each(addresses: int, count: int, rng: np.random.Generator) -> Ints:
    """int64 (count,): a few addresses one after the other, many at random."""
    if addresses > 5:
        return rng.integers(0, addresses, count)
    return np.arange(count) * addresses // count


def _times(
    world: World,
    people: People,
    account: Account,
    attack: Attack,
    count: int,
    part: tuple[float, float],
    rng: np.random.Generator,
) -> Floats:
    """float64 (count,): send times; an attack that would end after the part begins earlier."""
    gaps = rng.lognormal(np.log(attack.pace), attack.spread, count)
    resting = rng.random(count) < attack.rests
    rest = rng.lognormal(np.log(attack.rest), 0.5, count)
    begin, end = part
    if attack.night:
        night = begin + rng.integers(0, max(1, int((end - begin) / DAY) - 1)) * DAY
        local = rng.uniform(22.5, 26.0) - float(people.zone[account.person])
        resting[0] = False
        rest = rng.normal(DAY, 1200.0, count)
        return night + (local % 24) * HOUR + np.cumsum(gaps + resting * rest)
    gaps += resting * rest
    slack = end - begin - float(gaps.sum())
    return begin + rng.uniform(0.02, 0.95) * max(slack, 2 * HOUR) + np.cumsum(gaps)


def _opening(attack: Attack, account: Account) -> list[tuple[int, int]]:
    """Endpoint and status of the first requests; an account made for the attack is registered."""
    script = attack.opening
    if attack.account == "member" and account.person == ABSENT:
        script = "home 200, auth.register 201, auth.mfa 200, auth.login 200, me.get 200"
    steps = [step.split() for step in script.split(",") if step]
    return [(INDEX[name], int(status)) for name, status in steps]


def _endpoints(
    people: People,
    account: Account,
    attack: Attack,
    count: int,
    opening: list[tuple[int, int]],
    rng: np.random.Generator,
) -> tuple[Ints, np.typing.NDArray[np.bool_]]:
    """int64 (count,) endpoints, bool (count,) those that imitate an ordinary person."""
    pairs = [target.split() for target in attack.targets.split(",")]
    weights = np.array([float(weight) for _, weight in pairs])
    drawn = rng.choice(len(pairs), count, p=weights / weights.sum())
    endpoint = np.array([INDEX[name] for name, _ in pairs])[drawn]
    covered = rng.random(count) < attack.cover
    favourites = np.array([[INDEX["products.get"]]])
    if account.person != ABSENT:
        favourites = people.favourites[account.person][None, :]
    steps = walk(chain_of(account.role), np.array([count]), favourites, LOYALTY, rng)[0]
    endpoint = np.where(covered, steps, endpoint)
    endpoint[: len(opening)] = [index for index, _ in opening]
    covered[: len(opening)] = True
    return endpoint, covered


def _statuses(
    attack: Attack,
    covered: np.typing.NDArray[np.bool_],
    opening: list[tuple[int, int]],
    rng: np.random.Generator,
) -> Ints:
    """int64 (count,): given status codes, 0 where the server decides."""
    pairs = [status.split() for status in attack.statuses.split(",")]
    weights = np.array([float(weight) for _, weight in pairs])
    drawn = rng.choice(len(pairs), len(covered), p=weights / weights.sum())
    status = np.where(covered, 0, np.array([int(code) for code, _ in pairs])[drawn])
    status[: len(opening)] = [code for _, code in opening]
    return status


def _items(
    attack: Attack,
    account: Account,
    actor: int,
    endpoint: Ints,
    covered: np.typing.NDArray[np.bool_],
    time: Floats,
    rng: np.random.Generator,
) -> Ints:
    """int64 (count,): numbers in the paths; covered requests use the account's own items."""
    owner = np.full(len(endpoint), account.user if account.user != ABSENT else actor)
    items = choose_items(endpoint, owner, ~covered & (attack.items != "own"), time, rng)
    if attack.items == "own":
        return items
    order = np.cumsum(rng.geometric(0.8, len(endpoint)))
    offset = rng.random()
    for kind, (_, first, many) in ITEMS.items():
        index = [INDEX[e.name] for e in ENDPOINTS if e.item == kind]
        rows = np.flatnonzero(np.isin(endpoint, index) & ~covered)
        if kind in ("since", "path"):
            continue
        ordered = (int(offset * many) + order[rows]) % many
        anywhere = rng.integers(0, many, len(rows))
        items[rows] = first + (ordered if attack.items == "walk" else anywhere)
    return items


def join_campaigns(campaigns: list[Events]) -> Events:
    """All attackers' requests together; the list may be empty."""
    return join([Events.of(np.zeros(0), 0, 0, 0, 0, 0), *campaigns])
