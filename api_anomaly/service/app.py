"""The application: `create_app` wires, the lifespan starts and stops. Nothing happens at import."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypedDict

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from api_anomaly import __version__
from api_anomaly.errors import AnomalyError, ModelNotFound, StorageFailed
from api_anomaly.rules import RuleSet
from api_anomaly.service.anomalies import Anomalies
from api_anomaly.service.auth import Tokens
from api_anomaly.service.decode import Decoder
from api_anomaly.service.journal import Journal
from api_anomaly.service.judged import JudgedReader
from api_anomaly.service.lessons import LessonBook
from api_anomaly.service.metrics import Metrics
from api_anomaly.service.openapi import ENDPOINTS, document
from api_anomaly.service.opinion import Opinion
from api_anomaly.service.parts import Parts, parts_of
from api_anomaly.service.refusals import FRAMEWORK_CODES, answer, json_response
from api_anomaly.service.retries import Retries
from api_anomaly.service.serving import Serving
from api_anomaly.service.settings import SAMPLE_TOKEN, Settings
from api_anomaly.service.snapshots import Snapshots
from api_anomaly.service.teaching import Teaching
from api_anomaly.service.training import Training
from api_anomaly.service.watch import Watch
from api_anomaly.vault.feedback import FeedbackFile
from api_anomaly.vault.keys import SigningKeys, made_secret, secret_in
from api_anomaly.vault.store import Vault

_TITLE = "API Anomaly Detection"
_ABOUT = "Learns how the users of an API behave and says which requests are anomalous, and why."


class State(TypedDict):
    """What the lifespan gives to every request."""

    parts: Parts


class BareRoute(APIRoute):
    """A route whose endpoint gets the request as it is and answers with a response.

    FastAPI's own way there (dependencies, exit stacks, telemetry) takes as long as a detection.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)

        async def bare(scope: Scope, receive: Receive, send: Send) -> None:
            response: Response = await endpoint(Request(scope, receive, send))
            await response(scope, receive, send)

        self.app = bare


class Application(FastAPI):
    """FastAPI with our OpenAPI document."""

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once."""
        if not self.openapi_schema:
            self.openapi_schema = document(self)
        return self.openapi_schema


def create_app(settings: Settings) -> Application:
    """The service as an ASGI application. Files are touched when it starts, not here."""
    app = Application(
        title=_TITLE,
        version=__version__,
        description=_ABOUT,
        lifespan=lifespan_of(settings),
        redirect_slashes=False,
    )
    app.router.route_class = BareRoute
    for endpoint in ENDPOINTS:
        app.router.add_api_route(
            endpoint.path, endpoint.serve, methods=[endpoint.method], response_model=None
        )
    app.add_exception_handler(AnomalyError, _refused)
    app.add_exception_handler(HTTPException, _framework_refused)
    app.add_middleware(Watch)
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
            await parts.teaching.book.open()
            await _load(parts)
            parts.teaching.measure()
            keeping = asyncio.create_task(parts.snapshots.run(parts.serving))
            try:
                yield {"parts": parts}
            finally:
                parts.snapshots.stop()
                await keeping
                journal.info("stopped")
        finally:
            journal.close()

    return lifespan


def _wired(settings: Settings, journal: Journal) -> Parts:
    folder = settings.model_path.absolute().parent
    tokens = _tokens(settings, folder / "auth_token", journal)
    keys = _keys(settings, folder / "signing_key", journal)
    metrics = Metrics()
    metrics.mark("service_info", __version__)
    vault = Vault(settings.model_path, settings.scaler_path, keys, settings.model_versions_kept)
    book = LessonBook(
        FeedbackFile(folder / "feedback", keys),
        settings.feedback_days,
        settings.feedback_verdicts,
        journal,
    )
    anomalies = Anomalies(settings.feedback_anomalies)
    serving = Serving(vault, book, metrics, settings.inline_logs)
    snapshots = Snapshots(
        folder / "memory.snapshot",
        keys,
        settings.snapshot_seconds,
        settings.memory_entities,
        anomalies,
        metrics,
        journal,
    )
    return Parts(
        settings=settings,
        tokens=tokens,
        decoder=Decoder(settings.max_batch_logs, settings.max_training_logs),
        vault=vault,
        judged=JudgedReader(settings.max_feedback_items),
        serving=serving,
        opinion=Opinion(settings.rules_file or RuleSet.default(), settings.inline_logs),
        training=Training(settings, vault, serving, metrics, journal, snapshots.want),
        teaching=Teaching(book, anomalies, serving, metrics, journal),
        snapshots=snapshots,
        retries=Retries(settings.idempotency_keys, settings.idempotency_seconds),
        metrics=metrics,
        journal=journal,
    )


def _tokens(settings: Settings, file: Path, journal: Journal) -> Tokens:
    """The accepted tokens; a token that is made here is shown on the terminal, once, and nowhere
    else."""
    if settings.auth_token:
        if SAMPLE_TOKEN in settings.auth_token:
            journal.warning("AUTH_TOKEN is the documents' sample value: anyone may call")
        return Tokens(settings.auth_token)
    token, made = secret_in(file)
    if made:
        print(
            f"AUTH_TOKEN is unset. A token was made and kept in {file}:\n\n    {token}\n",
            flush=True,
        )
    return Tokens([token])


def _keys(settings: Settings, file: Path, journal: Journal) -> SigningKeys:
    """The signing keys. Where none can be kept, no model can either: one for this run will do."""
    if settings.model_signing_key:
        return SigningKeys(settings.model_signing_key)
    try:
        return SigningKeys([secret_in(file)[0]])
    except StorageFailed as error:
        journal.warning("signing key not kept: models on disk will not verify", reason=str(error))
        return SigningKeys([made_secret()])


async def _load(parts: Parts) -> None:
    """Serve the model on disk if there is one to be trusted; else start without."""
    try:
        served = await parts.serving.reload(parts.snapshots.restored)
    except ModelNotFound:
        parts.journal.info("started without a model", version=__version__)
    except AnomalyError as error:
        parts.journal.warning("model not loaded", error=error.code, reason=str(error))
    else:
        parts.journal.info("started", version=__version__, model=served.manifest.version)


async def _refused(request: Request, error: Exception) -> Response:
    assert isinstance(error, AnomalyError)  # Starlette's type knows no narrower one
    parts = parts_of(request)
    parts.metrics.count("rejected_requests_total", error.code)
    response = answer(error)
    if response.status_code >= 500:
        parts.journal.warning("request failed", error=error.code, reason=str(error))
    return response


async def _framework_refused(request: Request, error: Exception) -> Response:
    """404, 405 and whatever else the framework refuses by itself."""
    assert isinstance(error, HTTPException)
    code = FRAMEWORK_CODES.get(error.status_code, "refused")
    parts_of(request).metrics.count("rejected_requests_total", code)
    headers = dict(error.headers) if error.headers else None
    return json_response({"detail": error.detail, "code": code}, error.status_code, headers)
