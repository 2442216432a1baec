"""The whole simulation: all requests and the server's responses, in time order."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from api_anomaly.simulator.agents import AGENTS
from api_anomaly.simulator.campaigns import campaign_events, join_campaigns
from api_anomaly.simulator.catalogue import ENDPOINTS, PATHS, WORDS
from api_anomaly.simulator.events import CASES, Actor, Events, Flags, Floats, Ints, World, join
from api_anomaly.simulator.hard_cases import hard_case_events
from api_anomaly.simulator.people import make_people
from api_anomaly.simulator.scenario import Scenario
from api_anomaly.simulator.server import Responses, compute_server_state, respond
from api_anomaly.simulator.services import service_events
from api_anomaly.simulator.sessions import remove_unknown_users, make_visits, visit_events
from api_anomaly.simulator.visitors import visitor_events

CONTRACT_FIELDS = (
    "timestamp",
    "user_id",
    "endpoint",
    "method",
    "status_code",
    "response_time",
    "ip_address",
    "user_agent",
    "request_size",
    "response_size",
)
LABEL_FIELDS = ("label", "attack", "actor", "role", "case")


@dataclass(frozen=True, slots=True)
class Traffic:
    """n logs in time order, as columns, with labels.

    scenario         what was simulated
    time             float64 (n,)  Unix seconds, whole milliseconds
    user             n texts or None; address, agent, path, method: n texts
    template         int64 (n,)    index in catalogue.ENDPOINTS
    status           int64 (n,)
    response_time    float64 (n,)  seconds
    request_size, response_size  int64 (n,) bytes
    actor            int64 (n,)    index in actors
    case             int64 (n,)    index in events.CASES
    actors           all actors, with role and attack family
    """

    scenario: Scenario
    time: Floats
    user: list[str | None]
    address: list[str]
    agent: list[str]
    path: list[str]
    method: list[str]
    template: Ints
    status: Ints
    response_time: Floats
    request_size: Ints
    response_size: Ints
    actor: Ints
    case: Ints
    actors: tuple[Actor, ...]

    def __len__(self) -> int:
        return len(self.time)

    @property
    def label(self) -> Ints:
        """int64 (n,): 1 for every log of an attacker, else 0."""
        return np.array([actor.attack is not None for actor in self.actors], np.int64)[self.actor]

    @property
    def training(self) -> Flags:
        """bool (n,): logs of the training part."""
        early: Flags = self.time < self.scenario.split
        return early

    def logs(self, labels: bool = True) -> list[dict[str, Any]]:
        """The logs as the HTTP contract names them; with labels also the truth.

        label 0 or 1; attack: family or None; actor: id; role; case: hard case or None.
        """
        return list(self.each(labels))

    def each(self, labels: bool = True) -> Iterator[dict[str, Any]]:
        """The same, one after the other."""
        moments = (self.time * 1000).round().astype("datetime64[ms]")
        columns = [
            np.datetime_as_string(moments, timezone="UTC").tolist(),
            self.user,
            self.path,
            self.method,
            self.status.tolist(),
            self.response_time.tolist(),
            self.address,
            self.agent,
            self.request_size.tolist(),
            self.response_size.tolist(),
        ]
        names: tuple[str, ...] = CONTRACT_FIELDS
        if labels:
            names = CONTRACT_FIELDS + LABEL_FIELDS
            cases = [name or None for name in CASES]
            actors = [self.actors[index] for index in self.actor.tolist()]
            columns.append(self.label.tolist())
            columns.append([actor.attack for actor in actors])
            columns.append([actor.id for actor in actors])
            columns.append([actor.role for actor in actors])
            columns.append([cases[index] for index in self.case.tolist()])
        for row in zip(*columns, strict=True):
            yield dict(zip(names, row, strict=True))


def simulate(scenario: Scenario, progress: Callable[[str], None] | None = None) -> Traffic:
    """The logs of a scenario. Equal scenarios give equal logs.

    Benign logs do not depend on the attacks: another set of families leaves every one of them as
    it was. ``progress`` receives a line for each step.
    """
    report = progress or (lambda _: None)
    world = World(scenario)
    report("people and their visits")
    people = make_people(world)
    visits = make_visits(world, people)
    parts = [visit_events(world, people, visits)]
    report("machine clients, visitors, hard cases")
    services, keys = service_events(world)
    parts += [services, visitor_events(world), hard_case_events(world, people, visits)]
    benign = _inside(scenario, join(parts))
    report("attackers")
    attacks = _inside(scenario, join_campaigns(campaign_events(world, people, keys)))
    report("responses")
    state = compute_server_state(world, benign)
    to_benign = respond(benign, state, world.rng("responses"))
    # Attackers are affected by deploys too, but only benign logs are hard cases.
    to_attacks = replace(
        respond(attacks, state, world.rng("responses to attackers")), case=attacks.case
    )
    return _traffic(world, join([benign, attacks]), [to_benign, to_attacks])


def _inside(scenario: Scenario, events: Events) -> Events:
    """The events within the scenario, in time order."""
    events = remove_unknown_users(events.take((events.time >= scenario.first)))
    events = events.take(events.time < scenario.end)
    return events.take(np.argsort(events.time, kind="stable"))


def _traffic(world: World, events: Events, responses: list[Responses]) -> Traffic:
    """Events and responses as logs in time order."""
    time = np.floor(events.time * 1000) / 1000
    order = np.argsort(time, kind="stable")
    events = events.take(order)

    def column(name: str) -> Any:
        return np.concatenate([getattr(part, name) for part in responses])[order]

    users: list[str | None] = [*world.users, None]
    return Traffic(
        scenario=world.scenario,
        time=time[order],
        user=[users[index] for index in events.user.tolist()],
        address=[world.book.texts[index] for index in events.address.tolist()],
        agent=[AGENTS[index] for index in events.agent.tolist()],
        path=_paths(events),
        method=[ENDPOINTS[index].method for index in events.endpoint.tolist()],
        template=events.endpoint,
        status=column("status"),
        response_time=column("latency"),
        request_size=column("request_size"),
        response_size=column("response_size"),
        actor=events.actor,
        case=column("case"),
        actors=tuple(world.actors),
    )


def _paths(events: Events) -> list[str]:
    """The path of each request, its number or word filled in."""
    texts = {"word": WORDS, "path": PATHS}
    forms = [(e.before, e.item, e.after, texts.get(e.item)) for e in ENDPOINTS]
    paths = []
    for index, number in zip(events.endpoint.tolist(), events.item.tolist(), strict=True):
        before, item, after, words = forms[index]
        if not item:
            paths.append(before)
        else:
            paths.append(f"{before}{words[number] if words else number}{after}")
    return paths
