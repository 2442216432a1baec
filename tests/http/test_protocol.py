"""What is too much is turned away at once; slow, endless and silent callers are let go."""

import gzip
import json
import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

TOKEN = b"Authorization: Bearer a-token-of-the-tests\r\n"


def connect(client: httpx.Client) -> socket.socket:
    return socket.create_connection((client.base_url.host, client.base_url.port), timeout=30)


def all_of(caller: socket.socket) -> bytes:
    """What comes until the other side ends the connection."""
    data = b""
    while True:
        try:
            part = caller.recv(65_536)
        except ConnectionResetError:
            return data
        if not part:
            return data
        data += part


def head_of(caller: socket.socket) -> bytes:
    """The head of the next answer, with its body thrown away."""
    data = b""
    while b"\r\n\r\n" not in data:
        part = caller.recv(65_536)
        assert part, data
        data += part
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += caller.recv(65_536)
    return head


def counted(client: httpx.Client, sample: str) -> float:
    for line in client.get("/metrics").text.splitlines():
        if line.startswith(sample + " "):
            return float(line.split()[1])
    return 0.0


def until(true: Callable[[], bool], what: str, seconds: float = 30.0) -> None:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if true():
            return
        time.sleep(0.01)
    pytest.fail(f"not in time: {what}")


def test_more_requests_than_are_answered_at_once_are_503_and_health_is_not(serve, logs) -> None:
    with serve(max_open_requests=2) as client:
        held = [connect(client) for _ in range(2)]
        for caller in held:
            caller.sendall(b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n" + TOKEN)
            caller.sendall(b"\r\n")
        until(lambda: client.get("/status").status_code == 503, "both are in")
        refused = client.post("/detect", json={"logs": logs(1)})
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")
        assert refused.headers["retry-after"] == "1"
        assert refused.headers["x-content-type-options"] == "nosniff"
        assert refused.headers["x-request-id"]
        assert client.get("/status").status_code == 503
        assert client.get("/health").status_code == 200
        for caller in held:
            caller.close()
        until(lambda: client.get("/status").status_code == 200, "recovered")
        assert counted(client, 'requests_shed_total{reason="requests"}') >= 2
        shed = 'api_requests_total{endpoint="/detect",method="POST",status="503"}'
        assert counted(client, shed) == 1


def test_a_shed_request_leaves_the_connection_usable_and_pipelined_ones_in_order(serve) -> None:
    with serve(max_open_requests=1) as client:
        with connect(client) as holder, connect(client) as caller:
            holder.sendall(b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n" + TOKEN)
            holder.sendall(b"\r\n")
            until(lambda: client.get("/status").status_code == 503, "the holder is in")
            request = b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
            health = b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
            caller.sendall(request * 2 + health)
            statuses = []
            file = caller.makefile("rb")
            while len(statuses) < 3:
                statuses.append(file.readline().split()[1])
                length = 0
                while (line := file.readline().strip().lower()) != b"":
                    length = int(line[15:]) if line.startswith(b"content-length:") else length
                file.read(length)
            assert statuses == [b"503", b"503", b"200"]


def test_a_head_that_does_not_end_is_let_go(serve) -> None:
    with serve(header_seconds=0.2) as client:
        silent, halves, dribble = connect(client), connect(client), connect(client)
        halves.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Half: ")
        dribble.sendall(b"\r\n")
        for caller in (silent, halves, dribble):
            assert all_of(caller) == b""
            caller.close()
        assert counted(client, 'connections_closed_total{reason="headers"}') == 3


def test_a_head_that_trickles_for_ever_is_let_go_too(serve) -> None:
    with serve(header_seconds=0.3) as client, connect(client) as caller:
        caller.sendall(b"GET /health HTTP/1.1\r\n")
        end = time.monotonic() + 20
        with pytest.raises(OSError):
            while time.monotonic() < end:
                caller.sendall(b"X-A: b\r\n")
                time.sleep(0.02)
        assert time.monotonic() < end


@pytest.mark.parametrize("shape", ["one line", "many lines", "path"])
def test_a_head_that_is_too_large_is_a_431(serve, shape: str) -> None:
    start = b"GET /" + (b"x" * 50_000 if shape == "path" else b"health") + b" HTTP/1.1\r\n"
    more = {"one line": b"X-A: " + b"b" * 50_000, "many lines": b"X-A: b\r\n" * 9_000, "path": b""}
    with serve() as client, connect(client) as caller:
        caller.sendall(start + more[shape] + b"\r\n\r\n")
        answer = all_of(caller)
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "headers_too_large"


def test_a_head_without_end_is_a_431_as_soon_as_it_is_too_large(serve) -> None:
    with serve(max_header_bytes=2_000) as client, connect(client) as caller:
        caller.sendall(b"GET /health HTTP/1.1\r\nX-A: ")
        for _ in range(100):
            try:
                caller.sendall(b"b" * 1_000)
            except OSError:
                break
            time.sleep(0.005)
        assert counted(client, 'connections_closed_total{reason="headers"}') == 1


def test_what_is_no_http_is_a_400_in_the_one_shape(serve) -> None:
    with serve() as client, connect(client) as caller:
        caller.sendall(b"\x16\x03\x01 this is not HTTP\r\n\r\n")
        answer = all_of(caller)
        assert counted(client, 'connections_closed_total{reason="malformed"}') == 1
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "malformed_request"


@pytest.mark.parametrize("path", [b"/detect", b"/train"])
def test_a_body_that_does_not_come_is_a_408_and_its_place_is_free(serve, path: bytes) -> None:
    with serve(body_seconds=0.2) as client, connect(client) as caller:
        caller.sendall(b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n" + TOKEN)
        caller.sendall(b"\r\n{")
        answer = all_of(caller)
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert json.loads(answer.partition(b"\r\n\r\n")[2])["code"] == "body_too_slow"
        assert client.post("/train", json={"logs": []}).status_code == 422


def test_a_large_body_at_an_honest_speed_is_not_too_slow(serve) -> None:
    with serve(body_seconds=0.3) as client, connect(client) as caller:
        caller.sendall(b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Length: 80000\r\n" + TOKEN)
        caller.sendall(b"\r\n")
        for _ in range(8):
            caller.sendall(b" " * 10_000)
            time.sleep(0.06)
        assert head_of(caller).startswith(b"HTTP/1.1 422 ")


def test_a_refused_callers_body_is_not_waited_for(serve) -> None:
    with serve(header_seconds=0.2) as client, connect(client) as caller:
        caller.sendall(b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Length: 9999\r\n\r\n{")
        answer = all_of(caller)
        assert answer.startswith(b"HTTP/1.1 401 ")
        assert counted(client, 'connections_closed_total{reason="unread"}') == 1


def test_an_answer_that_nobody_takes_is_dropped(serve, logs) -> None:
    body = json.dumps({"logs": [{}] * 60}).encode()
    with serve(body_seconds=0.3) as client:
        caller = socket.socket()
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
        caller.connect((client.base_url.host, client.base_url.port))
        request = b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n" % len(body)
        caller.setblocking(False)
        try:
            for _ in range(2_000):
                caller.send(request + TOKEN + b"\r\n" + body)
        except BlockingIOError:
            pass
        dropped = 'connections_closed_total{reason="unread"}'
        until(lambda: counted(client, dropped) == 1, "dropped")
        caller.close()


def test_a_new_caller_takes_the_place_of_the_one_that_waits_longest(serve) -> None:
    with serve(max_connections=5, header_seconds=60.0) as client:
        client.get("/health")  # one of the five, between two requests
        silent = [connect(client) for _ in range(12)]
        until(lambda: counted(client, 'connections_closed_total{reason="room"}') >= 8, "room")
        fresh = httpx.get(f"{client.base_url}/health")
        assert fresh.status_code == 200
        assert client.get("/health").status_code == 200
        for caller in silent:
            caller.close()


def test_a_second_training_is_refused_before_its_body_is_read(serve, logs) -> None:
    with serve() as client, connect(client) as first:
        first.sendall(b"POST /train HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n" + TOKEN + b"\r\n")
        expect = {"Expect": "100-continue"}
        until(
            lambda: client.post("/train", content=b"", headers=expect).status_code == 409,
            "the first one is being read",
        )
        with connect(client) as second:
            head = b"POST /train HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n" + TOKEN
            second.sendall(head + b"\r\n")
            assert head_of(second).startswith(b"HTTP/1.1 409 ")
        assert client.get("/status").json()["training_running"] is False
        first.close()
        until(
            lambda: client.post("/train", json={"logs": logs(30)}).status_code == 200,
            "the next one may train",
        )


def test_gzip_counts_as_what_it_becomes(serve, logs) -> None:
    bomb = gzip.compress(b" " * 1_000_000)
    zipped = {"Content-Encoding": "gzip"}
    with serve(max_open_bytes=500_000) as client, connect(client) as holder:
        holder.sendall(b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Length: 99\r\n" + TOKEN)
        holder.sendall(b"\r\n{")
        refused = client.post("/detect", content=bomb, headers=zipped)
        while refused.status_code == 422:  # the holder's byte has not arrived yet
            refused = client.post("/detect", content=bomb, headers=zipped)
        assert (refused.status_code, refused.json()["code"]) == (503, "overloaded")


def test_a_burst_of_large_batches_is_answered_or_shed_and_never_anything_else(serve, logs) -> None:
    body = json.dumps({"logs": logs(2_000, start=1_700_500_000.0)}).encode()
    with serve(max_wait_seconds=0.001) as client:
        client.post("/train", json={"logs": logs(200)})
        with ThreadPoolExecutor(12) as threads:
            asked = [threads.submit(client.post, "/detect", content=body) for _ in range(36)]
            statuses = [asking.result().status_code for asking in asked]
        assert set(statuses) == {200, 503}
        assert counted(client, "logs_scored_total") == 2_000 * statuses.count(200)
        assert client.post("/detect", content=body).status_code == 200
