"""The framework's application, and the short way through it to our own endpoints.

Starlette and FastAPI ask route after route, inside half a dozen layers, who wants a request. For a
single log that takes several times as long as judging it. So a request whose method and path are
exactly those of one of our endpoints goes from `RequestMiddleware` straight to its route; every
other one, the
pages, what is refused and what nobody knows, goes the framework's way.
"""

from collections.abc import Callable
from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api_anomaly.http.endpoints import document
from api_anomaly.http.state import http_state
from api_anomaly.errors import AnomalyError, Overloaded
from api_anomaly.http.problems import problem_response
from api_anomaly.http.middleware import RequestMiddleware


class BareRoute(APIRoute):
    """A route whose endpoint gets the request as it is and answers with a response, or raises one
    of our own errors.

    FastAPI's own way there (dependencies, exit stacks, telemetry) takes as long as a detection.
    """

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, endpoint, **options)

        async def bare(scope: Scope, receive: Receive, send: Send) -> None:
            request = Request(scope, receive, send)
            try:
                response: Response = await endpoint(request)
            except AnomalyError as error:
                response = _refused(request, error)
            await response(scope, receive, send)

        self.app = bare


class Application(FastAPI):
    """FastAPI with our OpenAPI document, and a short way to our endpoints."""

    def __init__(self, **options: Any) -> None:
        #: By method and path: the route and what serves it. Empty: all go the framework's way.
        self._short: dict[tuple[str, str], tuple[BareRoute, ASGIApp]] = {}
        super().__init__(**options)
        self.router.route_class = BareRoute

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI document, made once."""
        if not self.openapi_schema:
            self.openapi_schema = document(self)
        return self.openapi_schema

    def build_middleware_stack(self) -> ASGIApp:
        """The framework's way, made at the first call. Where it has a layer besides
        `RequestMiddleware` (CORS,
        or another's), that layer must see every request, and there is no short way."""
        stack = super().build_middleware_stack()
        layers: list[Any] = [layer.cls for layer in self.user_middleware]
        if layers == [RequestMiddleware]:
            self._short = {
                (method, route.path): (route, RequestMiddleware(route.app))
                for route in self.routes
                if isinstance(route, BareRoute) and not route.param_convertors
                for method in route.methods or ()
            }
        return stack

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a request, or the lifespan."""
        if scope["type"] == "http" and not scope.get("root_path"):
            short = self._short.get((scope["method"], scope["path"]))
            if short is not None:
                scope["route"], serve = short
                await serve(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


def _refused(request: Request, error: AnomalyError) -> Response:
    app_state = http_state(request.scope).app
    app_state.metrics.count("rejected_requests_total", error.code)
    request.scope["state"]["refused"] = error.code  # for the audit
    response = problem_response(error)
    if response.status_code >= 500 and not isinstance(error, Overloaded):
        app_state.journal.warning("request failed", error=error.code, reason=str(error))
    return response
