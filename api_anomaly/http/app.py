"""The ASGI application. `create_app` builds it; its lifespan starts and stops the service."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from pathlib import Path
from typing import Any, TypedDict

from fastapi import FastAPI
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response

from api_anomaly import __version__
from api_anomaly.http.admission import Admission, LoopScheduler
from api_anomaly.http.auth.authenticator import Authenticator
from api_anomaly.http.auth.rate_limit import LoginRateLimiter
from api_anomaly.http.auth.token_watch import TokenFileWatcher
from api_anomaly.http.auth.tokens import Tokens
from api_anomaly.http.dispatch import EndpointTable, serve_path
from api_anomaly.http.endpoint import Endpoint
from api_anomaly.http.endpoints import ENDPOINTS
from api_anomaly.feedback.decode import FeedbackReader
from api_anomaly.http.middleware import RequestMiddleware
from api_anomaly.http.openapi import openapi_document
from api_anomaly.http.problems import FRAMEWORK_CODES, json_response
from api_anomaly.http.state import HttpState, http_state
from api_anomaly.runtime.state import AppState, running
from api_anomaly.settings import SAMPLE_TOKEN, Settings
from api_anomaly.storage.keys import read_or_create_secret
from api_anomaly.telemetry.journal import Journal
from api_anomaly.telemetry.metrics import Metrics

_TITLE = "API Anomaly Detection"
_DESCRIPTION = (
    "Learns how the users of an API behave and says which requests are anomalous, and why."
)
#: Seconds between two checks of the token file: how long a removed token is still accepted.
_TOKEN_FILE_SECONDS = 1.0


class LifespanState(TypedDict):
    """What the lifespan adds to the scope of every request."""

    http: HttpState


def create_app(settings: Settings, endpoints: Sequence[Endpoint] = ENDPOINTS) -> FastAPI:
    """The service as an ASGI application. It touches files when it starts, not here."""
    app = FastAPI(
        title=_TITLE,
        version=__version__,
        description=_DESCRIPTION,
        lifespan=lifespan_of(settings),
        redirect_slashes=False,
    )
    for path, rows in _by_path(endpoints).items():
        app.add_api_route(
            path,
            serve_path(rows),
            methods=[method for row in rows for method in row.methods],
            name=rows[0].handler.__name__,
            response_model=None,
        )

    def openapi() -> dict[str, Any]:
        app.openapi_schema = app.openapi_schema or openapi_document(app, endpoints)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # FastAPI's documented way to extend it
    app.add_exception_handler(HTTPException, _framework_error)
    # The last one that is added is the outermost.
    app.add_middleware(EndpointTable, endpoints=endpoints)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.cors_origins),
            allow_methods=["GET", "POST"],
            allow_headers=["Authorization", "Content-Type", "Idempotency-Key"],
            expose_headers=["Idempotency-Replayed", "Retry-After", "X-Request-ID"],
        )
    app.add_middleware(RequestMiddleware, endpoints=endpoints)
    return app


def _by_path(endpoints: Sequence[Endpoint]) -> dict[str, list[Endpoint]]:
    """The endpoints by path: exact paths first, so that the framework finds those first too."""
    paths: dict[str, list[Endpoint]] = {}
    for endpoint in sorted(endpoints, key=lambda endpoint: "{" in endpoint.path):
        paths.setdefault(endpoint.path, []).append(endpoint)
    return paths


def lifespan_of(
    settings: Settings,
) -> Callable[[FastAPI], AbstractAsyncContextManager[LifespanState]]:
    """Starts the service before the first request, stops it after the last one."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[LifespanState]:
        metrics = Metrics()
        metrics.mark("service_info", __version__)
        with closing(Journal(settings.log_level, settings.log_file)) as journal:
            tokens = _tokens(settings, journal)
            async with (
                _token_file_watched(settings, tokens, metrics, journal),
                running(settings, metrics, journal) as state,
            ):
                yield {"http": _http_state(state, tokens)}

    return lifespan


def _http_state(state: AppState, tokens: Tokens) -> HttpState:
    settings = state.settings
    rate_limiter = LoginRateLimiter(settings.auth_failures_per_minute)
    return HttpState(
        app=state,
        authenticator=Authenticator(
            tokens, rate_limiter, metrics_public=not settings.metrics_token, metrics=state.metrics
        ),
        admission=Admission(settings, state.metrics),
        scheduler=LoopScheduler(),
        feedback_reader=FeedbackReader(settings.max_feedback_items, state.pseudonyms),
    )


def _tokens(settings: Settings, journal: Journal) -> Tokens:
    """The tokens from the settings. Without any, and without a token file, one is created and
    shown once on the terminal, nowhere else."""
    if SAMPLE_TOKEN in settings.auth_token:
        journal.warning("AUTH_TOKEN is the documents' sample value: anyone may call")
    if settings.tokens_file is not None:
        return Tokens(settings.auth_token, settings.metrics_token, entries_follow=True)
    file = settings.model_folder / "auth_token"
    return Tokens(settings.auth_token or _created_token(file), settings.metrics_token)


def _created_token(file: Path) -> list[str]:
    token, created = read_or_create_secret(file)
    if created:
        print(
            f"AUTH_TOKEN is unset. A token was made and kept in {file}:\n\n    {token}\n",
            flush=True,
        )
    return [token]


@asynccontextmanager
async def _token_file_watched(
    settings: Settings, tokens: Tokens, metrics: Metrics, journal: Journal
) -> AsyncIterator[None]:
    """Keeps `tokens` equal to the token file, if one is configured. Raises TokenFileInvalid."""
    if settings.tokens_file is None:
        yield
        return
    watcher = TokenFileWatcher(settings.tokens_file, tokens, _TOKEN_FILE_SECONDS, metrics, journal)
    await watcher.start()
    watching = asyncio.create_task(watcher.run())
    try:
        yield
    finally:
        watcher.stop()
        await watching


async def _framework_error(request: Request, error: Exception) -> Response:
    """404, 405 and other errors of the framework, in the shape of all errors."""
    assert isinstance(error, HTTPException)
    code = FRAMEWORK_CODES.get(error.status_code, "refused")
    http_state(request.scope).app.metrics.count("rejected_requests_total", code)
    headers = dict(error.headers) if error.headers else None
    return json_response({"detail": error.detail, "code": code}, error.status_code, headers)
