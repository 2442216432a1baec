"""The outermost layer of every request: request id, security headers, metrics, journal and audit
log, the limit on open requests, and the answer to unexpected errors.

Plain ASGI: Starlette's BaseHTTPMiddleware, with a task and streams of its own for each request,
would cost more than a detection.
"""

import re
import secrets
import time
from collections.abc import Iterator, Sequence

from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_anomaly.errors import Overloaded
from api_anomaly.http.endpoint import Endpoint
from api_anomaly.http.problems import PROTOCOL_PROBLEMS, json_response, problem_response
from api_anomaly.http.routes import Routes
from api_anomaly.http.security_headers import headers_for
from api_anomaly.http.state import HttpState, http_state

#: A client's own request id is kept if it looks like one, so that no personal data gets in logs.
_REQUEST_ID = re.compile(rb"[0-9a-fA-F-]{16,64}")
_REQUEST_ID_BYTES = 8
_IDS_PER_CALL = 256
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
#: Status in the metrics if the client disconnected before the answer (nginx's number for it).
_CLIENT_DISCONNECTED = 499


class RequestMiddleware:
    """Wraps `app`, which serves `endpoints`."""

    def __init__(self, app: ASGIApp, endpoints: Sequence[Endpoint]) -> None:
        self._app = app
        self._request_ids = _request_ids()
        self._always_served = frozenset(
            endpoint.path for endpoint in endpoints if endpoint.always_served
        )
        self._routes = Routes(endpoints)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _own_request_id(scope) or next(self._request_ids)
        headers = headers_for(scope["path"], scope.get("scheme", ""))
        added = (*headers, (b"x-request-id", request_id))
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *added]
            await send(message)

        state = http_state(scope)
        state.admission.open_requests += 1
        try:
            if scope["path"] not in self._always_served:
                state.admission.check_open_requests()
            await self._app(scope, receive, send_with_headers)
        except Overloaded as error:  # of check_open_requests; the dispatcher answers all others
            state.app.metrics.count("rejected_requests_total", error.code)
            request, response = Request(scope), problem_response(error)
            if found := self._routes.find(scope["method"], scope["path"]):
                response = found.endpoint.refuse(request, error, response)
            await response(scope, receive, send_with_headers)
        except ClientDisconnect:
            status = _CLIENT_DISCONNECTED
        except Exception as error:
            state.app.journal.failure("request failed", error, request_id=request_id.decode())
            if not status:
                response = json_response(PROTOCOL_PROBLEMS[500], 500)
                await response(scope, receive, send_with_headers)
            status = 500
        finally:
            state.admission.open_requests -= 1
            self._record(state, scope, status or _CLIENT_DISCONNECTED, started, request_id)

    def _record(
        self, state: HttpState, scope: Scope, status: int, started: float, request_id: bytes
    ) -> None:
        seconds = time.perf_counter() - started
        method = scope["method"] if scope["method"] in _METHODS else "other"
        # A request that was refused before the dispatch has no route yet.
        route = scope.get("route")
        path = str(getattr(route, "path", scope["path"]))
        found = self._routes.find(scope["method"], path)
        known = found and found.endpoint
        endpoint = getattr(route or known, "path", "unmatched")
        metrics, journal = state.app.metrics, state.app.journal
        metrics.count("api_requests_total", method, endpoint, str(status))
        metrics.observe("api_request_duration_seconds", seconds, method, endpoint)
        if known is not None and known.audited:
            # A caller without a valid token has no id.
            caller = scope["state"].get("caller")
            journal.audit(
                token=caller and caller.id,
                endpoint=endpoint,
                status=status,
                result=scope["state"].get("error_code", "success" if status == 200 else "failed"),
                seconds=round(seconds, 3),
                request_id=request_id.decode(),
            )
        if journal.verbose:
            journal.debug(
                "request",
                request_id=request_id.decode(),
                method=method,
                endpoint=endpoint,
                status=status,
                milliseconds=round(seconds * 1e3, 3),
            )


def _own_request_id(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return bytes(value)
    return None


def _request_ids() -> Iterator[bytes]:
    """Random ids of 64 bits, in hexadecimal. Many are made at once: a system call for each would
    be one of the few that a request makes."""
    length = 2 * _REQUEST_ID_BYTES
    while True:
        block = secrets.token_hex(_REQUEST_ID_BYTES * _IDS_PER_CALL).encode()
        for start in range(0, len(block), length):
            yield block[start : start + length]
