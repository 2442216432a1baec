"""A server on the loopback that answers log shippers as the service does, and keeps what they sent.

The real service is better where it serves: this one can refuse at will, and tells each request.
"""

import gzip
import json
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple
from urllib.parse import urlsplit

import cramjam
import zstandard


class Request(NamedTuple):
    """A request as it came, its body decompressed, and the status that it was answered with."""

    method: str
    path: str
    headers: dict[str, str]  # names in lower case
    body: bytes
    status: int


class Answer(NamedTuple):
    """An answer of the service."""

    status: int
    content_type: str = "application/json"
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()


INFLATE: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    "gzip": gzip.decompress,
    "deflate": zlib.decompress,
    "zstd": lambda body: zstandard.ZstdDecompressor().stream_reader(body).read(),
    "snappy": lambda body: bytes(cramjam.snappy.decompress_raw(body)),
}
ELASTIC = (("X-Elastic-Product", "Elasticsearch"),)


def _json(value: object, status: int = 200) -> Answer:
    return Answer(status, body=json.dumps(value, separators=(",", ":")).encode())


def _bulk(body: bytes) -> Answer:
    documents = len([line for line in body.split(b"\n") if line.strip()]) // 2
    items = [{"create": {"status": 201}}] * documents
    return _json({"took": 1, "errors": False, "items": items})._replace(headers=ELASTIC)


def _firehose(body: bytes) -> Answer:
    return _json({"requestId": json.loads(body)["requestId"], "timestamp": 1717230126000})


def _about(_: bytes) -> Answer:
    version = {"number": "8.17.0", "build_flavor": "default"}
    about = {"name": "api-anomaly", "cluster_uuid": "x", "version": version}
    return _json(about | {"tagline": "You Know, for Search"})._replace(headers=ELASTIC)


#: The answers by path; what stands here takes logs, the rest is asked beforehand.
TAKES: dict[str, Callable[[bytes], Answer]] = {
    "/ingest": lambda body: _json({"accepted": body.count(b"\n") + 1, "rejected": 0}),
    "/elastic/_bulk": _bulk,
    "/v1/logs": lambda _: Answer(200, "application/x-protobuf"),
    "/loki/api/v1/push": lambda _: Answer(204),
    "/firehose": _firehose,
}
ASKED: dict[str, Callable[[bytes], Answer]] = {
    "/elastic": _about,
    "/elastic/_license": lambda _: _json({"license": {"status": "active", "type": "basic"}}),
    "/health": lambda _: _json({"status": "ok"}),
}


class Target:
    """What came, and how many of the next bodies with logs are refused with 503."""

    def __init__(self, port: int, refusals: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.requests: list[Request] = []
        self.refusals = refusals
        self._lock = threading.Lock()

    def answer(self, method: str, target: str, headers: dict[str, str], body: bytes) -> Answer:
        """The answer to a request, which is kept."""
        path = urlsplit(target).path.rstrip("/") or "/"
        takes = TAKES.get(path)
        with self._lock:
            if takes and self.refusals > 0:
                self.refusals -= 1
                answer = _json({"error": "busy"}, 503)._replace(headers=(("Retry-After", "1"),))
            elif takes:
                answer = takes(body)
            else:
                answer = ASKED.get(path, lambda _: _json({}))(body)
            self.requests.append(Request(method, target, headers, body, answer.status))
        return answer

    def taken(self) -> list[Request]:
        """The requests whose logs were taken."""
        with self._lock:
            return [
                request
                for request in self.requests
                if request.status < 300 and urlsplit(request.path).path.rstrip("/") in TAKES
            ]

    def refused(self) -> list[Request]:
        """The requests that were answered with 503."""
        with self._lock:
            return [request for request in self.requests if request.status == 503]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    target: Target

    def _serve(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        body = self._body(headers)
        inflate = INFLATE[headers.get("content-encoding", "")]
        answer = self.target.answer(self.command, self.path, headers, inflate(body))
        self.send_response(answer.status)
        for name, value in answer.headers:
            self.send_header(name, value)
        if answer.status != 204:
            self.send_header("Content-Type", answer.content_type)
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    do_GET = do_HEAD = do_POST = do_PUT = _serve

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("transfer-encoding", "").lower() != "chunked":
            return self.rfile.read(int(headers.get("content-length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(parts)

    def log_message(self, *_: object) -> None:
        """Requests are kept, not printed."""


@contextmanager
def shipper_target(refusals: int = 0) -> Iterator[Target]:
    """A running target that first refuses some bodies."""
    handler = type("Handler", (_Handler,), {})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        handler.target = Target(server.server_address[1], refusals)  # type: ignore[attr-defined]
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield handler.target  # type: ignore[attr-defined]
        finally:
            server.shutdown()
            thread.join()
