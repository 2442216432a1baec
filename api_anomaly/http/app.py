"""The application: `create_app` wires, the lifespan starts and stops. Nothing happens at import."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import TypedDict

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from api_anomaly import __version__
from api_anomaly.errors import AnomalyError, ModelNotFound, StorageFailed
from api_anomaly.rules import RuleSet
from api_anomaly.http.admission import Admission, LoopScheduler
from api_anomaly.runtime.recent_anomalies import RecentAnomalies
from api_anomaly.http.dispatch import Application
from api_anomaly.http.auth.rate_limit import LoginRateLimiter
from api_anomaly.http.auth.tokens import Tokens
from api_anomaly.logs.decode import Decoder
from api_anomaly.http.auth.authenticator import Authenticator
from api_anomaly.telemetry.journal import Journal
from api_anomaly.http.feedback_body import FeedbackReader
from api_anomaly.runtime.label_store import LabelStore
from api_anomaly.telemetry.metrics import Metrics
from api_anomaly.http.endpoints import ENDPOINTS
from api_anomaly.runtime.rule_comparison import RuleComparison
from api_anomaly.runtime.free_memory import give_back
from api_anomaly.runtime.state import AppState, state_of
from api_anomaly.http.problems import FRAMEWORK_CODES, json_response
from api_anomaly.runtime.idempotency import MOST_BYTES, IdempotencyStore
from api_anomaly.runtime.detection import DetectionService
from api_anomaly.settings import SAMPLE_TOKEN, Settings
from api_anomaly.runtime.snapshots import SnapshotService
from api_anomaly.runtime.feedback import FeedbackService
from api_anomaly.runtime.threads import in_thread
from api_anomaly.http.auth.token_watch import TokenFileWatcher
from api_anomaly.runtime.training import TrainingService
from api_anomaly.http.middleware import RequestMiddleware
from api_anomaly.storage.answers import KeptAnswers
from api_anomaly.storage.label_file import FeedbackFile
from api_anomaly.storage.keys import SigningKeys, made_secret, secret_in
from api_anomaly.storage.models import ModelStore

_TITLE = "API Anomaly Detection"
_ABOUT = "Learns how the users of an API behave and says which requests are anomalous, and why."


#: Seconds between two looks at the token file: how long a token that was taken out still opens.
_LOOK_SECONDS = 1.0


class State(TypedDict):
    """What the lifespan gives to every request."""

    parts: AppState


def create_app(settings: Settings) -> Application:
    """The service as an ASGI application. Files are touched when it starts, not here."""
    app = Application(
        title=_TITLE,
        version=__version__,
        description=_ABOUT,
        lifespan=lifespan_of(settings),
        redirect_slashes=False,
    )
    for endpoint in ENDPOINTS:
        app.router.add_api_route(
            endpoint.path, endpoint.serve, methods=[endpoint.method], response_model=None
        )
    app.add_exception_handler(HTTPException, _framework_refused)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key"],
            expose_headers=["Idempotency-Replayed", "Retry-After", "X-Request-ID"],
        )
    app.add_middleware(RequestMiddleware)
    return app


def lifespan_of(
    settings: Settings,
) -> Callable[[FastAPI], AbstractAsyncContextManager[State]]:
    """The life of a service with `settings`: started before the first request, stopped after the
    last one with its memory on disk."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[State]:
        journal = Journal(settings.log_level, settings.log_file)
        try:
            parts = _wired(settings, journal)
            await parts.feedback_service.book.open()
            if parts.token_watch is not None:
                await parts.token_watch.start()
            await in_thread(parts.decoder.warm_up)
            await _load(parts)
            await in_thread(give_back)
            parts.feedback_service.measure()
            tasks = [asyncio.create_task(parts.snapshots.run(parts.serving))]
            if parts.token_watch is not None:
                tasks.append(asyncio.create_task(parts.token_watch.run()))
            try:
                yield {"parts": parts}
            finally:
                parts.stop()
                await asyncio.gather(*tasks)
                await parts.retries.close()
                journal.info("stopped")
        finally:
            journal.close()

    return lifespan


def _wired(settings: Settings, journal: Journal) -> AppState:
    folder = settings.model_path.absolute().parent
    tokens, watch = _tokens(settings, folder / "auth_token", metrics := Metrics(), journal)
    keys = _keys(settings, folder / "signing_key", journal)
    metrics.mark("service_info", __version__)
    vault = ModelStore(
        settings.model_path, settings.scaler_path, keys, settings.model_versions_kept
    )
    book = LabelStore(
        FeedbackFile(folder / "feedback", keys),
        settings.feedback_days,
        settings.feedback_verdicts,
        journal,
        failed=lambda: metrics.count("storage_failures_total", "verdicts"),
    )
    anomalies = RecentAnomalies(settings.feedback_anomalies)
    serving = DetectionService(vault, book, metrics, settings.inline_logs)
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
        guard=Authenticator(tokens, LoginRateLimiter(settings.auth_failures_per_minute), metrics),
        token_watch=watch,
        admission=Admission(settings, metrics),
        pace=LoopScheduler(),
        decoder=Decoder(settings.max_batch_logs, settings.max_training_logs),
        vault=vault,
        judged=FeedbackReader(settings.max_feedback_items),
        serving=serving,
        opinion=RuleComparison(settings.rules_file or RuleSet.default(), settings.inline_logs),
        training=TrainingService(
            settings, vault, serving, metrics, journal, book.active, snapshots.want
        ),
        feedback_service=FeedbackService(book, anomalies, serving, metrics, journal),
        snapshots=snapshots,
        retries=_retries(settings, folder / "answers.db", keys, metrics, journal),
        metrics=metrics,
        journal=journal,
    )


def _retries(
    settings: Settings, file: Path, keys: SigningKeys, metrics: Metrics, journal: Journal
) -> IdempotencyStore:
    """The answers to idempotency keys. A disk that fails is told, and costs no caller an answer."""

    def failed(error: StorageFailed) -> None:
        metrics.count("storage_failures_total", "answers")
        journal.warning("answer not kept", error=error.code, reason=str(error))

    kept = KeptAnswers(file, keys, MOST_BYTES)
    count, seconds = settings.idempotency_keys, settings.idempotency_seconds
    return IdempotencyStore(count, seconds, MOST_BYTES, kept, failed)


def _tokens(
    settings: Settings, file: Path, metrics: Metrics, journal: Journal
) -> tuple[Tokens, TokenFileWatcher | None]:
    """The accepted tokens, and who keeps them equal to the token file. Only without either kind a
    token is made; it is shown on the terminal, once, and nowhere else."""
    if SAMPLE_TOKEN in settings.auth_token:
        journal.warning("AUTH_TOKEN is the documents' sample value: anyone may call")
    if settings.tokens_file is not None:
        tokens = Tokens(settings.auth_token, settings.metrics_token, entries_follow=True)
        return tokens, TokenFileWatcher(
            settings.tokens_file, tokens, _LOOK_SECONDS, metrics, journal
        )
    return Tokens(settings.auth_token or _made_token(file), settings.metrics_token), None


def _made_token(file: Path) -> list[str]:
    token, made = secret_in(file)
    if made:
        print(
            f"AUTH_TOKEN is unset. A token was made and kept in {file}:\n\n    {token}\n",
            flush=True,
        )
    return [token]


def _keys(settings: Settings, file: Path, journal: Journal) -> SigningKeys:
    """The signing keys. Where none can be kept, no model can either: one for this run will do."""
    if settings.model_signing_key:
        return SigningKeys(settings.model_signing_key)
    try:
        return SigningKeys([secret_in(file)[0]])
    except StorageFailed as error:
        journal.warning("signing key not kept: models on disk will not verify", reason=str(error))
        return SigningKeys([made_secret()])


async def _load(parts: AppState) -> None:
    """Serve the model on disk if there is one to be trusted; else start without. And take over the
    answers that were given lately."""
    await parts.retries.load()
    try:
        served = await parts.serving.reload(parts.snapshots.restored)
    except ModelNotFound:
        parts.journal.info("started without a model", version=__version__)
    except AnomalyError as error:
        parts.metrics.count("storage_failures_total", "model")
        parts.journal.warning("model not loaded", error=error.code, reason=str(error))
    else:
        parts.journal.info("started", version=__version__, model=served.manifest.version)


async def _framework_refused(request: Request, error: Exception) -> Response:
    """404, 405 and whatever else the framework refuses by itself."""
    assert isinstance(error, HTTPException)
    code = FRAMEWORK_CODES.get(error.status_code, "refused")
    state_of(request).metrics.count("rejected_requests_total", code)
    headers = dict(error.headers) if error.headers else None
    return json_response({"detail": error.detail, "code": code}, error.status_code, headers)
