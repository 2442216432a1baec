"""The short ways of a small request: no caller can tell them from the long ones."""

import shutil
import socket
from typing import Any

import httpx
import numpy as np
import pytest

from api_anomaly.telemetry.distribution import Histogram

#: With a layer besides Watch, every request goes the framework's way.
LONG = {"cors_origins": ("https://console.example.org",)}
#: Of each answer alone; and what only CORS adds.
OWN = ("date", "x-request-id", "vary")
FILES = {"model": "isolation_forest", "scaler": "scaler"}


def told(client: httpx.Client, logs: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    """What every kind of request is answered."""
    wrong = {"Authorization": "Bearer wrong"}
    answers = [
        client.post("/detect", json={"logs": logs[:1]}),
        client.post("/detect", json={"logs": logs[:1]}, headers={"Idempotency-Key": "one"}),
        client.post("/detect", json={"logs": logs[:1]}, headers={"Idempotency-Key": "one"}),
        client.post("/detect", json={"logs": logs, "include_scores": True, "threshold": 0.0}),
        client.post("/detect", content=b"{"),
        client.post("/detect", json={"logs": []}, headers=wrong),
        client.post("/detect", json={"logs": []}, headers={"Content-Encoding": "br"}),
        client.post("/detect?a=b", json={"logs": []}),
        client.post("/detect/", json={"logs": []}),
        client.get("/detect"),
        client.head("/health"),
        client.post("/load-model"),
        client.get("/nowhere"),
    ]
    return [
        (
            answer.status_code,
            [(name, value) for name, value in answer.headers.items() if name not in OWN],
            b"" if answer.url.path == "/load-model" else answer.content,
        )
        for answer in answers
    ]


def counted(client: httpx.Client) -> list[str]:
    names = ("api_requests_total", "rejected_requests_total", "api_request_duration_seconds_count")
    return [line for line in client.get("/metrics").text.splitlines() if line.startswith(names)]


def test_the_short_way_answers_and_counts_as_the_frameworks_way(serve, logs, tmp_path) -> None:
    with serve() as client:
        assert client.post("/train", json={"logs": logs(200)}).status_code == 200
    kept = logs(120, start=1_700_500_000.0)
    found = []
    for name, settings in (("short", {}), ("long", LONG)):
        folder = tmp_path / name  # each with a memory of its own
        shutil.copytree(tmp_path / "models", folder, symlinks=True)
        files = {f"{kind}_path": folder / f"{file}.pkl" for kind, file in FILES.items()}
        with serve(**files, **settings) as client:
            found.append((told(client, kept), counted(client)))
    assert [status for status, _, _ in found[0][0]][:4] == [200] * 4
    assert found[0] == found[1]


def test_a_layer_of_ones_own_sees_every_request(serve) -> None:
    with serve(**LONG) as client:
        answer = client.get("/health", headers={"Origin": "https://console.example.org"})
    assert answer.headers["access-control-allow-origin"] == "https://console.example.org"


def raw(client: httpx.Client, data: bytes) -> bytes:
    """What comes until the service ends the connection."""
    with socket.create_connection((client.base_url.host, client.base_url.port), 30) as caller:
        caller.sendall(data)
        answer = b""
        while part := caller.recv(65_536):
            answer += part
    return answer


def test_answers_of_every_kind_keep_their_order_and_their_ends(serve) -> None:
    ask = b"%s /health HTTP/1.1\r\nHost: x\r\n%s\r\n"
    with serve() as client:
        answer = raw(
            client,
            ask % (b"GET", b"") + ask % (b"HEAD", b"") + ask % (b"GET", b"Connection: close\r\n"),
        )
    first, second, last = answer.split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"200 OK\r\n") and b"connection:" not in first
    assert second.startswith(b"405 ") and second.endswith(b"\r\n\r\n")
    assert b"connection: close\r\n" in last and last.endswith(b"}")


def test_a_large_answer_is_whole(serve, logs) -> None:
    with serve() as client:
        client.post("/train", json={"logs": logs(200)})
        body = {"logs": logs(6_000, start=1_700_500_000.0), "include_scores": True}
        answer = client.post("/detect", json=body)
    assert len(answer.content) > 64 * 1024
    assert len(answer.json()["scores"]) == 6_000


# --- the parts ------------------------------------------------------------------------------------


def test_values_one_by_one_count_as_an_array_of_them_does() -> None:
    values = np.array([0.0, 0.5, 0.5000001, 1.0, 2.0, 7.0] * 3 + [1.0])
    alone, few, many = (Histogram((0.5, 1.0, 5.0)) for _ in range(3))
    for value in values.tolist():
        alone.observe(value)
    for start in range(0, len(values), 5):
        few.observe_all(values[start : start + 5])
    many.observe_all(values)
    assert alone.buckets() == few.buckets() == many.buckets()
    assert alone.buckets() == [("0.5", 6), ("1.0", 13), ("5.0", 16), ("+Inf", 19)]
    assert alone.sum == pytest.approx(many.sum)
