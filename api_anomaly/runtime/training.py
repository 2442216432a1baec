"""One training at a time: fit in a thread, measure, keep on disk, and only then serve."""

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
from api_anomaly.model.fit import Fitted, TrainingFacts, fit
from api_anomaly.model.scorer import FitOptions
from api_anomaly.errors import AnomalyError, StorageFailed, TrainingInProgress
from api_anomaly.logs.decode import TrainRequest
from api_anomaly.telemetry.journal import Journal
from api_anomaly.telemetry.metrics import Metrics
from api_anomaly.runtime.detection import DetectionService
from api_anomaly.settings import Settings
from api_anomaly.runtime.threads import ThreadExecutor, in_thread
from api_anomaly.storage.manifest import Facts, Manifest
from api_anomaly.storage.models import ModelStore


class Quality(NamedTuple):
    """Shares in [0, 1] of the held-out logs; precision and recall are None when undefined."""

    accuracy: float
    precision: float | None
    recall: float | None


@dataclass(frozen=True, slots=True)
class Ended:
    """How the last training of this process ended; `error` is a code."""

    outcome: Literal["success", "failed"]
    error: str | None
    timestamp: str


class TrainingService:
    """Trains the model that `serving` serves."""

    def __init__(
        self,
        settings: Settings,
        vault: ModelStore,
        serving: DetectionService,
        metrics: Metrics,
        journal: Journal,
        labels: Callable[[], NDArray[Any]],
        trained: Callable[[], None],
    ) -> None:
        """`labels` gives the verdicts to learn from; `trained` is told after each success: the
        memory is new and not yet on disk."""
        self._settings = settings
        self._vault = vault
        self._serving = serving
        self._metrics = metrics
        self._journal = journal
        self._labels = labels
        self._trained = trained
        self.running = False
        self._claimed = False
        self.ended: Ended | None = None

    @contextmanager
    def claimed(self) -> Iterator[None]:
        """Keep others from training from before a history is read until it is trained on: half a
        gigabyte is not read to be refused. Raises TrainingInProgress."""
        if self._claimed:
            raise _in_progress()
        self._claimed = True
        try:
            yield
        finally:
            self._claimed = False

    async def run(self, history: TrainRequest) -> Manifest:
        """Train on `history`, keep the model and serve it.

        Raises TrainingInProgress, TooFewLogs and StorageFailed. Whatever is raised, the model that
        was served before still is.
        """
        if self.running:
            raise _in_progress()
        self.running = True
        self._metrics.set("training_running", 1)
        started = time.perf_counter()
        try:
            fitted, manifest = await in_thread(self._fit_and_keep, history, self._labels())
            await self._serving.adopt(fitted.model, fitted.memory, manifest)
        except BaseException as error:
            self._end("failed", error.code if isinstance(error, AnomalyError) else "internal_error")
            if isinstance(error, StorageFailed):
                self._metrics.count("storage_failures_total", "model")
            raise
        finally:
            self.running = False
            self._metrics.set("training_running", 0)
            self._metrics.set("training_duration_seconds", time.perf_counter() - started)
        self._end("success", None)
        self._trained()
        return manifest

    def _end(self, outcome: Literal["success", "failed"], error: str | None) -> None:
        self.ended = Ended(outcome, error, datetime.now(UTC).isoformat())
        self._metrics.count("trainings_total", outcome)
        self._journal.info("training ended", outcome=outcome, error=error)

    def _fit_and_keep(self, history: TrainRequest, labels: NDArray[Any]) -> tuple[Fitted, Manifest]:
        """Runs in a thread."""
        started = time.perf_counter()
        options = FitOptions(
            test_size=history.test_size,
            alert_budget=self._settings.alert_budget,
            trees=self._settings.forest_trees,
            seed=self._settings.seed,
            memory_entities=self._settings.memory_entities,
        )
        helpers = self._settings.training_threads - 1
        with ThreadPoolExecutor(max(1, helpers)) as pool:  # starts none that is not needed
            executor = ThreadExecutor(pool, helpers)
            fitted = fit(history.columns, options, labels=LabelRecords(labels), executor=executor)
        quality = quality_of(fitted.facts, history.labels)
        facts = Facts(
            training_samples=fitted.facts.training_samples,
            train_anomalies=fitted.facts.train_anomalies,
            test_anomalies=fitted.facts.test_anomalies,
            accuracy=quality.accuracy,
            held_out_precision=quality.precision,
            held_out_recall=quality.recall,
            threshold=fitted.facts.threshold,
            feature_count=fitted.facts.feature_count,
            alert_budget=self._settings.alert_budget,
            duration_seconds=time.perf_counter() - started,
            verdicts_learnt=len(labels) if fitted.model.labels_until > 0.0 else 0,
        )
        return fitted, self._vault.save(fitted.model, facts, datetime.now(UTC))


def _in_progress() -> TrainingInProgress:
    return TrainingInProgress("A training is running. Ask again when it has ended.")


def quality_of(facts: TrainingFacts, labels: NDArray[np.float64]) -> Quality:
    """What is measured on the held-out logs, with `labels` (n,) of 0, 1 and NaN for unknown.

    Accuracy is the share of labelled logs that were judged as labelled; without any label it is the
    share left unflagged. Precision is undefined when nothing labelled was flagged, recall when
    nothing is labelled 1.
    """
    truth = labels[facts.held_out]
    labelled = ~np.isnan(truth)
    if not labelled.any():
        return Quality(facts.accuracy, None, None)
    attack, flagged = truth[labelled] == 1.0, facts.held_out_flagged[labelled]
    hits = int((attack & flagged).sum())
    return Quality(
        accuracy=float((attack == flagged).mean()),
        precision=hits / int(flagged.sum()) if flagged.any() else None,
        recall=hits / int(attack.sum()) if attack.any() else None,
    )
