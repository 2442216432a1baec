"""Overload, and clients that are slow, silent or send too much, over real connections."""

import gzip
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

AUTHORIZATION = b"Authorization: Bearer a-token-of-the-tests\r\n"


def post(path: bytes, length: int, authorization: bytes = AUTHORIZATION) -> bytes:
    """The headers of a request with a body of `length` bytes."""
    return b"POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n%s\r\n" % (
        path,
        length,
        authorization,
    )


def connect(client: httpx.Client) -> socket.socket:
    return socket.create_connection((client.base_url.host, client.base_url.port), timeout=30)


def receive_all(connection: socket.socket) -> bytes:
    """All data until the service closes the connection."""
    data = b""
    while True:
        try:
            part = connection.recv(65_536)
        except ConnectionResetError:
            return data
        if not part:
            return data
        data += part


def receive_headers(connection: socket.socket) -> bytes:
    """The status line and headers of the next response; its body is read and dropped."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = connection.recv(65_536)
        assert part, data
        data += part
    headers, _, body = data.partition(b"\r\n\r\n")
    length = int(headers.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65_536)
    return headers


def sample_of(client: httpx.Client, name: str) -> float:
    for line in client.get("/metrics").text.splitlines():
        if line.startswith(name + " "):
            return float(line.split()[1])
    return 0.0


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if condition():
            return
        time.sleep(0.01)
    pytest.fail(f"not in time: {what}")


def test_requests_beyond_the_limit_are_503_and_health_is_served(serve, logs) -> None:
    with serve(max_open_requests=2) as client:
        held = [connect(client) for _ in range(2)]
        for connection in held:
            connection.sendall(post(b"/detect", 9))
        wait_until(lambda: client.get("/status").status_code == 503, "both are read")
        refused = client.post("/detect", json={"logs": logs(1)})
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["x-content-type-options"] == "nosniff"
        assert refused.headers["x-request-id"]
        assert client.get("/status").status_code == 503
        assert client.get("/health").status_code == 200
        for connection in held:
            connection.close()
        wait_until(lambda: client.get("/status").status_code == 200, "recovered")
        assert sample_of(client, 'requests_shed_total{reason="requests"}') >= 2
        shed = 'api_requests_total{endpoint="/detect",method="POST",status="503"}'
        assert sample_of(client, shed) == 1
        shed = 'api_requests_total{endpoint="/status",method="GET",status="503"}'
        assert sample_of(client, shed) >= 2


def test_a_refused_request_keeps_the_connection_and_the_order_of_pipelined_ones(serve) -> None:
    with serve(max_open_requests=1) as client:
        with connect(client) as other, connect(client) as connection:
            other.sendall(post(b"/detect", 9))
            wait_until(
                lambda: client.get("/status").status_code == 503, "the other request is read"
            )
            request = post(b"/detect", 2, authorization=b"") + b"{}"
            health = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
            connection.sendall(request * 2 + health)
            statuses = []
            file = connection.makefile("rb")
            while len(statuses) < 3:
                statuses.append(file.readline().split()[1])
                length = 0
                while (line := file.readline().strip().lower()) != b"":
                    length = int(line[15:]) if line.startswith(b"content-length:") else length
                file.read(length)
            assert statuses == [b"503", b"503", b"200"]


def test_a_connection_without_complete_headers_is_closed(serve) -> None:
    with serve(header_seconds=0.2) as client:
        silent, half, line_break = connect(client), connect(client), connect(client)
        half.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Half: ")
        line_break.sendall(b"\r\n")
        for connection in (silent, half, line_break):
            assert receive_all(connection) == b""
            connection.close()
        assert sample_of(client, 'connections_closed_total{reason="headers"}') == 3


def test_a_connection_with_endless_slow_headers_is_closed(serve) -> None:
    with serve(header_seconds=0.3) as client, connect(client) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\n")
        end = time.monotonic() + 20
        with pytest.raises(OSError):
            while time.monotonic() < end:
                connection.sendall(b"X-A: b\r\n")
                time.sleep(0.02)
        assert time.monotonic() < end


@pytest.mark.parametrize("shape", ["one line", "many lines", "path"])
def test_too_large_headers_are_a_431(serve, shape: str) -> None:
    start = b"GET /" + (b"x" * 50_000 if shape == "path" else b"health") + b" HTTP/1.1\r\n"
    more = {"one line": b"X-A: " + b"b" * 50_000, "many lines": b"X-A: b\r\n" * 9_000, "path": b""}
    with serve() as client, connect(client) as connection:
        connection.sendall(start + more[shape] + b"\r\n\r\n")
        answer = receive_all(connection)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "headers_too_large"


def test_an_endless_header_is_refused_when_it_is_too_large(serve) -> None:
    with serve(max_header_bytes=2_000) as client, connect(client) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nX-A: ")
        for _ in range(100):
            try:
                connection.sendall(b"b" * 1_000)
            except OSError:
                break
            time.sleep(0.005)
        assert sample_of(client, 'connections_closed_total{reason="headers"}') == 1


def test_data_that_is_not_http_is_a_400_in_the_shape_of_all_errors(serve) -> None:
    with serve() as client, connect(client) as connection:
        connection.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        answer = receive_all(connection)
        assert sample_of(client, 'connections_closed_total{reason="malformed"}') == 1
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "malformed_request"


@pytest.mark.parametrize("path", [b"/detect", b"/train"])
def test_a_body_that_does_not_arrive_is_a_408_and_frees_its_resources(serve, path: bytes) -> None:
    with serve(body_seconds=0.2) as client, connect(client) as connection:
        connection.sendall(post(path, 99) + b"{")
        answer = receive_all(connection)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "body_too_slow"
        assert client.post("/train", json={"logs": []}).status_code == 422


def test_a_large_body_at_the_speed_of_a_slow_network_is_accepted(serve) -> None:
    with serve(body_seconds=0.3) as client, connect(client) as connection:
        connection.sendall(post(b"/detect", 80_000))
        for _ in range(8):
            connection.sendall(b" " * 10_000)
            time.sleep(0.06)
        assert receive_headers(connection).startswith(b"HTTP/1.1 422 ")


def test_the_body_of_a_refused_request_is_not_waited_for(serve) -> None:
    with serve(header_seconds=0.2) as client, connect(client) as connection:
        connection.sendall(post(b"/detect", 9_999, authorization=b"") + b"{")
        answer = receive_all(connection)
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert sample_of(client, 'connections_closed_total{reason="unread"}') == 1


def test_a_client_that_does_not_read_responses_is_disconnected(serve, logs) -> None:
    body = json.dumps({"logs": [{}] * 60}).encode()
    with serve(body_seconds=0.3) as client:
        connection = socket.socket()
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        connection.connect((client.base_url.host, client.base_url.port))
        request = post(b"/detect", len(body)) + body
        connection.setblocking(False)
        try:
            for _ in range(2_000):
                connection.send(request)
        except BlockingIOError:
            pass
        dropped = 'connections_closed_total{reason="unread"}'
        wait_until(lambda: sample_of(client, dropped) == 1, "dropped")
        connection.close()


def test_a_new_connection_closes_the_one_that_sent_nothing_for_longest(serve) -> None:
    with serve(max_connections=5, header_seconds=60.0) as client:
        client.get("/health")  # one of the five, between two requests
        silent = [connect(client) for _ in range(12)]
        wait_until(
            lambda: sample_of(client, 'connections_closed_total{reason="room"}') >= 8, "room"
        )
        assert httpx.get(f"{client.base_url}/health").status_code == 200
        assert client.get("/health").status_code == 200
        for connection in silent:
            connection.close()


def test_a_second_training_is_refused_before_its_body_is_read(serve, logs) -> None:
    with serve() as client, connect(client) as first:
        first.sendall(post(b"/train", 9))
        expect = {"Expect": "100-continue"}
        wait_until(
            lambda: client.post("/train", content=b"", headers=expect).status_code == 409,
            "the first one is being read",
        )
        with connect(client) as second:
            second.sendall(post(b"/train", 999_999))
            assert receive_headers(second).startswith(b"HTTP/1.1 409 ")
        assert client.get("/status").json()["training_running"] is False
        first.close()
        wait_until(
            lambda: client.post("/train", json={"logs": logs(30)}).status_code == 200,
            "the next one may train",
        )


def test_a_gzip_body_counts_with_its_decompressed_size(serve, logs) -> None:
    bomb = gzip.compress(b" " * 1_000_000)
    compressed = {"Content-Encoding": "gzip"}
    with serve(max_open_bytes=500_000) as client, connect(client) as other:
        other.sendall(post(b"/detect", 99) + b"{")
        refused = client.post("/detect", content=bomb, headers=compressed)
        while refused.status_code == 422:  # the byte of the other request has not arrived yet
            refused = client.post("/detect", content=bomb, headers=compressed)
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")


def test_a_burst_of_large_batches_is_answered_with_200_or_503_only(serve, logs) -> None:
    body = json.dumps({"logs": logs(2_000, start=1_700_500_000.0)}).encode()
    with serve(max_wait_seconds=0.001) as client:
        client.post("/train", json={"logs": logs(200)})
        with ThreadPoolExecutor(12) as threads:
            sent = [threads.submit(client.post, "/detect", content=body) for _ in range(36)]
            statuses = [request.result().status_code for request in sent]
        assert set(statuses) == {200, 503}
        assert sample_of(client, "logs_scored_total") == 2_000 * statuses.count(200)
        assert client.post("/detect", content=body).status_code == 200
