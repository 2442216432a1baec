"""Fixtures that the tests of several packages share: traffic, a trained model, a real server."""

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

from api_anomaly.logs.columns import Columns
from api_anomaly.model.fit import Fitted, fit
from api_anomaly.model.scorer import FitOptions
from api_anomaly.http.app import create_app
from api_anomaly.settings import Settings, variables
from api_anomaly.storage.keys import SigningKeys
from api_anomaly.storage.manifest import TrainingFacts
from tests.support.server import TOKEN, calling
from tests.support.traffic import Log, as_columns, ordinary_logs

# No test is timed: on a shared machine the same example takes a millisecond or half a second. And
# every run of these tests tries the same examples, so that what passes here passes everywhere; to
# look for others: `scripts/test --hypothesis-profile explore`.
settings.register_profile("explore", deadline=None, derandomize=False)
settings.register_profile("same_everywhere", deadline=None, derandomize=True)
settings.load_profile("same_everywhere")

# The environment of the test run must not change the settings of the tests.
for _variable in variables():
    os.environ.pop(_variable, None)

Logs = Callable[..., list[Log]]
Serve = Callable[..., AbstractContextManager[httpx.Client]]


class OneProcessForContainers(LoadScopeScheduling):  # type: ignore[misc]
    """Distributes tests one by one, but those of tests/deployment to one process: their containers
    share names, ports and a lock."""

    def _split_scope(self, nodeid: str) -> str:
        return "containers" if nodeid.startswith("tests/deployment/") else nodeid


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneProcessForContainers:
    """Used by pytest-xdist with `-n`."""
    return OneProcessForContainers(config, log)


@pytest.fixture(scope="session")
def logs() -> Logs:
    """`ordinary_logs`."""
    return ordinary_logs


@pytest.fixture(scope="session")
def columns() -> Callable[[list[Log]], Columns]:
    """`as_columns`."""
    return as_columns


@pytest.fixture(scope="session")
def fitted() -> Fitted:
    """A small model of 300 ordinary logs. Tests read it and leave it as it is."""
    options = FitOptions(trees=10, memory_entities=64)
    return fit(as_columns(ordinary_logs(300)), options)


@pytest.fixture(scope="session")
def facts(fitted: Fitted) -> TrainingFacts:
    """What was measured of `fitted`."""
    return TrainingFacts(
        training_samples=300,
        train_anomalies=1,
        test_anomalies=0,
        accuracy=0.99,
        held_out_precision=None,
        held_out_recall=0.5,
        threshold=fitted.model.threshold,
        feature_count=fitted.model.feature_count,
        alert_budget=0.001,
        duration_seconds=0.1,
    )


@pytest.fixture()
def keys() -> SigningKeys:
    """A signing key."""
    return SigningKeys(["a signing key of the tests"])


@pytest.fixture()
def now() -> datetime:
    """A moment."""
    return datetime(2026, 2, 3, 4, 5, 6, 789, UTC)


@pytest.fixture(scope="session")
def serve_app() -> Callable[[Any], AbstractContextManager[httpx.Client]]:
    """`calling`."""
    return calling


@pytest.fixture()
def serve(tmp_path: Path) -> Serve:
    """Serves an app with its files in `tmp_path`; named settings replace small ones."""

    @contextmanager
    def served(**replaced: Any) -> Iterator[httpx.Client]:
        settings: dict[str, Any] = {
            "auth_token": (TOKEN,),
            "model_path": tmp_path / "models" / "isolation_forest.pkl",
            "scaler_path": tmp_path / "models" / "scaler.pkl",
            "log_file": tmp_path / "logs" / "journal.log",
            "memory_entities": 500,
            "forest_trees": 20,
        }
        with calling(create_app(Settings(**(settings | replaced)))) as client:
            yield client

    return served
