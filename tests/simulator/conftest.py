"""Scenarios that several tests look at; each is simulated once."""

import pytest

from api_anomaly.simulator.scenario import preset
from api_anomaly.simulator.simulation import Traffic, simulate


@pytest.fixture(scope="session")
def fortnight() -> Traffic:
    return simulate(preset("fortnight", seed=1))


@pytest.fixture(scope="session")
def day() -> Traffic:
    return simulate(preset("day", seed=1))


@pytest.fixture(scope="session")
def contaminated_week() -> Traffic:
    return simulate(preset("week", seed=2, contamination=0.5))
