"""A small simulation, scored once by every contender, and its figures."""

from collections.abc import Callable

import pytest

from benchmarks.quality.contenders import Contender, Scored, contenders
from benchmarks.quality.datasets import Dataset, of_traffic
from benchmarks.quality.figures import concatenate, pool
from benchmarks.quality.measure import Tables, measure
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
    return of_traffic("small traffic", traffic)


@pytest.fixture(scope="session")
def scored(data: Dataset) -> dict[str, Scored]:
    """The result of every contender, computed once for all tests."""
    return {contender.name: contender.score(data) for contender in contenders()}


@pytest.fixture(scope="session")
def repeaters(scored: dict[str, Scored]) -> tuple[Contender, ...]:
    """All contenders, which return the results computed before."""
    return tuple(each._replace(score=_repeat(scored[each.name])) for each in contenders())


def _repeat(result: Scored) -> Callable[[Dataset], Scored]:
    return lambda _: result


@pytest.fixture(scope="session")
def measured(data: Dataset, repeaters: tuple[Contender, ...]) -> Tables:
    return measure(data, repeaters, replicates=20)


def pooled(measured: Tables, group: str, copies: int = 1) -> Tables:
    """A group of equal data sets, pooled."""
    parts = [
        {name: table.assign(group=group, dataset=f"{number}") for name, table in measured.items()}
        for number in range(copies)
    ]
    return pool(concatenate(parts))
