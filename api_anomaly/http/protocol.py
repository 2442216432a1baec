"""uvicorn's HTTP protocol with the limits it lacks: time and size of request headers, clients that
do not read, the number of connections, and an inexpensive refusal under overload.

uvicorn sets no timeout before the first request of a connection, keeps headers of any size, and
waits without limit until a response is read. What an ASGI application can limit is limited there
(`body`, `admission`) and works under `uvicorn main:app` too; `python main.py` has all limits.

`tests/http/test_uvicorn_contract.py` checks each name of uvicorn that is used here.
"""

import asyncio
import secrets
from typing import Any

import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from api_anomaly.http.endpoints import ENDPOINTS
from api_anomaly.http.problems import PROTOCOL_PROBLEMS
from api_anomaly.http.routes import Routes
from api_anomaly.http.security_headers import SECURITY_HEADERS
from api_anomaly.http.state import HttpState
from api_anomaly.settings import Settings

#: Seconds between two checks of a connection's timeouts, at most.
_CHECK_SECONDS = 1.0
#: Bytes that a header line has besides its name and value: ": " and CR LF.
_HEADER_LINE_BYTES = 4
#: The endpoint whose requests are refused here when the queue is full.
_QUEUED_PATH = "/detect"
_ROUTES = Routes(ENDPOINTS)
#: Methods of requests that have a body.
_WITH_BODY = frozenset(("POST", "PUT", "PATCH"))


def _response_parts(status: int, phrase: bytes, *headers: bytes) -> tuple[bytes, bytes]:
    """Status line; remaining headers and body."""
    body = msgspec.json.encode(PROTOCOL_PROBLEMS[status])
    security = [name + b": " + value for name, value in SECURITY_HEADERS]
    lines = [
        b"content-type: application/json",
        b"content-length: %d" % len(body),
        *security,
        *headers,
    ]
    status_line = b"HTTP/1.1 %d %s\r\n" % (status, phrase)
    return status_line, b"\r\n".join(lines) + b"\r\n\r\n" + body


def _final_response(status: int, phrase: bytes, *headers: bytes) -> bytes:
    """A response after which the connection is closed."""
    return b"".join(_response_parts(status, phrase, *headers, b"connection: close"))


_OVERLOADED = _response_parts(503, b"Service Unavailable", b"retry-after: 1")
_TOO_MANY_CONNECTIONS = _final_response(503, b"Service Unavailable", b"retry-after: 1")
_HEADERS_TOO_LARGE = _final_response(431, b"Request Header Fields Too Large")
_MALFORMED = _final_response(400, b"Bad Request")


class HeadersTooLarge(Exception):
    """Raised in a callback of the parser, to stop it."""


class BoundedHttpProtocol(HttpToolsProtocol):
    """One connection."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._state: HttpState = app_state["http"]
        self._settings: Settings = self._state.app.settings
        self._metrics = self._state.app.metrics
        self._in_headers = self._headers_began = False
        self._parsed_bytes = self._unparsed_bytes = 0
        #: Since when the client has to send the rest of the headers, or of a body that is not
        #: read any more; None if it has not to.
        self._waiting_since: float | None = self.loop.time()
        self._unsent_bytes, self._unsent_since = 0, 0.0
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Start to check the timeouts; close a connection if there are too many."""
        super().connection_made(transport)
        self._metrics.set("open_connections", len(self.connections))
        self._state.scheduler.connection_arrived()
        self._timer = self.loop.call_later(self._check_seconds, self._check_timeouts)
        if len(self.connections) > self._settings.max_connections:
            self._close_one_connection()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop to check the timeouts."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)
        self._metrics.set("open_connections", len(self.connections))

    def data_received(self, data: bytes) -> None:
        """Parse, and note whether the client has to send more."""
        if self._closed:
            return
        self._headers_began = False
        super().data_received(data)
        if self._in_headers and not self._headers_began:
            # The parser reports a header line when it ends, so an endless one is counted here.
            self._unparsed_bytes += len(data)
            if self._unparsed_bytes > self._settings.max_header_bytes:
                self._close("headers", _HEADERS_TOO_LARGE)
        kept_alive = self.timeout_keep_alive_task is not None
        if self._answering or kept_alive:
            self._waiting_since = None
        elif self._waiting_since is None:
            self._waiting_since = self.loop.time()

    def on_message_begin(self) -> None:
        """The headers of a request begin."""
        super().on_message_begin()
        self._in_headers = self._headers_began = True
        self._parsed_bytes = self._unparsed_bytes = 0

    def on_url(self, url: bytes) -> None:
        """Count the bytes of the request line."""
        self._count_header_bytes(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count the bytes of the header."""
        self._count_header_bytes(len(name) + len(value) + _HEADER_LINE_BYTES)
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The headers are complete."""
        self._in_headers = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """If the end of a body that was not read has come, the connection is idle from now on."""
        super().on_message_complete()
        if not self._answering and self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        """If the body has not come to its end, the client still has to send it."""
        super().on_response_complete()
        if not self._answering and self.cycle.more_body:
            if self.timeout_keep_alive_task is not None:
                self.timeout_keep_alive_task.cancel()
                self.timeout_keep_alive_task = None
            self._waiting_since = self.loop.time()

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser rejected, in the shape of all errors."""
        if self._parsed_bytes > self._settings.max_header_bytes:
            self._close("headers", _HEADERS_TOO_LARGE)
        else:
            self._close("malformed", _MALFORMED)

    def _count_header_bytes(self, size: int) -> None:
        self._parsed_bytes += size
        if self._parsed_bytes > self._settings.max_header_bytes:
            raise HeadersTooLarge

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Refuse what has a body if too many requests are open or too much work is queued."""
        if cycle.scope["method"] in _WITH_BODY:
            if len(self.tasks) >= self._settings.max_open_requests:
                self._refuse(cycle, "requests")
                return
            if cycle.scope["path"] == _QUEUED_PATH and self._state.admission.queue_full:
                self._refuse(cycle, "wait")
                return
        super()._start_asgi_task(cycle, app)

    def _refuse(self, cycle: RequestResponseCycle, reason: str) -> None:
        """Answer 503 with a single write, without a task."""
        cycle.response_started = cycle.response_complete = True
        headers = b"x-request-id: %s\r\n" % secrets.token_hex(8).encode()
        for name, value in self.server_state.default_headers:
            headers += name + b": " + value + b"\r\n"
        if not cycle.keep_alive:
            headers += b"connection: close\r\n"
        status_line, rest = _OVERLOADED
        self.transport.write(status_line + headers + rest)
        method = cycle.scope["method"]
        found = _ROUTES.find(method, cycle.scope["path"])
        endpoint = found.endpoint.path if found else "unmatched"
        self._metrics.count("requests_shed_total", reason)
        self._metrics.count("rejected_requests_total", "overloaded")
        self._metrics.count("api_requests_total", method, endpoint, "503")
        if not cycle.keep_alive:
            self.transport.close()
        if self.pipeline:  # later: a thousand pipelined requests would be as many nested calls
            self.loop.call_soon(self.on_response_complete)
        else:
            self.on_response_complete()

    @property
    def _check_seconds(self) -> float:
        settings = self._settings
        return min(_CHECK_SECONDS, settings.header_seconds / 2, settings.body_seconds / 2)

    def _check_timeouts(self) -> None:
        self._timer = self.loop.call_later(self._check_seconds, self._check_timeouts)
        now = self.loop.time()
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent != self._unsent_bytes:
            self._unsent_bytes, self._unsent_since = unsent, now
        elif now - self._unsent_since > self._settings.body_seconds:
            self._close("unread")
            return
        if self._closed or self._answering or self._waiting_since is None:
            return
        if now - self._waiting_since > self._settings.header_seconds:
            body_unread = self.cycle is not None and self.cycle.more_body
            self._close("unread" if body_unread else "headers")

    def _close_one_connection(self) -> None:
        """Close the connection that has waited longest for a request, else refuse this one."""
        others = [other for other in self.connections if isinstance(other, BoundedHttpProtocol)]
        open_ = [other for other in others if not other._closed]
        if len(open_) <= self._settings.max_connections:
            return
        idle = [other for other in open_ if other is not self and not other._answering]
        if idle:
            min(idle, key=BoundedHttpProtocol._waiting_order)._close("room")
        else:
            self._close("room", _TOO_MANY_CONNECTIONS)

    def _waiting_order(self) -> float:
        """Connections that are idle between two requests are closed last."""
        return float("inf") if self._waiting_since is None else self._waiting_since

    def _close(self, reason: str, response: bytes = b"") -> None:
        """Close the connection after `response`; without one, at once."""
        if self._closed:
            return
        self._closed = True
        self._metrics.count("connections_closed_total", reason)
        if response:
            self.transport.write(response)
            self.transport.close()
        else:
            self.transport.abort()
