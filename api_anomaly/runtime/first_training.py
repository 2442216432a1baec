"""The first training by itself: when there is no model and enough history."""

import asyncio
from contextlib import suppress

from api_anomaly.errors import AnomalyError
from api_anomaly.runtime.history import HistoryService, Missing
from api_anomaly.runtime.registry import ModelRegistry
from api_anomaly.runtime.training import HistoryTraining, TrainingService
from api_anomaly.telemetry.journal import Journal

_CHECK_SECONDS = 2.0
#: After a training that failed, so many times the logs of then are waited for.
_GROWTH_AFTER_FAILURE = 1.2


class FirstTraining:
    """Watches the history and trains once it is long enough."""

    def __init__(
        self,
        needed_logs: int,
        needed_hours: float,
        history: HistoryService,
        registry: ModelRegistry,
        training: TrainingService,
        journal: Journal,
    ) -> None:
        self._needed_logs, self._needed_hours = needed_logs, needed_hours
        self._history = history
        self._registry = registry
        self._training = training
        self._journal = journal
        self._stopping = asyncio.Event()

    @property
    def missing(self) -> Missing | None:
        """What is missing; None if there is a model, or no history is kept."""
        if self._registry.served is not None or not self._history.enabled:
            return None
        span = self._history.span
        return Missing(
            max(0, self._needed_logs - span.logs), max(0.0, self._needed_hours - span.hours)
        )

    async def run(self) -> None:
        """Train as soon as nothing is missing, until `stop`."""
        while not self._stopping.is_set():
            with suppress(TimeoutError):
                async with asyncio.timeout(_CHECK_SECONDS):
                    await self._stopping.wait()
            if self.missing == (0, 0.0) and not self._training.busy:
                await self._train()

    async def _train(self) -> None:
        self._journal.info("first training begins", logs=self._history.span.logs)
        try:
            with self._training.reserved():
                await self._training.run_on_history(HistoryTraining())
        except AnomalyError as error:
            self._needed_logs = int(self._history.span.logs * _GROWTH_AFTER_FAILURE) + 1
            self._journal.warning("first training failed", error=error.code, reason=str(error))

    def stop(self) -> None:
        """End `run`."""
        self._stopping.set()
