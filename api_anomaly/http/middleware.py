"""The outermost layer of every request: its id, its security headers, its metrics, its entries in
journal and audit, the bound on open requests, and the net under unexpected errors.

Pure ASGI: a middleware with its own task and streams would cost more than a detection does.
"""

import re
import secrets
import time
from collections.abc import Iterator

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api_anomaly.errors import Overloaded
from api_anomaly.http.problems import problem_response, json_response
from api_anomaly.http.auth.scopes import AUDITED
from api_anomaly.http.security_headers import headers_for
from api_anomaly.http.state import HttpState, http_state

#: A request id of the caller's own is kept when it can be nothing but an id.
_REQUEST_ID = re.compile(rb"[0-9a-fA-F-]{16,64}")
_IDS_AT_ONCE = 256
_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
#: Status in the metrics when the client left before the answer (nginx's number for it).
_CLIENT_LEFT = 499
_FAILED = {
    "detail": "An unexpected error happened. It is in the journal.",
    "code": "internal_error",
}


class RequestMiddleware:
    """Wraps `app`. The parts of the service come from the lifespan's state."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._ids = _ids()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _own_id(scope) or next(self._ids)
        headers = headers_for(scope["path"], scope.get("scheme", ""))
        fixed = (*headers, (b"x-request-id", request_id))
        status = 0

        async def watched_send(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), *fixed]
            await send(message)

        parts = http_state(scope)
        parts.admission.open += 1
        try:
            if scope["path"] != "/health":
                parts.admission.check_open()
            await self._app(scope, receive, watched_send)
        except Overloaded as error:  # only ours: those of the endpoints were answered further in
            parts.app.metrics.count("rejected_requests_total", error.code)
            await problem_response(error)(scope, receive, watched_send)
        except ClientDisconnect:
            status = _CLIENT_LEFT
        except Exception as error:
            parts.app.journal.failure("request failed", error, request_id=request_id.decode())
            if not status:
                await json_response(_FAILED, 500)(scope, receive, watched_send)
            status = 500
        finally:
            parts.admission.open -= 1
            self._record(parts, scope, status or _CLIENT_LEFT, started, request_id)

    @staticmethod
    def _record(
        parts: HttpState, scope: Scope, status: int, started: float, request_id: bytes
    ) -> None:
        seconds = time.perf_counter() - started
        method = scope["method"] if scope["method"] in _METHODS else "other"
        endpoint = getattr(scope.get("route"), "path", "unmatched")
        parts.app.metrics.count("api_requests_total", method, endpoint, str(status))
        parts.app.metrics.observe("api_request_duration_seconds", seconds, method, endpoint)
        if endpoint in AUDITED and method == "POST":
            _audit(parts, scope, endpoint, status, seconds, request_id)
        if parts.app.journal.verbose:
            parts.app.journal.debug(
                "request",
                request_id=request_id.decode(),
                method=method,
                endpoint=endpoint,
                status=status,
                milliseconds=round(seconds * 1e3, 3),
            )


def _audit(
    parts: HttpState, scope: Scope, endpoint: str, status: int, seconds: float, request_id: bytes
) -> None:
    """Who did what, and what came of it. A caller without a valid token has no id."""
    caller = scope["state"].get("caller")
    parts.app.journal.audit(
        token=caller and caller.id,
        endpoint=endpoint,
        status=status,
        result=scope["state"].get("refused", "success" if status == 200 else "failed"),
        seconds=round(seconds, 3),
        request_id=request_id.decode(),
    )


def _own_id(scope: Scope) -> bytes | None:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
            return bytes(value)
    return None


def _ids() -> Iterator[bytes]:
    """Request ids of 64 random bits, for ever. To ask the system for each would be one call of the
    few that a request makes."""
    while True:
        block = secrets.token_hex(8 * _IDS_AT_ONCE).encode()
        for place in range(0, len(block), 16):
            yield block[place : place + 16]
