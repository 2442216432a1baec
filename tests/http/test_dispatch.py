"""Requests served from the endpoint table and by the framework get the same responses."""

import shutil
import socket
from typing import Any

import httpx

from api_anomaly.http.endpoints import ENDPOINTS
from api_anomaly.http.routes import Routes

#: Headers that differ between two responses.
VARYING = ("date", "x-request-id")
FILES = {"model_path": "isolation_forest.pkl", "scaler_path": "scaler.pkl"}
#: The framework's router also matches a path with a line break at its end (`re.match` with `$`);
#: the table does not. So "%0A" leads to the same handler through the framework.
THROUGH_FRAMEWORK = "%0A"


def responses(client: httpx.Client, logs: list[dict[str, Any]], suffix: str) -> list[Any]:
    """The responses to requests of every kind, with `suffix` at the end of their paths."""
    path = f"/detect{suffix}"
    wrong = {"Authorization": "Bearer wrong"}
    key = {"Idempotency-Key": "one"}
    answered = [
        client.post(path, json={"logs": logs[:1]}),
        client.post(path, json={"logs": logs[:1]}, headers=key),
        client.post(path, json={"logs": logs[:1]}, headers=key),
        client.post(path, json={"logs": logs, "include_scores": True, "threshold": 0.0}),
        client.post(path, content=b"{"),
        client.post(path, json={"logs": []}, headers=wrong),
        client.post(path, json={"logs": []}, headers={"Content-Encoding": "br"}),
        client.post(f"{path}?a=b", json={"logs": []}),
        client.get(path),
        client.post(f"/load-model{suffix}", headers=wrong),
    ]
    return [
        (
            response.status_code,
            [(name, value) for name, value in response.headers.items() if name not in VARYING],
            response.content,
        )
        for response in answered
    ]


def counts(client: httpx.Client) -> list[str]:
    names = ("api_requests_total", "rejected_requests_total", "api_request_duration_seconds_count")
    return [line for line in client.get("/metrics").text.splitlines() if line.startswith(names)]


def test_the_table_answers_and_counts_as_the_framework_does(serve, logs, tmp_path) -> None:
    with serve() as client:
        assert client.post("/train", json={"logs": logs(200)}).status_code == 200
    batch = logs(120, start=1_700_500_000.0)
    results = []
    for number, suffix in enumerate(("", THROUGH_FRAMEWORK)):
        folder = tmp_path / str(number)  # each with a memory of its own
        shutil.copytree(tmp_path / "models", folder, symlinks=True)
        with serve(**{name: folder / file for name, file in FILES.items()}) as client:
            results.append((responses(client, batch, suffix), counts(client)))
    assert [status for status, _, _ in results[0][0]][:4] == [200] * 4
    assert results[0] == results[1]


def test_another_method_is_a_405_that_names_the_right_ones(serve) -> None:
    routes = Routes(ENDPOINTS)
    with serve() as client:
        for path in {endpoint.path for endpoint in ENDPOINTS}:
            served = {method for row in ENDPOINTS if row.path == path for method in row.methods}
            for method in {"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"} - served:
                if routes.find(method, path):  # by a pattern
                    continue
                response = client.request(method, path)
                assert response.status_code == 405
                assert set(response.headers["allow"].split(", ")) == served


def test_a_slash_at_the_end_is_another_path(serve) -> None:
    with serve() as client:
        assert client.post("/detect/").status_code == 404


def test_requests_with_parameters_in_the_path_count_under_its_template(serve) -> None:
    with serve() as client:
        for path in ("/elastic/_template/logs-1", "/elastic/_template/logs-2"):
            answer = client.put(path)
            assert (answer.status_code, answer.json()) == (200, {"acknowledged": True})
        assert client.get("/elastic/_template/a/b").status_code == 404
        assert client.head("/elastic/any-index").status_code == 200
        counted = [line for line in counts(client) if "elastic" in line and "_total" in line]
    assert sorted(counted) == [
        'api_requests_total{endpoint="/elastic/_template/{name}",method="PUT",status="200"} 2.0',
        'api_requests_total{endpoint="/elastic/{index}",method="HEAD",status="200"} 1.0',
    ]


def receive_all(client: httpx.Client, data: bytes) -> bytes:
    """What the service answers to `data` until it closes the connection."""
    address = (client.base_url.host, client.base_url.port)
    with socket.create_connection(address, timeout=30) as connection:
        connection.sendall(data)
        answer = b""
        while part := connection.recv(65_536):
            answer += part
    return answer


def test_pipelined_requests_are_answered_in_order_and_close_is_kept(serve) -> None:
    request = b"%s /health HTTP/1.1\r\nHost: x\r\n%s\r\n"
    with serve() as client:
        answer = receive_all(
            client,
            request % (b"GET", b"")
            + request % (b"HEAD", b"")
            + request % (b"GET", b"Connection: close\r\n"),
        )
    first, second, last = answer.split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"200 OK\r\n") and b"connection:" not in first
    assert second.startswith(b"200 OK\r\n") and second.endswith(b"\r\n\r\n")
    assert b"connection: close\r\n" in last and last.endswith(b"}")


def test_a_large_response_is_complete(serve, logs) -> None:
    with serve() as client:
        client.post("/train", json={"logs": logs(200)})
        body = {"logs": logs(6_000, start=1_700_500_000.0), "include_scores": True}
        response = client.post("/detect", json=body)
    assert len(response.content) > 64 * 1024
    assert len(response.json()["scores"]) == 6_000
