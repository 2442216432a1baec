"""A real HTTP server on loopback that plays a script: a bad service, or a bad way to one."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """What to answer; status 0 breaks the connection instead."""

    status: int
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


class Request(NamedTuple):
    """What came."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


class Script(ThreadingHTTPServer):
    """Gives one reply after the other and keeps the requests."""

    def __init__(self, replies):
        super().__init__(("127.0.0.1", 0), Turn)
        self.replies = list(replies)
        self.requests: list[Request] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class Turn(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Script

    def do_GET(self):
        self.answer()

    def do_POST(self):
        self.answer()

    def answer(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(
            self.command, self.path, dict(self.headers), json.loads(body) if body else None
        )
        self.server.requests.append(request)
        reply = self.server.replies.pop(0)
        if reply.status == 0:
            self.close_connection = True
            return
        content = reply.body if isinstance(reply.body, bytes) else json.dumps(reply.body).encode()
        self.send_response(reply.status)
        for name, value in reply.headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        """Silence."""


@contextmanager
def playing(*replies: Reply) -> Iterator[Script]:
    """A server that answers with these replies, in this order."""
    script = Script(replies)
    thread = Thread(target=script.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield script
    finally:
        script.shutdown()
        thread.join()
        script.server_close()
