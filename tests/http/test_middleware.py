"""What every request gets: an id, security headers, metrics, and an answer to unexpected errors."""

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.http.app import create_app
from api_anomaly.http.endpoints import ENDPOINTS, Endpoint
from api_anomaly.http.state import HttpState
from api_anomaly.settings import Settings


@pytest.fixture()
def app(tmp_path: Path) -> FastAPI:
    """The service with one more endpoint, whose handler fails."""

    async def broken(_request: Request, _state: HttpState) -> Response:
        raise RuntimeError("a secret of a user")

    settings = Settings(
        auth_token=("a-token-of-the-tests",),
        model_path=tmp_path / "models" / "m.pkl",
        scaler_path=tmp_path / "models" / "s.pkl",
        log_file=tmp_path / "journal.log",
        memory_entities=500,
    )
    return create_app(settings, (*ENDPOINTS, Endpoint("GET", "/broken", broken, None, str)))


@pytest.fixture()
def client(serve_app, app: FastAPI) -> Iterator[httpx.Client]:
    with serve_app(app) as client:
        yield client


def test_an_unexpected_error_is_a_500_with_a_code_and_no_details(client: httpx.Client) -> None:
    response = client.get("/broken")
    assert response.status_code == 500
    assert response.json()["code"] == "internal_error"
    assert "secret" not in response.text


def test_an_unexpected_error_is_counted(client: httpx.Client) -> None:
    client.get("/broken")
    sample = 'api_requests_total{endpoint="/broken",method="GET",status="500"} 1.0'
    assert sample in client.get("/metrics").text


def test_an_unexpected_error_is_in_the_journal_with_the_request_id_and_without_its_message(
    client: httpx.Client, tmp_path: Path
) -> None:
    response = client.get("/broken")
    journal = (tmp_path / "journal.log").read_text()
    entries = [json.loads(line) for line in journal.splitlines()]
    (entry,) = [entry for entry in entries if entry["level"] == "ERROR"]
    assert entry["error"] == "RuntimeError"
    assert entry["request_id"] == response.headers["x-request-id"]
    assert "secret" not in journal


def test_a_client_that_disconnects_during_its_body_is_counted_as_499(client: httpx.Client) -> None:
    with socket.create_connection((client.base_url.host, client.base_url.port)) as connection:
        connection.sendall(
            b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
            b"Authorization: Bearer a-token-of-the-tests\r\n\r\nhalf a body"
        )
    for _ in range(5_000):
        if 'endpoint="/detect",method="POST",status="499"} 1.0' in client.get("/metrics").text:
            break
    else:
        pytest.fail("the request was not counted")


def test_an_app_without_its_lifespan_says_that_it_was_not_started(app: FastAPI) -> None:
    async def nothing(*_: object) -> None:
        return None

    scope = {"type": "http", "method": "GET", "path": "/health", "headers": []}
    with pytest.raises(RuntimeError, match="was not started"):
        asyncio.run(app(scope, nothing, nothing))


def test_every_response_has_its_own_request_id(client: httpx.Client) -> None:
    first, second = client.get("/health"), client.get("/nowhere")
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


def test_a_request_id_of_the_client_is_kept(client: httpx.Client) -> None:
    own = "0123abcd-0123-0123-0123-0123456789ab"
    response = client.get("/health", headers={"X-Request-ID": own})
    assert response.headers["x-request-id"] == own


def test_a_request_id_that_could_be_personal_data_is_replaced(client: httpx.Client) -> None:
    response = client.get("/health", headers={"X-Request-ID": "alice@example.org"})
    assert re.fullmatch("[0-9a-f]{16}", response.headers["x-request-id"])


def test_metric_labels_are_route_templates_and_known_methods_only(client: httpx.Client) -> None:
    client.get("/nowhere/of/user-17")
    client.get("/detect?user=17")
    client.request("PROPFIND", "/health")
    client.get("/status")
    labels = set(re.findall(r"api_requests_total\{([^}]*)\}", client.get("/metrics").text))
    assert labels == {
        'endpoint="unmatched",method="GET",status="404"',
        'endpoint="/detect",method="GET",status="405"',
        'endpoint="/health",method="other",status="405"',
        'endpoint="/status",method="GET",status="200"',
    }


@pytest.mark.parametrize(
    "path", ["/health", "/metrics", "/status", "/nowhere", "/docs", "/openapi.json"]
)
def test_every_response_has_security_headers(client: httpx.Client, path: str) -> None:
    headers = client.get(path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["cache-control"] == "no-store"
    assert headers["content-security-policy"].startswith("default-src 'none'")
    assert "strict-transport-security" not in headers  # browsers ignore it without TLS


def test_other_origins_are_not_allowed(client: httpx.Client) -> None:
    headers = {"Origin": "https://ops.example.org", "Access-Control-Request-Method": "POST"}
    assert client.options("/detect", headers=headers).status_code == 405
    response = client.get("/health", headers=headers)
    assert "access-control-allow-origin" not in response.headers


def test_only_the_configured_origins_are_allowed(serve) -> None:
    headers = {"Origin": "https://ops.example.org", "Access-Control-Request-Method": "POST"}
    with serve(cors_origins=("https://ops.example.org",)) as client:
        allowed = client.options("/detect", headers=headers)
        assert allowed.headers["access-control-allow-origin"] == "https://ops.example.org"
        response = client.get("/health", headers=headers)
        assert response.headers["access-control-allow-origin"] == "https://ops.example.org"
        other = client.get("/health", headers={"Origin": "https://evil.example.org"})
        assert "access-control-allow-origin" not in other.headers
