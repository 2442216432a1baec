"""The parts of a running service without HTTP: created once at start, closed at the end."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from api_anomaly import __version__
from api_anomaly.errors import AnomalyError, ModelNotFound, StorageFailed
from api_anomaly.logs.decode import Decoder
from api_anomaly.rules import RuleSet
from api_anomaly.runtime.detection import DetectionService
from api_anomaly.runtime.feedback import FeedbackService
from api_anomaly.runtime.free_memory import give_back
from api_anomaly.runtime.idempotency import MOST_BYTES, IdempotencyStore
from api_anomaly.runtime.label_store import LabelStore
from api_anomaly.runtime.recent_anomalies import RecentAnomalies
from api_anomaly.runtime.rule_comparison import RuleComparison
from api_anomaly.runtime.snapshots import SnapshotService
from api_anomaly.runtime.threads import in_thread
from api_anomaly.runtime.training import TrainingService
from api_anomaly.settings import Settings
from api_anomaly.storage.answers import KeptAnswers
from api_anomaly.storage.keys import SigningKeys, made_secret, secret_in
from api_anomaly.storage.label_file import FeedbackFile
from api_anomaly.storage.models import ModelStore
from api_anomaly.telemetry.journal import Journal
from api_anomaly.telemetry.metrics import Metrics


@dataclass(frozen=True, slots=True)
class AppState:
    """The use cases of the service and what they share."""

    settings: Settings
    metrics: Metrics
    journal: Journal
    decoder: Decoder
    model_store: ModelStore
    detection: DetectionService
    rule_comparison: RuleComparison
    training: TrainingService
    feedback: FeedbackService
    snapshots: SnapshotService
    idempotency: IdempotencyStore


@asynccontextmanager
async def running(
    settings: Settings, metrics: Metrics, journal: Journal
) -> AsyncIterator[AppState]:
    """A started service. At the end its memory is written to disk and its files are closed."""
    state = _create(settings, metrics, journal)
    await state.feedback.book.open()
    await state.idempotency.load()
    await _load_model(state)
    await in_thread(give_back)
    state.feedback.measure()
    snapshots = asyncio.create_task(state.snapshots.run(state.detection))
    try:
        yield state
    finally:
        state.snapshots.stop()
        await snapshots
        await state.idempotency.close()
        journal.info("stopped")


def _create(settings: Settings, metrics: Metrics, journal: Journal) -> AppState:
    folder = settings.model_path.absolute().parent
    keys = _signing_keys(settings, folder / "signing_key", journal)
    model_store = ModelStore(
        settings.model_path, settings.scaler_path, keys, settings.model_versions_kept
    )
    labels = LabelStore(
        FeedbackFile(folder / "feedback", keys),
        settings.feedback_days,
        settings.feedback_verdicts,
        journal,
        failed=lambda: metrics.count("storage_failures_total", "verdicts"),
    )
    anomalies = RecentAnomalies(settings.feedback_anomalies)
    detection = DetectionService(model_store, labels, metrics, settings.inline_logs)
    snapshots = SnapshotService(
        folder / "memory.snapshot",
        keys,
        settings.snapshot_seconds,
        settings.memory_entities,
        anomalies,
        metrics,
        journal,
    )
    return AppState(
        settings=settings,
        metrics=metrics,
        journal=journal,
        decoder=Decoder(settings.max_batch_logs, settings.max_training_logs),
        model_store=model_store,
        detection=detection,
        rule_comparison=RuleComparison(_rules(settings), settings.inline_logs),
        training=TrainingService(
            settings, model_store, detection, metrics, journal, labels.active, snapshots.want
        ),
        feedback=FeedbackService(labels, anomalies, detection, metrics, journal),
        snapshots=snapshots,
        idempotency=_idempotency(settings, folder / "answers.db", keys, metrics, journal),
    )


def _rules(settings: Settings) -> RuleSet:
    return RuleSet.load(settings.rules_file) if settings.rules_file else RuleSet.default()


def _idempotency(
    settings: Settings, file: Path, keys: SigningKeys, metrics: Metrics, journal: Journal
) -> IdempotencyStore:
    """A failing disk is reported in metrics and journal; responses are sent all the same."""

    def failed(error: StorageFailed) -> None:
        metrics.count("storage_failures_total", "answers")
        journal.warning("answer not kept", error=error.code, reason=str(error))

    kept = KeptAnswers(file, keys, MOST_BYTES)
    count, seconds = settings.idempotency_keys, settings.idempotency_seconds
    return IdempotencyStore(count, seconds, MOST_BYTES, kept, failed)


def _signing_keys(settings: Settings, file: Path, journal: Journal) -> SigningKeys:
    """The configured keys, else the one in `file`, which is created. Where it cannot be written
    no model can be either, so a key for this run is enough."""
    if settings.model_signing_key:
        return SigningKeys(settings.model_signing_key)
    try:
        return SigningKeys([secret_in(file)[0]])
    except StorageFailed as error:
        journal.warning("signing key not kept: models on disk will not verify", reason=str(error))
        return SigningKeys([made_secret()])


async def _load_model(state: AppState) -> None:
    """Serve the model on disk if it can be trusted; else start without a model."""
    try:
        served = await state.detection.reload(state.snapshots.restored)
    except ModelNotFound:
        state.journal.info("started without a model", version=__version__)
    except AnomalyError as error:
        state.metrics.count("storage_failures_total", "model")
        state.journal.warning("model not loaded", error=error.code, reason=str(error))
    else:
        state.journal.info("started", version=__version__, model=served.manifest.version)
