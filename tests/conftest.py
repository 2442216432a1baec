"""What the rooms' tests share: plain traffic, a trained model, and a real server on loopback."""

import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import settings
import uvicorn

from api_anomaly.logs.columns import Columns, columns_of
from api_anomaly.detector import FitOptions, Fitted, fit
from api_anomaly.http.app import Application, create_app
from api_anomaly.settings import Settings
from api_anomaly.http.protocol import BoundedHttpProtocol
from api_anomaly.storage.keys import SigningKeys
from api_anomaly.storage.manifest import Facts

# No test is timed: on a shared machine the same example takes a millisecond or half a second. And
# every run of these tests tries the same examples, so that what passes here passes everywhere; to
# look for others: `scripts/test --hypothesis-profile explore`.
settings.register_profile("explore", deadline=None, derandomize=False)
settings.register_profile("same_everywhere", deadline=None, derandomize=True)
settings.load_profile("same_everywhere")

TOKEN = "a-token-of-the-tests"
_PATIENT = 300  # seconds; else a connection may be closed just when a slow test uses it again
START = 1_700_000_000.0
Log = dict[str, Any]
Logs = Callable[..., list[Log]]
Serve = Callable[..., AbstractContextManager[httpx.Client]]


def ordinary_logs(count: int, start: float = START, seed: int = 1) -> list[Log]:
    """`count` logs of eight calm users, in time order from `start`."""
    chance = random.Random(seed)
    logs = []
    for number in range(count):
        user = chance.randrange(8)
        logs.append(
            {
                "timestamp": start + 7.0 * number + chance.random(),
                "user_id": f"user-{user}",
                "endpoint": f"/api/orders/{chance.randrange(40)}",
                "method": chance.choice(["GET", "GET", "GET", "POST"]),
                "status_code": chance.choice([200, 200, 200, 200, 404]),
                "response_time": round(chance.lognormvariate(-2.0, 0.4), 4),
                "ip_address": f"192.0.2.{user + 1}",
                "user_agent": "client/1.0",
                "request_size": 120,
                "response_size": chance.randrange(900, 2_000),
            }
        )
    return logs


def as_columns(logs: list[Log]) -> Columns:
    """The columns of `ordinary_logs`."""
    names = list(logs[0])
    return columns_of(*([log[name] for log in logs] for name in names))


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
def facts(fitted: Fitted) -> Facts:
    """What was measured of `fitted`."""
    return Facts(
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


class Announced(uvicorn.Server):
    """A server that says when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.tried = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.tried.set()


@contextmanager
def running(app: Application) -> Iterator[str]:
    """`app` under a real uvicorn on a free loopback port: its address. Stopped as by SIGTERM."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        http=BoundedHttpProtocol,
        access_log=False,
        log_level="warning",
        log_config=None,
        proxy_headers=False,
        timeout_keep_alive=_PATIENT,
    )
    server = Announced(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        assert server.tried.wait(300) and server.started, "the server did not start"
        yield "http://127.0.0.1:%d" % listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def calling(app: Application) -> Iterator[httpx.Client]:
    """A client with the tests' token for a running `app`."""
    with running(app) as address:
        headers = {"Authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=address, headers=headers, timeout=300) as client:
            yield client


@pytest.fixture(scope="session")
def serve_app() -> Callable[[Application], AbstractContextManager[httpx.Client]]:
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
