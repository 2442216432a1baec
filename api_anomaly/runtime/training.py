"""The use case of POST /train: fit in a thread, measure, store, and only then serve."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.feedback.training_labels import LabelRecords
from api_anomaly.model.fit import Fitted, fit
from api_anomaly.model.scorer import FitOptions
from api_anomaly.errors import AnomalyError, StorageFailed, TrainingInProgress
from api_anomaly.logs.decode import TrainRequest
from api_anomaly.logs.setup_checks import SetupWarning
from api_anomaly.logs.schema import DEFAULT_TEST_SIZE
from api_anomaly.runtime.history import HistoryService
from api_anomaly.runtime.registry import ModelRegistry
from api_anomaly.runtime.setup_watch import SetupWatch
from api_anomaly.runtime.threads import ThreadExecutor, in_thread
from api_anomaly.settings import Settings
from api_anomaly.storage.manifest import Manifest, TrainingFacts
from api_anomaly.storage.models import ModelStore
from api_anomaly.telemetry.journal import Journal
from api_anomaly.telemetry.metrics import Metrics

Outcome = Literal["success", "failed"]


class Quality(NamedTuple):
    """Shares in [0, 1] of the held-out logs; precision and recall are None when undefined."""

    accuracy: float
    precision: float | None
    recall: float | None


@dataclass(frozen=True, slots=True)
class LastTraining:
    """How the last training of this process ended; `error` is a code, `timestamp` ISO 8601."""

    outcome: Outcome
    error: str | None
    timestamp: str


class HistoryTraining(NamedTuple):
    """A training on the history: the last `days` (0: all), with `test_size` held out."""

    days: float = 0.0
    test_size: float = DEFAULT_TEST_SIZE


class TrainingService:
    """Trains the model that the registry serves, one training at a time."""

    def __init__(
        self,
        settings: Settings,
        store: ModelStore,
        registry: ModelRegistry,
        history: HistoryService,
        setup_watch: SetupWatch,
        active_labels: Callable[[], NDArray[Any]],
        on_success: Callable[[], None],
        metrics: Metrics,
        journal: Journal,
    ) -> None:
        """`active_labels` returns the labels to learn from; `on_success` is called after each
        success, when the memory is new and not yet on disk."""
        self._settings = settings
        self._store = store
        self._registry = registry
        self._history = history
        self._setup_watch = setup_watch
        self._active_labels = active_labels
        self._on_success = on_success
        self._metrics = metrics
        self._journal = journal
        self._reserved = False
        self.running = False
        self.last: LastTraining | None = None
        #: What looks wrong in the logs of the last successful training.
        self.warnings: list[SetupWarning] = []

    @property
    def busy(self) -> bool:
        """Whether a training runs or `reserved` excludes one."""
        return self.running or self._reserved

    @contextmanager
    def reserved(self) -> Iterator[None]:
        """Exclude other trainings while a history is read and trained on, so that half a gigabyte
        is not read in vain, or while a subject is removed. Raises TrainingInProgress."""
        if self.busy:
            raise _in_progress()
        self._reserved = True
        try:
            yield
        finally:
            self._reserved = False

    async def run_on_history(self, request: HistoryTraining) -> Manifest:
        """Train on the kept history. Raises what `run` raises."""
        limit = self._settings.max_training_logs
        columns, position = await self._history.load(request.days, limit)
        labels = np.full(len(columns), np.nan)
        return await self.run(TrainRequest(columns, labels, request.test_size), position)

    async def run(self, history: TrainRequest, position: int | None = None) -> Manifest:
        """Train on `history`, store the model and serve it. `position`: that of the journal whose
        later logs a first model has not learned from.

        Raises TrainingInProgress, TooFewLogs and StorageFailed. After any error the model that was
        served before still is.
        """
        if self.running:
            raise _in_progress()
        self.running = True
        self._metrics.set("training_running", 1)
        started = time.perf_counter()
        try:
            fitted, manifest = await in_thread(self._fit_and_store, history, self._active_labels())
            await self._registry.adopt(fitted.model, fitted.memory, manifest, position)
        except BaseException as error:
            self._end("failed", error.code if isinstance(error, AnomalyError) else "internal_error")
            if isinstance(error, StorageFailed):
                self._metrics.count("storage_failures_total", "model")
            raise
        finally:
            self.running = False
            self._metrics.set("training_running", 0)
            self._metrics.set("training_duration_seconds", time.perf_counter() - started)
        self.warnings = self._setup_watch.trained(history.columns, time.time())
        self._end("success", None)
        self._on_success()
        return manifest

    def _end(self, outcome: Outcome, error: str | None) -> None:
        self.last = LastTraining(outcome, error, datetime.now(UTC).isoformat())
        self._metrics.count("trainings_total", outcome)
        self._journal.info("training ended", outcome=outcome, error=error)

    def _fit_and_store(
        self, history: TrainRequest, labels: NDArray[Any]
    ) -> tuple[Fitted, Manifest]:
        started = time.perf_counter()
        options = FitOptions(
            test_size=history.test_size,
            alert_budget=self._settings.alert_budget,
            trees=self._settings.forest_trees,
            seed=self._settings.seed,
            memory_entities=self._settings.memory_entities,
        )
        helpers = self._settings.training_threads - 1
        with ThreadPoolExecutor(max(1, helpers)) as pool:  # threads are started when needed
            executor = ThreadExecutor(pool, helpers)
            fitted = fit(history.columns, options, labels=LabelRecords(labels), executor=executor)
        quality = measure(fitted.facts.held_out_flagged, history.labels[fitted.facts.held_out])
        facts = TrainingFacts(
            training_samples=fitted.facts.training_samples,
            train_anomalies=fitted.facts.train_anomalies,
            test_anomalies=fitted.facts.test_anomalies,
            accuracy=quality.accuracy,
            held_out_precision=quality.precision,
            held_out_recall=quality.recall,
            threshold=fitted.model.threshold,
            feature_count=fitted.model.feature_count,
            alert_budget=self._settings.alert_budget,
            duration_seconds=time.perf_counter() - started,
            training_labels=len(labels) if fitted.model.labels_until > 0.0 else 0,
        )
        return fitted, self._store.save(fitted.model, facts, datetime.now(UTC))


def _in_progress() -> TrainingInProgress:
    return TrainingInProgress("A training is running. Ask again when it has ended.")


def measure(flagged: NDArray[np.bool_], labels: NDArray[np.float64]) -> Quality:
    """Quality on m held-out logs: whether each was flagged, and its label: 0, 1 or NaN for unknown.

    Accuracy is the share of labelled logs whose flag equals the label; without any label it is the
    share not flagged. Precision is undefined if no labelled log is flagged, recall if none is
    labelled 1.
    """
    labelled = ~np.isnan(labels)
    if not labelled.any():
        return Quality(float(1.0 - flagged.mean()), None, None)
    attack, flagged = labels[labelled] == 1.0, flagged[labelled]
    hits = int((attack & flagged).sum())
    return Quality(
        accuracy=float((attack == flagged).mean()),
        precision=hits / int(flagged.sum()) if flagged.any() else None,
        recall=hits / int(attack.sum()) if attack.any() else None,
    )
