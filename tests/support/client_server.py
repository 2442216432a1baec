"""A real HTTP server on loopback with scripted replies: a faulty service or network."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, NamedTuple


class Reply(NamedTuple):
    """One reply; status 0 closes the connection without one."""

    status: int
    body: Any = None
    headers: tuple[tuple[str, str], ...] = ()


class Request(NamedTuple):
    method: str
    path: str
    headers: dict[str, str]
    body: Any  # decoded JSON; other texts as they are, as bytes


def decoded(body: bytes) -> Any:
    if not body:
        return None
    try:
        return json.loads(body)
    except ValueError:
        return body


class ScriptedServer(ThreadingHTTPServer):
    """Gives one reply after the other and keeps the requests."""

    def __init__(self, replies):
        super().__init__(("127.0.0.1", 0), ScriptedHandler)
        self.replies = list(replies)
        self.requests: list[Request] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class ScriptedHandler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: ScriptedServer

    def do_GET(self):
        self.send_next_reply()

    def do_POST(self):
        self.send_next_reply()

    def send_next_reply(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        request = Request(self.command, self.path, dict(self.headers), decoded(body))
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
        """Print nothing."""


@contextmanager
def scripted_server(*replies: Reply) -> Iterator[ScriptedServer]:
    """A server with these replies, in this order."""
    server = ScriptedServer(replies)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
