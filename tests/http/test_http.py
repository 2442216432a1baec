"""What the framework around the endpoints promises: errors, ids, metrics, the document."""

import asyncio
import json
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import TypeAdapter
from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.errors import AnomalyError
from api_anomaly.http import responses as answers
from api_anomaly.http.app import create_app
from api_anomaly.http.endpoints import ENDPOINTS
from api_anomaly.http.problems import PROBLEMS
from api_anomaly.settings import Settings

#: Codes of errors that only journal and metrics tell.
NO_ANSWERS = ("snapshot_rejected", "token_file_invalid")


@pytest.fixture()
def app(tmp_path: Path) -> FastAPI:
    return create_app(
        Settings(
            auth_token=("a-token-of-the-tests",),
            model_path=tmp_path / "models" / "m.pkl",
            scaler_path=tmp_path / "models" / "s.pkl",
            log_file=tmp_path / "journal.log",
            memory_entities=500,
        )
    )


@pytest.mark.parametrize("endpoint", ENDPOINTS, ids=lambda endpoint: endpoint.path)
def test_every_endpoint_but_the_open_two_needs_a_token(serve, endpoint) -> None:
    with serve() as client:
        del client.headers["Authorization"]
        answer = client.request(endpoint.method, endpoint.path)
    assert (answer.status_code == 401) == endpoint.guarded
    assert endpoint.guarded == (endpoint.path not in ("/health", "/metrics"))


def test_every_named_error_has_a_status_and_one_shape() -> None:
    def named(error: type[AnomalyError]) -> Iterator[type[AnomalyError]]:
        for child in error.__subclasses__():
            yield child
            yield from named(child)

    known = {error for error in named(AnomalyError) if error.code not in NO_ANSWERS}
    assert known == set(PROBLEMS)
    assert all(400 <= problem.status < 600 for problem in PROBLEMS.values())


@contextmanager
def with_broken_endpoint(serve_app: Any, app: FastAPI) -> Iterator[httpx.Client]:
    async def broken(request: Request) -> Response:
        raise RuntimeError("a secret of a user")

    app.router.add_api_route("/broken", broken, response_model=None)
    with serve_app(app) as client:
        yield client


def test_an_unexpected_error_is_a_500_with_a_code_and_tells_nothing(
    serve_app, app: FastAPI, tmp_path: Path
) -> None:
    with with_broken_endpoint(serve_app, app) as client:
        answer = client.get("/broken")
        text = client.get("/metrics").text
    assert answer.status_code == 500
    assert answer.json()["code"] == "internal_error"
    assert "secret" not in answer.text
    assert 'api_requests_total{endpoint="/broken",method="GET",status="500"} 1.0' in text
    journal = (tmp_path / "journal.log").read_text()
    entries = [json.loads(line) for line in journal.splitlines()]
    (entry,) = [entry for entry in entries if entry["level"] == "ERROR"]
    assert entry["error"] == "RuntimeError"
    assert entry["request_id"] == answer.headers["x-request-id"]
    assert "secret" not in journal


def test_a_caller_who_leaves_in_the_middle_of_a_body_is_counted_as_gone(serve) -> None:
    with serve() as client:
        with socket.create_connection((client.base_url.host, client.base_url.port)) as caller:
            caller.sendall(
                b"POST /detect HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n"
                b"Authorization: Bearer a-token-of-the-tests\r\n\r\nhalf a body"
            )
        for _ in range(5_000):
            if 'endpoint="/detect",method="POST",status="499"} 1.0' in client.get("/metrics").text:
                break
        else:
            pytest.fail("the request was not counted")


def test_an_app_that_was_not_started_says_so(app: FastAPI) -> None:
    async def nothing(*_: object) -> None:
        return None

    scope = {"type": "http", "method": "GET", "path": "/health", "headers": []}
    with pytest.raises(RuntimeError, match="was not started"):
        asyncio.run(app(scope, nothing, nothing))


def test_every_answer_has_an_id_and_a_callers_own_is_kept_when_it_is_one(serve) -> None:
    with serve() as client:
        first, second = client.get("/health"), client.get("/nowhere")
        assert first.headers["x-request-id"] != second.headers["x-request-id"]
        own = "0123abcd-0123-0123-0123-0123456789ab"
        kept = client.get("/health", headers={"X-Request-ID": own})
        assert kept.headers["x-request-id"] == own
        odd = client.get("/health", headers={"X-Request-ID": "alice@example.org"})
        assert re.fullmatch("[0-9a-f]{16}", odd.headers["x-request-id"])


def test_labels_are_route_templates_and_known_methods_only(serve) -> None:
    with serve() as client:
        client.get("/nowhere/of/user-17")
        client.get("/detect?user=17")
        client.request("PROPFIND", "/health")
        client.get("/status")
        text = client.get("/metrics").text
    labels = set(re.findall(r"api_requests_total\{([^}]*)\}", text))
    assert labels == {
        'endpoint="unmatched",method="GET",status="404"',
        'endpoint="/detect",method="GET",status="405"',
        'endpoint="/health",method="other",status="405"',
        'endpoint="/status",method="GET",status="200"',
    }
    assert "user" not in "".join(labels)


def test_the_document_describes_every_endpoint_its_body_and_all_its_answers(serve) -> None:
    with serve() as client:
        document = client.get("/openapi.json").json()
        assert client.get("/docs").status_code == 200
    assert set(document["paths"]) == {endpoint.path for endpoint in ENDPOINTS}
    for endpoint in ENDPOINTS:
        operation = document["paths"][endpoint.path][endpoint.method.lower()]
        assert operation["description"]
        assert set(operation["responses"]) == {"200", *map(str, endpoint.statuses)}
        assert ([{"bearer": []}] == operation.get("security")) == endpoint.guarded
        assert ("requestBody" in operation) == (endpoint.body is not None)
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert references <= set(document["components"]["schemas"])
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_every_answer_follows_its_schema(serve, logs) -> None:
    odd = [log | {"endpoint": "/" + "A" * 3_000, "status_code": 500} for log in logs(30, seed=5)]
    with serve() as client:
        told = [
            (answers.StatusAnswer, client.get("/status")),
            (answers.Health, client.get("/health")),
            (answers.ProblemResponse, client.post("/detect", json={"logs": []})),
            (answers.TrainAnswer, client.post("/train", json={"logs": logs(200)})),
            (answers.DetectAnswer, client.post("/detect", json={"logs": odd, "threshold": 0.0})),
            (
                answers.DetectAnswer,
                client.post("/detect", json={"logs": odd, "include_scores": True}),
            ),
            (answers.RefusedBody, client.post("/detect", json={"logs": [{}] * 200})),
            (answers.RefusedBody, client.post("/train", json={"logs": logs(3)})),
            (answers.StatusAnswer, client.get("/status")),
            (answers.LoadAnswer, client.post("/load-model")),
        ]
    for shape, answer in told:
        adapter = TypeAdapter(shape)
        adapter.validate_json(answer.content)
        schema = adapter.json_schema(mode="serialization")
        assert set(schema["required"]) <= set(answer.json()) <= set(schema["properties"])
