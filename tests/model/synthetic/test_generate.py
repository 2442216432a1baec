"""Synthetic attacks: attackers on the team's own endpoints, the same for the same seed."""

from typing import Any

import numpy as np
import pytest

from api_anomaly.features.extract import actor_keys
from api_anomaly.logs.columns import Columns, Texts
from api_anomaly.model.synthetic.attacks import ATTACKS
from api_anomaly.model.synthetic.generate import (
    SyntheticAttacks,
    generate,
    generate_rows,
    merge,
)
from api_anomaly.model.synthetic.sampler import TrafficSampler, replace_number
from tests.support.streams import START, columns, traffic
from tests.logs.test_columns import assert_equal, texts

NEED_WRITES = {i for i, attack in enumerate(ATTACKS) if attack.needs_writes}
NEED_ACCOUNTS = {i for i, attack in enumerate(ATTACKS) if attack.needs_accounts}
SIGNATURES = (
    *("passwd", "etc/", "select", "union", "script", "../", "wp-", ".env", ".git", "admin"),
    *("sqlmap", "nikto", "nmap", "acunetix", "phpmyadmin", "shell", "xmlrpc", "<", "'", '"'),
)


def history(accounts: bool = True, writes: bool = True) -> Columns:
    """Eight hundred logs of a team, with or without accounts and writes."""
    without: dict[str, Any] = {} if accounts else {"user_id": None}
    without |= {} if writes else {"method": "GET"}
    return columns([log | without for log in traffic(800, pace=60.0)])


def generated(own: Columns, logs: int = 2_000, seed: int = 0) -> SyntheticAttacks | None:
    return generate(own, actor_keys(own), logs, seed)


@pytest.fixture(scope="module")
def own() -> Columns:
    return history()


@pytest.fixture(scope="module")
def synthetic(own: Columns) -> SyntheticAttacks:
    attacks = generated(own)
    assert attacks is not None
    return attacks


def test_the_same_seed_generates_the_same_attacks_and_another_seed_others(
    own: Columns, synthetic: SyntheticAttacks
) -> None:
    again, other = generated(own), generated(own, seed=1)
    assert again is not None and other is not None
    assert_equal(synthetic.columns, again.columns)
    assert np.array_equal(synthetic.family, again.family)
    assert len(other.columns) != len(again.columns) or not np.array_equal(
        other.columns.time, again.columns.time
    )


@pytest.mark.parametrize(
    ("accounts", "writes", "families"),
    [
        (True, True, NEED_WRITES | NEED_ACCOUNTS),
        (True, False, NEED_ACCOUNTS),
        (False, True, NEED_WRITES),
        (False, False, None),
    ],
)
def test_an_attack_is_generated_only_where_the_traffic_has_what_it_needs(
    accounts: bool, writes: bool, families: set[int] | None
) -> None:
    attacks = generated(history(accounts, writes))
    assert (None if attacks is None else set(attacks.family.tolist())) == families


def test_users_named_like_addresses_and_users_of_few_logs_are_not_accounts() -> None:
    logs = traffic(800)
    for names in ([log["ip_address"] for log in logs], [f"user-{i // 5}" for i in range(800)]):
        attacks = generated(
            columns([log | {"user_id": name} for log, name in zip(logs, names, strict=True)])
        )
        assert attacks is not None and set(attacks.family.tolist()) == NEED_WRITES


def test_every_family_sends_its_share_and_every_attacker_has_one_family(
    synthetic: SyntheticAttacks,
) -> None:
    assert np.bincount(synthetic.family).min() >= 2_000 // len(ATTACKS)
    families = {}
    for attacker, family in zip(synthetic.attacker, synthetic.family, strict=True):
        assert families.setdefault(attacker, family) == family
    assert len(synthetic.columns) == len(synthetic.family) == len(synthetic.attacker)


def test_attacks_are_in_time_order_within_the_history(
    own: Columns, synthetic: SyntheticAttacks
) -> None:
    time = synthetic.columns.time
    assert (np.diff(time) >= 0.0).all()
    assert own.time[0] - 86_400.0 <= time[0] and time[-1] <= own.time[-1] + 1.0


def test_the_given_history_is_not_changed(own: Columns, synthetic: SyntheticAttacks) -> None:
    assert_equal(own, history())


def test_user_agents_are_own_ones_and_paths_hold_no_signature_of_an_attack_tool(
    own: Columns, synthetic: SyntheticAttacks
) -> None:
    assert set(texts(synthetic.columns.agent)) <= set(texts(own.agent))
    endpoints = texts(synthetic.columns.endpoint)
    assert all(endpoint.startswith(("/orders", "/items", "/")) for endpoint in endpoints)
    assert not [e for e in endpoints for word in SIGNATURES if word in e.lower()]
    scanned = [
        e
        for e, f in zip(endpoints, synthetic.family, strict=True)
        if ATTACKS[f].name == "path_scanning"
    ]
    assert set(scanned).isdisjoint(texts(own.endpoint))


def test_statuses_and_sizes_are_valid(synthetic: SyntheticAttacks) -> None:
    held = synthetic.columns
    assert ((held.status >= 100) & (held.status <= 599)).all()
    assert (held.response_time >= 0.0).all() and (held.response_size >= 0.0).all()


def test_merge_orders_both_by_time_and_returns_the_rows_of_the_attackers(
    own: Columns, synthetic: SyntheticAttacks
) -> None:
    both, rows = merge(own, synthetic)
    assert len(both) == len(own) + len(synthetic.columns)
    assert (np.diff(both.time) >= 0.0).all()
    assert_equal(both.take(rows), synthetic.columns)
    assert_equal(both.take(np.setdiff1d(np.arange(len(both)), rows)), own)


def test_attacks_are_generated_from_a_history_of_one_instant() -> None:
    logs = [log | {"time": START} for log in traffic(400)]
    attacks = generated(columns(logs), logs=300)
    assert attacks is not None
    assert START - 86_400.0 <= attacks.columns.time[0] and attacks.columns.time[-1] <= START + 1.0


def test_a_number_is_replaced_or_else_appended() -> None:
    own = columns([log | {"endpoint": "/items"} for log in traffic(300)])
    sampler = TrafficSampler(own, actor_keys(own), np.random.default_rng(0))
    assert len(sampler.numbered) == 0
    assert replace_number("/items", 7) == "/items/7"
    assert replace_number("/a/12/b-34c", 7) == "/a/12/b-7c"
    assert replace_number("", 7) == "/7"


def test_attacks_are_generated_from_empty_endpoints_and_from_any_text() -> None:
    logs = [
        log | {"endpoint": path}
        for log, path in zip(traffic(300), ["", "/é/1", "\ud800"] * 100, strict=True)
    ]
    attacks = generated(columns(logs), logs=300)
    assert attacks is not None and isinstance(attacks.columns.endpoint, Texts)


def test_every_row_of_the_table_is_named_after_its_function() -> None:
    assert [attack.name for attack in ATTACKS] == [a.generate.__name__ for a in ATTACKS]


def test_a_history_of_few_logs_has_no_synthetic_rows() -> None:
    assert generate_rows(columns(traffic(50, seed=1)), 0, 1_000) is None
