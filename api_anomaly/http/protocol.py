"""uvicorn's HTTP protocol with the bounds it lacks: time and size of headers, callers who do not
read, the number of connections, and a refusal that costs next to nothing.

uvicorn times nothing before the first request of a connection, keeps headers of any size, and
waits for ever until an answer is taken. What an ASGI application can bound is bounded there
(`body`, `admission`), so that `uvicorn main:app` has those; `python main.py` has all of them.
"""

import asyncio
import secrets
from typing import Any

import msgspec
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from api_anomaly.http.state import HttpState
from api_anomaly.http.auth.scopes import NEEDED
from api_anomaly.http.security_headers import SECURITY_HEADERS
from api_anomaly.settings import Settings

#: How often each connection is looked at, in seconds.
_LOOK = 1.0


def _answer(status: bytes, detail: str, code: str, *headers: bytes) -> bytes:
    body = msgspec.json.encode({"detail": detail, "code": code})
    fixed = [name + b": " + value for name, value in SECURITY_HEADERS]
    lines = [b"content-type: application/json", b"content-length: %d" % len(body), *fixed, *headers]
    return b"HTTP/1.1 " + status + b"\r\n" + b"\r\n".join(lines) + b"\r\n\r\n" + body


_BUSY = "The service has as much to do as it can. Nothing was done; try again."
_SHED = _answer(b"503 Service Unavailable", _BUSY, "overloaded", b"retry-after: 1").split(
    b"\r\n", 1
)
_FULL = _answer(
    b"503 Service Unavailable", _BUSY, "overloaded", b"retry-after: 1", b"connection: close"
)
_LARGE = _answer(
    b"431 Request Header Fields Too Large",
    "The request's line and headers are too large.",
    "headers_too_large",
    b"connection: close",
)
_MALFORMED = _answer(
    b"400 Bad Request", "This is not HTTP.", "malformed_request", b"connection: close"
)


class HeadersTooLarge(Exception):
    """Raised in the parser's callbacks, which end its work so."""


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
        self._parts: HttpState = app_state["http"]
        self._settings: Settings = self._parts.app.settings
        self._in_head = self._began_here = False
        self._head_bytes = self._head_unparsed = 0
        self._most_head_bytes = self._settings.max_header_bytes
        #: Since when the caller owes us the rest of a head, or of a body nobody reads any more.
        self._owed_since: float | None = self.loop.time()
        self._unsent, self._unsent_since = 0, 0.0
        self._ended = False
        self._looking: asyncio.TimerHandle | None = None

    @property
    def _answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Make room for the new connection where there is none."""
        super().connection_made(transport)
        self._parts.app.metrics.set("open_connections", len(self.connections))
        self._parts.scheduler.arrived()
        self._looking = self.loop.call_later(self._pause, self._look)
        if len(self.connections) > self._settings.max_connections:
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop looking."""
        if self._looking is not None:
            self._looking.cancel()
        super().connection_lost(exc)
        self._parts.app.metrics.set("open_connections", len(self.connections))

    def data_received(self, data: bytes) -> None:
        """Feed the parser; then see what is owed still."""
        if self._ended:
            return
        self._began_here = False
        super().data_received(data)
        if self._in_head and not self._began_here:
            # A header that never ends is not told by the parser until it does.
            self._head_unparsed += len(data)
            if self._head_unparsed > self._most_head_bytes:
                self._end("headers", _LARGE)
        watched = self.timeout_keep_alive_task is not None  # by uvicorn
        if self._answering or watched:
            self._owed_since = None
        elif self._owed_since is None:
            self._owed_since = self.loop.time()

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head = self._began_here = True
        self._head_bytes = self._head_unparsed = 0

    def on_headers_complete(self) -> None:
        """It ends."""
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The rest of a body that nobody read has come: the connection may rest until the next."""
        super().on_message_complete()
        if not self._answering and self.timeout_keep_alive_task is None:
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )

    def on_response_complete(self) -> None:
        """Answered; where the body has not come to its end yet, it is owed still."""
        super().on_response_complete()
        if not self._answering and self.cycle.more_body:
            self._unset_keepalive_if_required()
            self._owed_since = self.loop.time()

    def on_url(self, url: bytes) -> None:
        """Count, then keep."""
        self._head_bytes += len(url)
        if self._head_bytes > self._most_head_bytes:
            raise HeadersTooLarge
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Count, then keep."""
        self._head_bytes += len(name) + len(value) + 4
        if self._head_bytes > self._most_head_bytes:
            raise HeadersTooLarge
        super().on_header(name, value)

    def send_400_response(self, msg: str) -> None:
        """In the one shape of all errors. Large heads end here too."""
        large = self._head_bytes > self._most_head_bytes
        self._end("headers" if large else "malformed", _LARGE if large else _MALFORMED)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        """Refuse at the cost of one write when too many requests are open."""
        full = len(self.tasks) >= self._settings.max_open_requests
        late = self._parts.admission.late and cycle.scope["path"] == "/detect"
        if (full or late) and cycle.scope["method"] == "POST":
            self._shed(cycle, "requests" if full else "wait")
        else:
            super()._start_asgi_task(cycle, app)

    def _shed(self, cycle: RequestResponseCycle, reason: str) -> None:
        cycle.response_started = cycle.response_complete = True
        closing = b"" if cycle.keep_alive else b"connection: close\r\n"
        marks = b"\r\nx-request-id: %s\r\n" % secrets.token_hex(8).encode()
        for name, value in self.server_state.default_headers:
            marks += name + b": " + value + b"\r\n"
        self.transport.write(_SHED[0] + marks + closing + _SHED[1])
        metrics, path = self._parts.app.metrics, cycle.scope["path"]
        metrics.count("requests_shed_total", reason)
        metrics.count("rejected_requests_total", "overloaded")
        endpoint = path if path in NEEDED else "unmatched"
        metrics.count("api_requests_total", "POST", endpoint, "503")
        if not cycle.keep_alive:
            self.transport.close()
        if self.pipeline:  # not from here: a thousand of them would be as many calls deep
            self.loop.call_soon(self.on_response_complete)
        else:
            self.on_response_complete()

    @property
    def _pause(self) -> float:
        return min(_LOOK, self._settings.header_seconds / 2, self._settings.body_seconds / 2)

    def _look(self) -> None:
        """End what takes too long."""
        self._looking = self.loop.call_later(self._pause, self._look)
        now = self.loop.time()
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent != self._unsent:
            self._unsent, self._unsent_since = unsent, now
        elif now - self._unsent_since > self._settings.body_seconds:
            self._end("unread")
            return
        if self._ended or self._answering or self._owed_since is None:
            return
        if now - self._owed_since > self._settings.header_seconds:
            unread = self.cycle is not None and self.cycle.more_body
            self._end("unread" if unread else "headers")

    def _make_room(self) -> None:
        """For this connection, at the cost of the one that waits longest for a request; if there is
        none, this one is turned away."""
        others = [other for other in self.connections if isinstance(other, BoundedHttpProtocol)]
        alive = [other for other in others if not other._ended]
        if len(alive) <= self._settings.max_connections:
            return
        idle = [other for other in alive if other is not self and not other._answering]
        if idle:
            min(idle, key=BoundedHttpProtocol._idle_since)._end("room")
        else:
            self._end("room", _FULL)

    def _idle_since(self) -> float:
        """Those between two requests owe nothing and go last."""
        return float("inf") if self._owed_since is None else self._owed_since

    def _end(self, reason: str, answer: bytes = b"") -> None:
        """Close the connection, after `answer` or at once."""
        if self._ended:
            return
        self._ended = True
        self._parts.app.metrics.count("connections_closed_total", reason)
        if answer:
            self.transport.write(answer)
            self.transport.close()
        else:
            self.transport.abort()
