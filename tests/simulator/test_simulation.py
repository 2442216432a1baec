"""What the simulated traffic promises."""

import json
from collections import defaultdict
from dataclasses import replace
from datetime import datetime
from ipaddress import ip_address

import numpy as np
import pytest

from api_anomaly.simulator.attacks import ATTACKS
from api_anomaly.simulator.campaigns import campaign_events
from api_anomaly.simulator.catalogue import ENDPOINTS, ITEMS, PATHS, WORDS
from api_anomaly.simulator.chains import CHAINS, chain_of
from api_anomaly.simulator.events import World
from api_anomaly.simulator.people import make_people
from api_anomaly.simulator.scenario import FAMILIES, PRESETS, Scenario, preset
from api_anomaly.simulator.services import service_events
from api_anomaly.simulator.simulation import CONTRACT_FIELDS, LABEL_FIELDS, Traffic, simulate

SMALL = Scenario(seed=5, days=3, training_days=2, users=30, attackers=1)


def test_equal_scenarios_give_equal_logs() -> None:
    assert simulate(SMALL).logs() == simulate(replace(SMALL)).logs()


def test_another_seed_gives_other_logs() -> None:
    assert simulate(SMALL).logs() != simulate(replace(SMALL, seed=6)).logs()


def test_attacks_leave_every_benign_log_as_it_was() -> None:
    with_attacks = [log for log in simulate(SMALL).logs() if log["label"] == 0]
    assert with_attacks == simulate(replace(SMALL, attackers=0)).logs()


def test_an_attack_does_not_depend_on_the_other_families() -> None:
    alone = simulate(replace(SMALL, families=("scraping",))).logs()
    among_others = simulate(SMALL).logs()
    paths = [
        [(log["timestamp"], log["endpoint"]) for log in logs if log["attack"] == "scraping"]
        for logs in (alone, among_others)
    ]
    assert paths[0] == paths[1] != []


def test_logs_are_in_time_order_and_within_the_scenario(fortnight: Traffic) -> None:
    assert (np.diff(fortnight.time) >= 0).all()
    assert fortnight.time[0] >= fortnight.scenario.first
    assert fortnight.time[-1] < fortnight.scenario.end


def test_each_log_has_the_contracts_fields_in_the_contracts_ranges(day: Traffic) -> None:
    methods = {endpoint.method for endpoint in ENDPOINTS}
    for log, time in zip(day.logs(labels=False), day.time.tolist(), strict=True):
        assert tuple(log) == CONTRACT_FIELDS
        assert datetime.fromisoformat(log["timestamp"]).timestamp() == pytest.approx(time, abs=1e-3)
        assert log["user_id"] is None or 1 <= len(log["user_id"]) <= 256
        assert log["endpoint"].startswith("/") and "{" not in log["endpoint"]
        assert log["method"] in methods
        assert 100 <= log["status_code"] <= 599
        assert 0 < log["response_time"] <= 60
        assert ip_address(log["ip_address"])
        assert 1 <= len(log["user_agent"]) <= 1024
        assert min(log["request_size"], log["response_size"]) >= 0


def test_labels_add_five_fields_and_nothing_else(day: Traffic) -> None:
    log = day.logs()[0]
    assert tuple(log) == CONTRACT_FIELDS + LABEL_FIELDS
    assert json.loads(json.dumps(log)) == log


def test_the_label_of_a_log_is_that_of_its_actor(contaminated_week: Traffic) -> None:
    attack_of: dict[str, set[str | None]] = defaultdict(set)
    for log in contaminated_week.logs():
        assert log["label"] == int(log["attack"] is not None)
        attack_of[log["actor"]].add(log["attack"])
    assert all(len(attacks) == 1 for attacks in attack_of.values())


def test_a_stolen_account_has_its_owner_and_its_attacker_as_actors(fortnight: Traffic) -> None:
    logs = fortnight.logs()
    stolen = {log["user_id"] for log in logs if log["attack"] == "token_theft"} - {None}
    owners = {
        log["user_id"] for log in logs if log["label"] == 0 and log["actor"] == log["user_id"]
    }
    assert stolen and stolen <= owners


def test_every_family_has_as_many_attackers_in_the_test_part_as_asked(fortnight: Traffic) -> None:
    attackers: dict[str, set[str]] = defaultdict(set)
    for log, early in zip(fortnight.logs(), fortnight.training.tolist(), strict=True):
        if log["attack"]:
            assert not early
            attackers[log["attack"]].add(log["actor"])
    assert {family: len(actors) for family, actors in attackers.items()} == dict.fromkeys(
        FAMILIES, fortnight.scenario.attackers
    )


def test_contamination_puts_other_attackers_into_the_training_part(
    contaminated_week: Traffic,
) -> None:
    early, hostile = contaminated_week.training, contaminated_week.label == 1
    before = set(contaminated_week.actor[early & hostile].tolist())
    after = set(contaminated_week.actor[~early & hostile].tolist())
    assert contaminated_week.scenario.training_attackers == 1
    assert len(before) == len(FAMILIES) and len(after) == 2 * len(FAMILIES)
    assert not before & after


def test_attackers_also_send_requests_that_look_ordinary() -> None:
    assert all(attack.cover > 0 for attack in ATTACKS.values())


def test_an_insider_works_at_night_in_the_own_time_zone() -> None:
    world = World(preset("fortnight", seed=3, families=("off_hours_insider",)))
    people = make_people(world)
    _, keys = service_events(world)
    for events in campaign_events(world, people, keys):
        person = int(np.flatnonzero(people.user == events.user.max())[0])
        hour = (events.time / 3600 + people.zone[person]) % 24
        assert ((hour > 21) | (hour < 7)).all()


def test_the_presets_have_the_size_that_they_promise(day: Traffic, fortnight: Traffic) -> None:
    assert 15_000 <= len(day) <= 27_000
    assert 4 <= len(set(day.actor[day.label == 1].tolist())) <= 6
    assert 130_000 <= len(fortnight) <= 180_000
    assert simulate(preset("clean_week", seed=1)).label.sum() == 0


def test_attacks_are_a_small_share_of_the_test_part(fortnight: Traffic) -> None:
    assert 0.02 < fortnight.label[~fortnight.training].mean() < 0.10


def test_every_name_in_the_tables_is_an_endpoint_of_the_catalogue() -> None:
    names = {endpoint.name for endpoint in ENDPOINTS}
    assert len(names) == len(ENDPOINTS) and 40 <= len(names) <= 80
    assert {endpoint.item for endpoint in ENDPOINTS} - {""} == set(ITEMS)
    assert len(WORDS) == ITEMS["word"].many and len(PATHS) == ITEMS["path"].many
    for attack in ATTACKS.values():
        assert {target.split()[0] for target in attack.targets.split(",")} <= names
    for role in CHAINS:
        chain = chain_of(role)
        assert chain.after[:, -1] == pytest.approx(1.0) and chain.start[-1] == pytest.approx(1.0)


def test_the_families_of_scenarios_are_those_that_can_be_carried_out() -> None:
    assert tuple(ATTACKS) == FAMILIES


@pytest.mark.parametrize(
    "changes",
    [
        {"seed": -1},
        {"days": 1, "training_days": 1},
        {"training_days": 14},
        {"training_days": 0},
        {"users": 19},
        {"attackers": -1},
        {"contamination": -0.1},
        {"families": ("phishing",)},
        {"start": "yesterday"},
    ],
)
def test_a_scenario_rejects_invalid_numbers(changes: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        preset("fortnight", **changes)


def test_a_change_of_days_keeps_the_share_of_training_days() -> None:
    assert preset("fortnight", days=7).training_days == 4
    assert preset("fortnight", days=2).training_days == 1
    assert preset("day", training_days=2).training_days == 2


def test_a_start_without_time_zone_is_utc() -> None:
    naive, aware = preset("week", start="2025-06-02T00:00:00"), preset("week")
    assert naive.first == aware.first


@pytest.mark.parametrize("name", PRESETS)
def test_the_smallest_scenario_of_each_preset_can_be_simulated(name: str) -> None:
    traffic = simulate(preset(name, users=20, days=2, seed=4))
    assert len(traffic) > 1_000
