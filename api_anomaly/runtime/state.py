"""The running service without HTTP: its use cases, constructed at the start, closed at the end."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

from api_anomaly import __version__
from api_anomaly.errors import AnomalyError, ModelNotFound, StorageFailed
from api_anomaly.logs.decode import Decoder
from api_anomaly.logs.formats.format import TextFormat
from api_anomaly.logs.pseudonyms import Pseudonyms
from api_anomaly.rules import RuleSet
from api_anomaly.runtime.detection import DetectionService
from api_anomaly.runtime.detect_response import encode_kept
from api_anomaly.runtime.first_training import FirstTraining
from api_anomaly.runtime.history import HistoryService, Missing
from api_anomaly.runtime.format_file import load_formats
from api_anomaly.runtime.ingestion import IngestionService, encode_response
from api_anomaly.runtime.recovery import Encode, Recovery
from api_anomaly.runtime.feedback import FeedbackService, RecentAnomalies
from api_anomaly.runtime.free_memory import release_memory
from api_anomaly.runtime.idempotency import IdempotencyStore
from api_anomaly.runtime.label_store import LabelStore
from api_anomaly.runtime.registry import ModelRegistry
from api_anomaly.runtime.rule_comparison import RuleComparison
from api_anomaly.runtime.setup_watch import SetupWatch
from api_anomaly.runtime.snapshots import SnapshotService
from api_anomaly.runtime.subjects import SubjectService
from api_anomaly.runtime.threads import in_thread
from api_anomaly.runtime.training import TrainingService
from api_anomaly.settings import Settings
from api_anomaly.storage.keys import SigningKeys, new_secret, read_or_create_secret
from api_anomaly.storage.label_file import LabelFile
from api_anomaly.storage.models import ModelStore
from api_anomaly.telemetry.journal import Journal
from api_anomaly.telemetry.metrics import Metrics

#: By the kind of the journal's entries.
_ENCODERS: dict[str, Encode] = {"detect": encode_kept, "ingest": encode_response}


@dataclass(frozen=True, slots=True)
class AppState:
    """The use cases of the service and what they share."""

    settings: Settings
    metrics: Metrics
    journal: Journal
    decoder: Decoder
    pseudonyms: Pseudonyms | None
    registry: ModelRegistry
    detection: DetectionService
    training: TrainingService
    feedback: FeedbackService
    setup_watch: SetupWatch
    snapshots: SnapshotService
    history: HistoryService
    ingestion: IngestionService
    named_formats: Mapping[str, TextFormat]
    first_training: FirstTraining
    recovery: Recovery
    idempotency: IdempotencyStore
    subjects: SubjectService

    def measure(self) -> None:
        """Update the metrics that are computed when they are read."""
        age = self.snapshots.age_seconds
        self.metrics.set("snapshot_age_seconds", float("nan") if age is None else age)
        self.registry.measure_memory()
        self.setup_watch.measure()


@asynccontextmanager
async def running(
    settings: Settings, metrics: Metrics, journal: Journal
) -> AsyncIterator[AppState]:
    """A started service. At the end its memory is written to disk."""
    state = _create(settings, metrics, journal)
    await state.feedback.labels.load()
    await _load_model(state)
    if state.registry.served is None:
        await in_thread(state.recovery.restore_responses)
    await in_thread(release_memory)
    state.feedback.measure()
    services = (state.first_training, state.history)
    tasks = [asyncio.create_task(service.run()) for service in services]
    snapshots = asyncio.create_task(state.snapshots.run(state.registry))
    try:
        yield state
    finally:
        for service in services:
            service.stop()
        state.snapshots.stop()
        await snapshots
        await asyncio.gather(*tasks)
        journal.info("stopped")


def _create(settings: Settings, metrics: Metrics, journal: Journal) -> AppState:
    keys = _signing_keys(settings, journal)
    store = ModelStore(
        settings.model_path, settings.scaler_path, keys, settings.model_versions_kept
    )
    labels = _label_store(settings, keys, metrics, journal)
    anomalies = RecentAnomalies(settings.feedback_anomalies)
    idempotency = IdempotencyStore(settings.idempotency_keys, settings.idempotency_seconds)
    history = HistoryService(settings, lambda: _not_needed(registry, snapshots), metrics, journal)
    snapshots = SnapshotService(
        settings, keys, anomalies, idempotency, lambda: history.position, metrics, journal
    )
    recovery = Recovery(history, anomalies, idempotency, settings.idempotency_seconds, _ENCODERS)
    registry = ModelRegistry(
        store, labels, snapshots.restore, recovery.replay, metrics, settings.inline_logs
    )
    feedback = FeedbackService(labels, anomalies, registry, metrics, journal)
    rules = RuleSet.load(settings.rules_file) if settings.rules_file else RuleSet.default()
    comparison = RuleComparison(rules, settings.inline_logs)
    watch = SetupWatch(metrics, journal)
    detection = DetectionService(registry, feedback, history, comparison, watch, metrics, journal)
    active = labels.active
    training = TrainingService(
        settings, store, registry, history, watch, active, snapshots.request, metrics, journal
    )
    pseudonyms = Pseudonyms.of(settings.pseudonym_key)
    subjects = SubjectService(
        pseudonyms, registry, feedback, idempotency, training, snapshots, journal, history.remove
    )
    first_training = _first_training(settings, history, registry, training, journal)
    most = settings.max_batch_logs

    def missing() -> Missing | None:
        return first_training.missing

    ingestion = IngestionService(
        *(registry, detection, feedback, history, idempotency, most, metrics),
        *(pseudonyms, missing, watch),
    )
    return AppState(
        settings=settings,
        metrics=metrics,
        journal=journal,
        decoder=Decoder(most, settings.max_training_logs, pseudonyms=pseudonyms),
        pseudonyms=pseudonyms,
        registry=registry,
        detection=detection,
        training=training,
        feedback=feedback,
        setup_watch=watch,
        snapshots=snapshots,
        history=history,
        ingestion=ingestion,
        named_formats=load_formats(settings.log_formats_file),
        first_training=first_training,
        recovery=recovery,
        idempotency=idempotency,
        subjects=subjects,
    )


def _first_training(
    settings: Settings,
    history: HistoryService,
    registry: ModelRegistry,
    training: TrainingService,
    journal: Journal,
) -> FirstTraining:
    logs, hours = settings.first_training_logs, settings.first_training_hours
    return FirstTraining(logs, hours, history, registry, training, journal)


def _label_store(
    settings: Settings, keys: SigningKeys, metrics: Metrics, journal: Journal
) -> LabelStore:
    return LabelStore(
        LabelFile(settings.model_folder / "feedback", keys),
        settings.feedback_days,
        settings.feedback_verdicts,
        journal,
        on_failure=lambda: metrics.count("storage_failures_total", "verdicts"),
    )


def _not_needed(registry: ModelRegistry, snapshots: SnapshotService) -> int:
    """The position up to which the journal is not needed for the memory: without a model all of it,
    because a memory then comes from a training."""
    return snapshots.position if registry.served is not None else 2**63


def _signing_keys(settings: Settings, journal: Journal) -> SigningKeys:
    """The configured keys, else the one on disk, which is created. If it cannot be written no model
    can be either, so a key for this run is enough."""
    if settings.model_signing_key:
        return SigningKeys(settings.model_signing_key)
    try:
        return SigningKeys([read_or_create_secret(settings.model_folder / "signing_key")[0]])
    except StorageFailed as error:
        journal.warning("signing key not kept: models on disk will not verify", reason=str(error))
        return SigningKeys([new_secret()])


async def _load_model(state: AppState) -> None:
    """Serve the model on disk if it can be trusted; else start without a model."""
    try:
        served = await state.registry.load()
    except ModelNotFound:
        state.journal.info("started without a model", version=__version__)
    except AnomalyError as error:
        state.journal.warning("model not loaded", error=error.code, reason=str(error))
    else:
        state.journal.info("started", version=__version__, model=served.version)
