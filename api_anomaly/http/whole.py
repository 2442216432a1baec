"""Sending an answer that is known whole: one write, and no header judged twice.

uvicorn writes head and body apart, because it cannot know that no more will come, and searches
every header of every answer for forbidden characters. Most of ours are the same headers each time.
"""

from collections.abc import Awaitable
from functools import lru_cache
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import (
    HEADER_RE,
    HEADER_VALUE_RE,
    STATUS_LINE,
    RequestResponseCycle,
)

#: Bytes of a body up to which copying it behind its head is cheaper than a second write.
_SMALL = 64 * 1024
#: Headers that say how the answer or the connection ends: uvicorn's own way knows what they mean.
_FRAMING = (b"connection", b"transfer-encoding")


class Whole:
    """`app` for one request. The head is held back until the body begins, as ASGI allows; when that
    is all of a small body, both leave together, else as uvicorn sends them."""

    def __init__(self, app: ASGIApp, cycle: RequestResponseCycle) -> None:
        self._app = app
        self._cycle = cycle
        self._head: Message | None = None

    def __call__(self, scope: Scope, receive: Receive, _send: Send) -> Awaitable[None]:
        """Answer the request."""
        return self._app(scope, receive, self.send)

    async def send(self, message: Message) -> None:
        """The `send` of ASGI."""
        cycle: Any = self._cycle  # its messages are narrower types than ASGI's own
        if message["type"] == "http.response.start" and self._head is None:
            self._head = message
            return
        head, self._head = self._head, None
        if head is not None:
            answer = self._together(head, message)
            if answer is not None:
                self._end(answer)
                return
            await cycle.send(head)
        await cycle.send(message)

    def _together(self, head: Message, body: Message) -> bytes | None:
        """Head and body as bytes; None when they have to go uvicorn's way."""
        cycle, content = self._cycle, body.get("body", b"")
        if body.get("more_body", False) or len(content) > _SMALL or cycle.scope["method"] == "HEAD":
            return None
        if cycle.response_started or cycle.disconnected or cycle.flow.write_paused:
            return None
        if cycle.access_log:
            return None
        lines, length = [STATUS_LINE[head["status"]]], b""
        for name, value in (*cycle.default_headers, *head.get("headers", ())):
            line = _line(name, value)
            if not line:
                return None
            if name == b"content-length":
                length = value
            lines.append(line)
        if length != b"%d" % len(content):
            return None
        lines.append(b"\r\n" if cycle.keep_alive else b"connection: close\r\n\r\n")
        lines.append(content)
        return b"".join(lines)

    def _end(self, answer: bytes) -> None:
        cycle = self._cycle
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        cycle.transport.write(answer)
        cycle.message_event.set()
        if not cycle.keep_alive:
            cycle.transport.close()
        cycle.on_response()


@lru_cache(maxsize=256)
def _line(name: bytes, value: bytes) -> bytes:
    """A header's line; empty for one that uvicorn must see: it frames the answer, or is none."""
    name = name.lower()
    if name in _FRAMING or HEADER_RE.search(name) or HEADER_VALUE_RE.search(value):
        return b""
    return name + b": " + value + b"\r\n"
