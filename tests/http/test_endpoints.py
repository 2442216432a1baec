"""The table of endpoints: what is derived from it agrees with what clients get."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import TypeAdapter

from api_anomaly.errors import AnomalyError
from api_anomaly.http import responses
from api_anomaly.http.app import create_app
from api_anomaly.http.auth.scopes import ADMIN, FEEDBACK, INGEST, METRICS, SCOPES, TRAIN, allows
from api_anomaly.http.auth.token_file import main
from api_anomaly.http.endpoints import (
    ENDPOINTS,
    Endpoint,
    errors_markdown_table,
    markdown_table,
)
from api_anomaly.http.openapi import error_statuses
from api_anomaly.http.problems import PROBLEMS, example_of
from api_anomaly.settings import Settings
from tests.support.paths import ROOT

#: Codes of errors that only journal and metrics report.
NO_RESPONSE = ("snapshot_rejected", "token_file_invalid")

each_endpoint = pytest.mark.parametrize(
    "endpoint", ENDPOINTS, ids=lambda endpoint: f"{endpoint.method} {endpoint.path}"
)


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The OpenAPI document."""
    folder = tmp_path_factory.mktemp("document")
    settings = Settings(auth_token=("a-token-of-the-tests",), model_path=folder / "m.pkl")
    return create_app(settings).openapi()


#: Endpoints that need no token: they say nothing about anybody, and take nothing.
OPEN = {
    "/.well-known/fastly/logging/challenge",
    "/health",
    "/ingest",  # its OPTIONS
    "/ready",
    "/services/collector/health",
    "/services/collector/health/1.0",
}


def test_every_endpoint_except_the_open_ones_needs_a_token(serve) -> None:
    with serve() as client:
        del client.headers["Authorization"]
        for endpoint in ENDPOINTS:
            response = client.request(endpoint.method, endpoint.path)
            open_ = endpoint.scope in (None, METRICS)
            assert (response.status_code == 401) != open_, endpoint.path


def test_few_endpoints_need_no_scope_and_only_health_is_served_under_overload() -> None:
    assert {e.path for e in ENDPOINTS if e.scope is None} == OPEN
    assert [e.path for e in ENDPOINTS if e.always_served] == ["/health"]


def test_every_request_that_changes_the_model_is_audited() -> None:
    assert {e.path for e in ENDPOINTS if e.audited} == {
        "/train",
        "/load-model",
        "/feedback",
        "/subjects/{subject}",
    }


def test_every_scope_is_needed_by_an_endpoint() -> None:
    assert {e.scope for e in ENDPOINTS} - {None, METRICS} == set(SCOPES)


def test_every_operation_has_an_id_of_its_own() -> None:
    ids = [endpoint.id(method) for endpoint in ENDPOINTS for method in endpoint.methods]
    assert len(ids) == len(set(ids))


def test_giving_feedback_is_part_of_training_and_of_nothing_else() -> None:
    holders = {scope for scope in SCOPES if allows(frozenset((scope,)), FEEDBACK)}
    assert holders == {FEEDBACK, TRAIN, ADMIN}
    assert {scope for scope in SCOPES if allows(frozenset((scope,)), INGEST)} == {INGEST, ADMIN}


@pytest.mark.parametrize("scope", SCOPES)
def test_a_token_allows_what_its_scopes_say_and_nothing_else(
    serve, tmp_path: Path, capsys: pytest.CaptureFixture[str], scope: str
) -> None:
    assert main(["somebody", scope, "--file", str(tmp_path / "tokens")]) == 0
    token = capsys.readouterr().err.split()[-1]
    headers = {"Authorization": f"Bearer {token}"}
    with serve(auth_token=(), tokens_file=tmp_path / "tokens", metrics_token=("m" * 30,)) as client:
        for endpoint in ENDPOINTS:
            if endpoint.scope is None:
                continue
            response = client.request(endpoint.method, endpoint.path, headers=headers)
            allowed = allows(frozenset((scope,)), endpoint.scope)
            assert (response.status_code != 403) == allowed, endpoint.path
            if not allowed and not endpoint.foreign_errors and endpoint.method != "HEAD":
                assert response.json()["code"] == "forbidden"


def test_every_named_error_has_a_status_and_an_example() -> None:
    def subclasses(error: type[AnomalyError]) -> Iterator[type[AnomalyError]]:
        for child in error.__subclasses__():
            yield child
            yield from subclasses(child)

    answered = {error for error in subclasses(AnomalyError) if error.code not in NO_RESPONSE}
    assert answered == set(PROBLEMS)
    for error, problem in PROBLEMS.items():
        assert 400 <= problem.status < 600
        kind = list if problem.status == 422 else str
        example = example_of(error)
        assert isinstance(example["detail"], kind) and example["detail"] and example["code"]


def test_every_named_error_is_listed_by_an_endpoint() -> None:
    assert {error for endpoint in ENDPOINTS for error in endpoint.all_errors} == set(PROBLEMS)


# --- the OpenAPI document and the table in the docs ---------------------------------------------


@each_endpoint
def test_the_document_describes_the_endpoint(document: dict[str, Any], endpoint: Endpoint) -> None:
    for method in endpoint.methods:
        check_operation(document["paths"][endpoint.path][method.lower()], endpoint, method)


def check_operation(operation: dict[str, Any], endpoint: Endpoint, method: str) -> None:
    assert operation["description"] == endpoint.description
    assert operation["operationId"] == endpoint.id(method)
    statuses = {endpoint.success, *error_statuses(endpoint)}
    assert set(operation["responses"]) == set(map(str, statuses))
    has_body = endpoint.request is not None or bool(endpoint.media_types)
    assert ("requestBody" in operation) == has_body
    names = [parameter["name"] for parameter in operation.get("parameters", ())]
    assert names == [*endpoint.path_parameters] + ["Idempotency-Key"] * endpoint.idempotent
    security = {None: None, METRICS: [{}, {"bearer": []}]}
    assert operation.get("security") == security.get(endpoint.scope, [{"bearer": []}])


@each_endpoint
def test_the_example_of_a_request_follows_its_schema(endpoint: Endpoint) -> None:
    assert (endpoint.example is not None) == (endpoint.request is not None)
    if endpoint.request is not None:
        TypeAdapter(endpoint.request).validate_json(json.dumps(endpoint.example))


def test_the_document_has_no_other_paths_and_no_broken_references(
    document: dict[str, Any],
) -> None:
    assert set(document["paths"]) == {endpoint.path for endpoint in ENDPOINTS}
    references = set(re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document)))
    assert references <= set(document["components"]["schemas"])
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"


def test_the_documentation_pages_are_served(serve) -> None:
    with serve() as client:
        for path in ("/docs", "/redoc", "/openapi.json"):
            assert client.get(path).status_code == 200


@pytest.mark.parametrize("table", [markdown_table(), errors_markdown_table()])
def test_the_tables_of_the_docs_are_the_generated_ones(table: str) -> None:
    assert table in (ROOT / "docs" / "api.md").read_text("utf-8")


def test_every_response_follows_its_schema(serve, logs) -> None:
    unusual = [
        log | {"endpoint": "/" + "A" * 3_000, "status_code": 500} for log in logs(30, seed=5)
    ]
    with serve() as client:

        def detect(**options: Any) -> Any:
            return client.post("/detect", json={"logs": unusual} | options)

        answered = [
            (responses.StatusResponse, client.get("/status")),
            (responses.HealthResponse, client.get("/health")),
            (responses.ReadyResponse, client.get("/ready")),
            (responses.ProblemResponse, client.post("/detect", json={"logs": []})),
            (responses.TrainResponse, client.post("/train", json={"logs": logs(200)})),
            (responses.DetectResponse, detect(threshold=0.0)),
            (responses.DetectResponse, detect(include_scores=True, include_rules=True)),
            (responses.ValidationProblemResponse, detect(logs=[{}] * 200)),
            (
                responses.ValidationProblemResponse,
                client.post("/train", json={"logs": logs(3)}),
            ),
            (responses.StatusResponse, client.get("/status")),
            (responses.LoadResponse, client.post("/load-model")),
        ]
    for shape, response in answered:
        adapter = TypeAdapter(shape)
        adapter.validate_json(response.content)
        schema = adapter.json_schema(mode="serialization")
        assert set(schema["required"]) <= set(response.json()) <= set(schema["properties"])
