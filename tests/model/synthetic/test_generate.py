"""Rehearsals: generic attackers on the team's own stage, the same for the same seed."""

from typing import Any

import numpy as np
import pytest

from api_anomaly.model.synthetic import attacks
from api_anomaly.features.extract import actor_keys
from api_anomaly.logs.columns import Columns, Texts
from api_anomaly.model.synthetic.generate import FAMILIES, SyntheticAttacks, merged, generate
from api_anomaly.model.synthetic.sampler import TrafficSampler
from tests.support.streams import START, columns, traffic
from tests.logs.test_columns import assert_equal, texts

WRITES = {
    FAMILIES.index(generator)
    for generator in (attacks.credential_cracking, attacks.credential_stuffing)
}
ACCOUNTS = set(range(len(FAMILIES))) - WRITES
SIGNATURES = (
    *("passwd", "etc/", "select", "union", "script", "../", "wp-", ".env", ".git", "admin"),
    *("sqlmap", "nikto", "nmap", "acunetix", "phpmyadmin", "shell", "xmlrpc", "<", "'", '"'),
)


def history(accounts: bool = True, writes: bool = True) -> Columns:
    """Eight hundred logs of a team, with or without accounts and writes."""
    without: dict[str, Any] = {} if accounts else {"user_id": None}
    without |= {} if writes else {"method": "GET"}
    return columns([log | without for log in traffic(800, pace=60.0)])


def played(own: Columns, logs: int = 2_000, seed: int = 0) -> SyntheticAttacks | None:
    return generate(own, actor_keys(own), logs, seed)


@pytest.fixture(scope="module")
def own() -> Columns:
    return history()


@pytest.fixture(scope="module")
def synthetic_rows(own: Columns) -> SyntheticAttacks:
    whole = played(own)
    assert whole is not None
    return whole


def test_the_same_seed_plays_the_same_and_another_seed_another_rehearsal(
    own: Columns, synthetic_rows: SyntheticAttacks
) -> None:
    again, other = played(own), played(own, seed=1)
    assert again is not None and other is not None
    assert_equal(synthetic_rows.columns, again.columns)
    assert np.array_equal(synthetic_rows.family, again.family)
    assert len(other.columns) != len(again.columns) or not np.array_equal(
        other.columns.time, again.columns.time
    )


@pytest.mark.parametrize(
    ("accounts", "writes", "families"),
    [
        (True, True, WRITES | ACCOUNTS),
        (True, False, ACCOUNTS),
        (False, True, WRITES),
        (False, False, None),
    ],
)
def test_a_family_plays_only_where_it_has_a_stage(
    accounts: bool, writes: bool, families: set[int] | None
) -> None:
    whole = played(history(accounts, writes))
    assert (None if whole is None else set(whole.family.tolist())) == families


def test_users_named_by_their_address_or_seldom_seen_are_no_accounts() -> None:
    logs = traffic(800)
    for names in ([log["ip_address"] for log in logs], [f"user-{i // 5}" for i in range(800)]):
        whole = played(
            columns([log | {"user_id": name} for log, name in zip(logs, names, strict=True)])
        )
        assert whole is not None and set(whole.family.tolist()) == WRITES


def test_every_family_sends_its_part_and_every_attacker_is_of_one_family(
    synthetic_rows: SyntheticAttacks,
) -> None:
    assert np.bincount(synthetic_rows.family).min() >= 2_000 // len(FAMILIES)
    families = {}
    for attacker, family in zip(synthetic_rows.attacker, synthetic_rows.family, strict=True):
        assert families.setdefault(attacker, family) == family
    assert len(synthetic_rows.columns) == len(synthetic_rows.family) == len(synthetic_rows.attacker)


def test_attackers_play_in_time_order_within_the_history(
    own: Columns, synthetic_rows: SyntheticAttacks
) -> None:
    time = synthetic_rows.columns.time
    assert (np.diff(time) >= 0.0).all()
    assert own.time[0] - 86_400.0 <= time[0] and time[-1] <= own.time[-1] + 1.0


def test_the_given_history_stays_as_it_is(own: Columns, synthetic_rows: SyntheticAttacks) -> None:
    assert_equal(own, history())


def test_agents_are_borrowed_and_paths_are_own_ones_numbers_or_meaningless_words(
    own: Columns, synthetic_rows: SyntheticAttacks
) -> None:
    assert set(texts(synthetic_rows.columns.agent)) <= set(texts(own.agent))
    endpoints = texts(synthetic_rows.columns.endpoint)
    assert all(endpoint.startswith(("/orders", "/items", "/")) for endpoint in endpoints)
    assert not [e for e in endpoints for word in SIGNATURES if word in e.lower()]
    unlike = [
        e
        for e, f in zip(endpoints, synthetic_rows.family, strict=True)
        if FAMILIES[f] is attacks.path_scanning
    ]
    assert set(unlike).isdisjoint(texts(own.endpoint))


def test_statuses_and_sizes_are_those_of_http(synthetic_rows: SyntheticAttacks) -> None:
    held = synthetic_rows.columns
    assert ((held.status >= 100) & (held.status <= 599)).all()
    assert (held.response_time >= 0.0).all() and (held.response_size >= 0.0).all()


def test_merging_puts_both_in_time_order_and_says_which_rows_are_the_attackers(
    own: Columns, synthetic_rows: SyntheticAttacks
) -> None:
    both, rows = merged(own, synthetic_rows)
    assert len(both) == len(own) + len(synthetic_rows.columns)
    assert (np.diff(both.time) >= 0.0).all()
    assert_equal(both.take(rows), synthetic_rows.columns)
    assert_equal(both.take(np.setdiff1d(np.arange(len(both)), rows)), own)


def test_a_history_of_one_instant_has_room_for_attackers_too() -> None:
    logs = [log | {"time": START} for log in traffic(400)]
    whole = played(columns(logs), logs=300)
    assert whole is not None
    assert START - 86_400.0 <= whole.columns.time[0] and whole.columns.time[-1] <= START + 1.0


def test_where_no_endpoint_has_a_number_one_is_put_behind() -> None:
    own = columns([log | {"endpoint": "/items"} for log in traffic(300)])
    sampler = TrafficSampler(own, actor_keys(own), np.random.default_rng(0))
    assert len(sampler.numbered) == 0
    assert sampler.renumbered("/items", 7) == "/items/7"
    assert sampler.renumbered("/a/12/b-34c", 7) == "/a/12/b-7c"
    assert sampler.renumbered("", 7) == "/7"


def test_unknown_endpoints_and_text_of_any_kind_can_be_borrowed() -> None:
    logs = [
        log | {"endpoint": path}
        for log, path in zip(traffic(300), ["", "/é/1", "\ud800"] * 100, strict=True)
    ]
    whole = played(columns(logs), logs=300)
    assert whole is not None and isinstance(whole.columns.endpoint, Texts)
