"""A little labelled traffic, simulated once, and what was measured on it."""

from collections.abc import Callable

import pytest

from benchmarks.quality.contenders import Contender, Scored, contenders
from benchmarks.quality.datasets import Dataset, of_traffic
from benchmarks.quality.measured import Measured, measure
from api_anomaly.simulator.scenario import Scenario
from api_anomaly.simulator.simulation import Traffic, simulate

SMALL = Scenario(
    seed=4,
    days=3,
    training_days=2,
    users=20,
    attackers=1,
    families=("enumeration_fast", "path_scanning", "account_takeover"),
)


@pytest.fixture(scope="session")
def scenario() -> Scenario:
    return SMALL


@pytest.fixture(scope="session")
def traffic() -> Traffic:
    return simulate(SMALL)


@pytest.fixture(scope="session")
def data(traffic: Traffic) -> Dataset:
    return of_traffic("a little traffic", traffic)


@pytest.fixture(scope="session")
def scored(data: Dataset) -> dict[str, Scored]:
    """What every contender says of the data, once for all tests."""
    return {contender.name: contender.score(data) for contender in contenders()}


@pytest.fixture(scope="session")
def repeaters(scored: dict[str, Scored]) -> list[Contender]:
    """Contenders that say it again."""
    return [each._replace(score=said(scored[each.name])) for each in contenders()]


def said(before: Scored) -> Callable[[Dataset], Scored]:
    return lambda _: before


@pytest.fixture(scope="session")
def measured(data: Dataset, repeaters: list[Contender]) -> Measured:
    return measure(data, repeaters, replicates=20)
