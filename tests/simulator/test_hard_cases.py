"""Benign behaviour on which rules fire is in the simulated traffic."""

import numpy as np
import pytest

from api_anomaly.rules import RuleLogs, RuleSet
from api_anomaly.simulator.events import CASE, CASES
from api_anomaly.simulator.scenario import preset
from api_anomaly.simulator.simulation import Traffic, simulate

# The rules of which at least one fires on each case in every scenario.
EXPECTED = {
    "sync_client": {"posts", "request_rate"},
    "polling_client": {"client_errors"},
    "thumbnail_burst": {"request_rate"},
    "nat_office": {"posts", "refused"},
    "nightly_job": {"request_rate", "large_response"},
    "deploy": {"server_error"},
    "marketing_spike": {"request_rate", "server_error"},
    "new_customer": {"posts", "refused", "client_errors"},
    "traveller": {"refused"},
    "retry_storm": {"client_errors", "posts", "refused", "server_error"},
    "own_scanner": {"scanner_agent"},
}


def test_every_hard_case_has_its_rules() -> None:
    assert set(EXPECTED) == set(CASES) - {""}


@pytest.mark.parametrize("name", ["day", "week", "fortnight", "clean_week"])
def test_a_default_rule_fires_on_each_benign_hard_case(name: str) -> None:
    traffic = simulate(preset(name, seed=7))
    fired = RuleSet.default().evaluate(RuleLogs.of_records(traffic.logs(labels=False)))
    for case, rules in EXPECTED.items():
        rows = (traffic.case == CASE[case]) & (traffic.label == 0)
        found = set(np.array(fired.rule_ids)[fired.matrix[rows].any(axis=0)].tolist())
        assert found & rules, f"{case}: {int(rows.sum())} logs found only {found}"


def test_a_hard_case_is_always_benign(fortnight: Traffic) -> None:
    assert not (fortnight.case[fortnight.label == 1] > 0).any()


def test_most_benign_logs_are_ordinary(fortnight: Traffic) -> None:
    assert (fortnight.case[fortnight.label == 0] == 0).mean() > 0.8


def test_an_office_is_many_users_behind_one_address(fortnight: Traffic) -> None:
    rows = np.flatnonzero(fortnight.case == CASE["nat_office"])
    users = {fortnight.user[row] for row in rows} - {None}
    assert len({fortnight.address[row] for row in rows}) == 1
    assert len(users) >= 10


def test_a_deploy_fails_for_all_clients_at_once_and_ends(fortnight: Traffic) -> None:
    rows = np.flatnonzero(fortnight.case == CASE["deploy"])
    assert (fortnight.status[rows] >= 500).all()
    assert len(set(fortnight.actor[rows].tolist())) >= 5
    bursts = np.split(
        fortnight.time[rows], np.flatnonzero(np.diff(fortnight.time[rows]) > 3600) + 1
    )
    assert all(burst[-1] - burst[0] <= 7 * 60 for burst in bursts)
