"""Calls the handler of an endpoint: authorization before it, named errors after it.

Starlette tries one route after the other, inside half a dozen layers; for a single log that takes
several times as long as scoring it. So a request with exactly the method and path of an endpoint is
found in a table. All others (the documentation pages, 404, 405) are left to the framework.
"""

from collections.abc import Awaitable, Callable, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from api_anomaly.errors import AnomalyError, Overloaded
from api_anomaly.http.endpoint import Endpoint
from api_anomaly.http.problems import problem_response
from api_anomaly.http.routes import Routes
from api_anomaly.http.state import HttpState, http_state


class EndpointTable:
    """ASGI middleware that serves `endpoints` itself and passes on all other requests."""

    def __init__(self, app: ASGIApp, endpoints: Sequence[Endpoint]) -> None:
        self._app = app
        self._routes = Routes(endpoints)
        self._serve = {id(endpoint): serve_endpoint(endpoint) for endpoint in endpoints}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            path = scope["path"].removeprefix(scope.get("root_path", ""))
            found = self._routes.find(scope["method"], path)
            if found is not None:
                endpoint, scope["path_params"] = found
                scope["route"] = endpoint  # the route as the framework would note it
                response = await self._serve[id(endpoint)](Request(scope, receive, send))
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)


Serve = Callable[[Request], Awaitable[Response]]


def serve_path(endpoints: Sequence[Endpoint]) -> Serve:
    """The function that answers requests to the path that all of `endpoints` have."""
    by_method = {
        method: serve_endpoint(endpoint) for endpoint in endpoints for method in endpoint.methods
    }

    async def serve(request: Request) -> Response:
        return await by_method[request.method](request)

    return serve


def serve_endpoint(endpoint: Endpoint) -> Serve:
    """The function that answers requests to `endpoint`."""

    async def serve(request: Request) -> Response:
        state = http_state(request.scope)
        try:
            if endpoint.scope is not None:
                state.authenticator.authorize(request.scope, endpoint.scope)
            return await endpoint.handler(request, state)
        except AnomalyError as error:
            return _refuse(request, state, error, endpoint)

    return serve


def _refuse(
    request: Request, state: HttpState, error: AnomalyError, endpoint: Endpoint
) -> Response:
    state.app.metrics.count("rejected_requests_total", error.code)
    request.scope["state"]["error_code"] = error.code  # for the audit log
    response = problem_response(error)
    if response.status_code >= 500 and not isinstance(error, Overloaded):
        state.app.journal.warning("request failed", error=error.code, reason=str(error))
    return endpoint.refuse(request, error, response)
