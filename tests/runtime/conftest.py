"""Fixtures of the use cases: a started service without HTTP."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import numpy as np
import pytest

from api_anomaly.logs.decode import TrainRequest
from api_anomaly.runtime.state import AppState, running
from api_anomaly.settings import Settings
from api_anomaly.telemetry.journal import Journal
from api_anomaly.telemetry.metrics import Metrics

Test = Callable[[AppState], Awaitable[None]]


@pytest.fixture()
def with_state(tmp_path: Path) -> Callable[[Test], None]:
    """Runs a coroutine with the state of a started service."""
    settings = Settings(
        auth_token=("token",),
        model_path=tmp_path / "models" / "isolation_forest.pkl",
        scaler_path=tmp_path / "models" / "scaler.pkl",
        log_file=tmp_path / "journal.log",
        memory_entities=500,
        forest_trees=10,
        inline_logs=16,
    )

    @asynccontextmanager
    async def started() -> AsyncIterator[AppState]:
        journal = Journal(settings.log_level, settings.log_file)
        try:
            async with running(settings, Metrics(), journal) as state:
                yield state
        finally:
            journal.close()

    def run(test: Test) -> None:
        async def run_test() -> None:
            async with started() as state:
                await test(state)

        asyncio.run(run_test())

    return run


@pytest.fixture()
def history(logs, columns) -> Callable[[int], TrainRequest]:
    return lambda count: TrainRequest(columns(logs(count)), np.full(count, np.nan), 0.2)
