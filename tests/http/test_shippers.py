"""What log shippers send is taken, and answered as each expects."""

import gzip
import json
import zlib
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cramjam
import httpx
import pytest
import zstandard
from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.errors import (
    AnomalyError,
    BodyTooSlow,
    Overloaded,
    StorageFailed,
    TooManyAttempts,
)
from api_anomaly.http.app import create_app
from api_anomaly.http.endpoints import ENDPOINTS
from api_anomaly.http.problems import problem_response
from api_anomaly.http.routes import Routes
from api_anomaly.settings import Settings
from tests.support.paths import DATA
from tests.support.server import TOKEN

WIRE = DATA / "formats" / "wire"
BODIES = sorted(path.name.removesuffix(".request.json") for path in WIRE.glob("*.request.json"))


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory, serve_app) -> Iterator[httpx.Client]:
    """A client without a token of a service without a model."""
    folder: Path = tmp_path_factory.mktemp("shippers")
    settings = Settings(
        auth_token=(TOKEN,),
        model_path=folder / "models" / "isolation_forest.pkl",
        scaler_path=folder / "models" / "scaler.pkl",
        log_file=folder / "logs" / "journal.log",
        memory_entities=500,
    )
    with serve_app(create_app(settings)) as connected:
        del connected.headers["Authorization"]
        yield connected


# --- Requests as the shippers send them ----------------------------------------------------------


def with_token(headers: dict[str, str]) -> dict[str, str]:
    """The headers with a token of ours where the recorded ones have a stand-in."""
    encoded = b64encode(b"elastic:TOKEN").decode()
    ours = b64encode(f"elastic:{TOKEN}".encode()).decode()
    named = {
        name: value.replace("TOKEN", TOKEN).replace(encoded, ours)
        for name, value in headers.items()
    }
    if not {"authorization", "x-amz-firehose-access-key"} & set(named):
        named["authorization"] = f"Bearer {TOKEN}"
    return named


def check_answer(expected: Any, response: httpx.Response) -> None:
    if isinstance(expected, str):
        no_body = expected.startswith("204")
        assert response.status_code == (204 if no_body else 200)
        assert (response.content == b"") == no_body
        return
    assert response.status_code == expected["status"]
    assert response.headers["content-type"] == expected.get("content-type", "application/json")
    answer = response.json()
    if "timestamp" in answer:
        assert isinstance(answer["timestamp"], int) and answer["timestamp"] > 1.7e12
        expected["body"]["timestamp"] = answer["timestamp"]
    assert {name: answer[name] for name in expected["body"]} == expected["body"]
    assert "content-encoding" not in response.headers


def ingested(client: httpx.Client) -> float:
    """How many logs the service has taken."""
    lines = client.get("/metrics").text.splitlines()
    return float(next(line for line in lines if line.startswith("logs_ingested_total")).split()[1])


@pytest.mark.skipif(not BODIES, reason="the recorded requests are not beside the project")
@pytest.mark.parametrize("name", BODIES)
def test_a_recorded_request_gets_the_answer_that_its_shipper_needs(client, name: str) -> None:
    request = json.loads((WIRE / f"{name}.request.json").read_text("utf-8"))
    rows = json.loads((WIRE / f"{name}.expected.json").read_text("utf-8"))
    certain = [row for row in rows if row.get("expected") and not row.get("optional")]
    before = ingested(client)
    response = client.request(
        request["method"],
        request["path"],
        headers=with_token(request["headers"]),
        content=(WIRE / name).read_bytes(),
    )
    check_answer(request["answer"], response)
    assert len(certain) <= ingested(client) - before <= len(rows)


# --- What else each protocol promises -------------------------------------------------------------

LINE = (
    '192.0.2.7 - alice [10/Oct/2024:13:55:36 +0000] "GET /api/v1/things?page={page} HTTP/1.1" 200 5'
    ' "-" "curl/8.5"'
)
LINES = [LINE.format(page=page) for page in range(3)]
BEARER = {"Authorization": f"Bearer {TOKEN}"}


def hec(*events: Any) -> str:
    return "".join(json.dumps({"event": event}) for event in events)


def bulk(*documents: Any) -> str:
    action = json.dumps({"create": {}})
    return "".join(f"{action}\n{json.dumps(document)}\n" for document in documents)


def push(*lines: str) -> dict[str, Any]:
    values = [[str(1_728_568_536 * 10**9 + i), line] for i, line in enumerate(lines)]
    return {"streams": [{"stream": {"job": "nginx"}, "values": values}]}


def records(*lines: str, request_id: str = "r-1") -> dict[str, Any]:
    data = [{"data": b64encode(line.encode()).decode()} for line in lines]
    return {"requestId": request_id, "timestamp": 1_728_568_536_000, "records": data}


def resource_logs(*bodies: str) -> dict[str, Any]:
    found = [{"timeUnixNano": "0", "body": {"stringValue": body}} for body in bodies]
    return {"resourceLogs": [{"scopeLogs": [{"logRecords": found}]}]}


@pytest.mark.parametrize(
    ("path", "method", "answer"),
    [
        ("/elastic", "GET", {"tagline": "You Know, for Search"}),
        ("/elastic/", "GET", {"tagline": "You Know, for Search"}),
        ("/elastic/_license", "GET", {}),
        ("/elastic/_cluster/health", "GET", {"status": "green"}),
        ("/elastic/_index_template/logs", "GET", {}),
        ("/elastic/_ilm/policy/logs", "PUT", {"acknowledged": True}),
        ("/elastic/", "HEAD", None),
        ("/elastic/elastic", "HEAD", None),
        ("/elastic/_template/logs", "HEAD", None),
    ],
)
def test_shippers_of_elasticsearch_find_what_they_ask_for(client, path, method, answer) -> None:
    response = client.request(method, path, headers=BEARER)
    assert response.status_code == 200
    assert response.headers["x-elastic-product"] == "Elasticsearch"
    if answer is None:
        assert response.content == b""
    else:
        assert answer.items() <= response.json().items()


def test_the_version_is_one_that_logstash_and_elasticsearchs_clients_accept(client) -> None:
    version = client.get("/elastic/", headers=BEARER).json()["version"]
    assert (version["number"].split(".")[0], version["build_flavor"]) == ("8", "default")
    assert client.get("/elastic/_license", headers=BEARER).json()["license"]["status"] == "active"


@pytest.mark.parametrize("method", ["POST", "PUT"])
@pytest.mark.parametrize("path", ["/elastic/_bulk", "/elastic/_bulk/", "/elastic/logs/_bulk"])
def test_documents_that_are_no_logs_have_errors_in_their_items(client, path, method) -> None:
    documents = ({"message": LINES[0]}, {"message": "no log at all"}, {"message": LINES[1]})
    response = client.request(method, path, content=bulk(*documents), headers=BEARER)
    assert response.status_code == 200
    assert response.text.startswith('{"took":') and ',"errors":true,"items":[' in response.text
    items = [item["create"] for item in response.json()["items"]]
    assert [item["status"] for item in items] == [201, 400, 201]
    assert items[1]["error"]["type"] == "document_parsing_exception" and items[1]["error"]["reason"]


def test_a_bulk_without_any_log_has_an_error_in_each_item(client) -> None:
    documents = [{"message": f"no log {i}"} for i in range(30)]
    response = client.post("/elastic/_bulk", content=bulk(*documents), headers=BEARER)
    assert [item["create"]["status"] for item in response.json()["items"]] == [400] * 30


def test_fluent_bit_sees_no_errors_of_items(client) -> None:
    content = bulk({"message": LINES[0]}, {"message": "no log at all"})
    headers = BEARER | {"User-Agent": "Fluent-Bit"}
    answer = client.post("/elastic/_bulk", content=content, headers=headers).json()
    assert answer["errors"] is False
    assert [item["create"]["status"] for item in answer["items"]] == [201, 201]


SPLUNK = {"Authorization": f"Splunk {TOKEN}"}


@pytest.mark.parametrize("path", ["", "/event", "/event/1.0"])
def test_splunk_events_are_taken(client, path: str) -> None:
    url = f"/services/collector{path}"
    response = client.post(url, content=hec(LINES[0], "no log at all"), headers=SPLUNK)
    assert (response.status_code, response.json()) == (200, {"text": "Success", "code": 0})


@pytest.mark.parametrize("path", ["/raw", "/raw/1.0"])
def test_splunk_raw_lines_are_taken(client, path: str) -> None:
    url = f"/services/collector{path}?channel=00000000-0000-0000-0000-000000000000"
    response = client.post(url, content="\n".join(LINES), headers=SPLUNK)
    assert (response.status_code, response.json()) == (200, {"text": "Success", "code": 0})


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        ({"url": "", "content": hec(LINES[0])}, 401, 2),
        ({"url": "?token=" + TOKEN, "content": hec(LINES[0])}, 400, 16),
        ({"url": "", "headers": {"Authorization": "Splunk wrong"}, "content": "{}"}, 403, 4),
        ({"url": "", "headers": SPLUNK, "content": " \n"}, 400, 5),
        ({"url": "", "headers": SPLUNK, "content": "{"}, 400, 6),
        ({"url": "", "headers": SPLUNK, "content": hec("no log at all")}, 400, 6),
        ({"url": "/ack", "headers": SPLUNK, "content": "{}"}, 400, 14),
        ({"url": "/raw", "headers": SPLUNK | {"Content-Encoding": "br"}}, 415, 6),
    ],
)
def test_splunk_errors_have_the_collectors_codes(client, request_, status, code) -> None:
    url = "/services/collector" + request_.pop("url")
    response = client.post(url, **request_)
    assert (response.status_code, response.json()["code"]) == (status, code)
    assert response.json()["text"]


def test_a_broken_splunk_event_is_named(client) -> None:
    for content, code in (('{"event": ', 6), ('{"time": 1}', 12), ('{"event": ""}', 13)):
        response = client.post("/services/collector", content=content, headers=SPLUNK)
        assert response.status_code == 400
        assert (response.json()["code"], response.json()["invalid-event-number"]) == (code, 0)


@pytest.mark.parametrize("path", ["", "/1.0"])
def test_the_collectors_health_needs_no_token(client, path: str) -> None:
    response = client.get(f"/services/collector/health{path}")
    assert (response.status_code, response.json()["code"]) == (200, 17)


def test_loki_pushes_with_some_logs_succeed_and_others_are_told_why(client) -> None:
    url = "/loki/api/v1/push"
    assert client.post(url, json=push(*LINES, "no log"), headers=BEARER).status_code == 204
    for body in (push("no log at all", "nor this"), "junk", []):
        response = client.post(url, json=body, headers=BEARER)
        assert response.status_code == 400 and response.text
        assert response.headers["content-type"].startswith("text/plain")
    headers = BEARER | {"Content-Type": "application/x-protobuf"}
    assert client.post(url, content=b"no snappy", headers=headers).status_code == 400
    assert client.get("/ready").status_code == 200


def test_a_retry_of_firehose_is_not_taken_twice(client) -> None:
    before = ingested(client)
    for moment in (1, 2):
        body = records(*LINES, request_id="again") | {"timestamp": moment}
        headers = {"X-Amz-Firehose-Access-Key": TOKEN}
        assert client.post("/firehose", json=body, headers=headers).status_code == 200
    assert ingested(client) - before == len(LINES)


def test_firehose_answers_have_its_shape_whatever_happens(client) -> None:
    key = {"X-Amz-Firehose-Access-Key": TOKEN, "X-Amz-Firehose-Request-Id": "r-9"}
    body = records(*LINES, request_id="r-9")
    cases = [
        (key, body, 200),
        (key, body, 200),  # a retry
        (key | {"X-Amz-Firehose-Access-Key": "wrong"}, body, 401),
        (key, "no envelope", 400),
        (key, records("no log at all", request_id="r-9"), 400),
    ]
    for headers, content, status in cases:
        response = client.post("/firehose", json=content, headers=headers)
        answer = response.json()
        assert (response.status_code, answer["requestId"]) == (status, "r-9")
        assert isinstance(answer["timestamp"], int)
        assert ("errorMessage" in answer) == (status != 200)
        assert "content-length" in response.headers


# --- OTLP, checked with the protocol's own messages ----------------------------------------------

JSON = BEARER | {"Content-Type": "application/json"}
PROTOBUF = BEARER | {"Content-Type": "application/x-protobuf"}


def test_otlp_records_that_are_no_requests_are_counted_in_the_answer(client) -> None:
    response = client.post("/v1/logs", json=resource_logs(*LINES, "no log"), headers=JSON)
    partial = response.json()["partialSuccess"]
    assert (response.status_code, partial["rejectedLogRecords"]) == (200, "1")
    assert partial["errorMessage"]
    everything = client.post("/v1/logs", json=resource_logs("no", "log"), headers=JSON)
    assert everything.status_code == 200
    assert everything.json()["partialSuccess"]["rejectedLogRecords"] == "2"
    for nothing in ({}, {"resourceLogs": []}):
        response = client.post("/v1/logs", json=nothing, headers=JSON)
        assert (response.status_code, response.content) == (200, b"{}")


def test_otlp_protobuf_is_answered_in_protobuf(client) -> None:
    service = pytest.importorskip("opentelemetry.proto.collector.logs.v1.logs_service_pb2")
    request = service.ExportLogsServiceRequest()
    found = request.resource_logs.add().scope_logs.add().log_records
    for line in (*LINES, *["no log"] * 200):
        found.add().body.string_value = line
    response = client.post("/v1/logs", content=request.SerializeToString(), headers=PROTOBUF)
    assert response.headers["content-type"] == "application/x-protobuf"
    partial = service.ExportLogsServiceResponse.FromString(response.content).partial_success
    assert (response.status_code, partial.rejected_log_records) == (200, 200)
    assert partial.error_message
    del found[3:]
    response = client.post("/v1/logs", content=request.SerializeToString(), headers=PROTOBUF)
    assert (response.status_code, response.content) == (200, b"")
    assert client.post("/v1/logs", content=b"", headers=PROTOBUF).status_code == 200


def test_otlp_errors_are_a_status_in_the_encoding_of_the_request(client) -> None:
    for headers, status, code in ((JSON, 400, 3), ({"Content-Type": "application/json"}, 401, 16)):
        response = client.post("/v1/logs", content=b"{", headers=headers)
        assert (response.status_code, response.json()["code"]) == (status, code)
        assert response.json()["message"]
    response = client.post("/v1/logs", content=b"\xff\xff", headers=PROTOBUF)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/x-protobuf"
    message = response.content[4:].decode()
    assert response.content[:4] == bytes((0x08, 3, 0x12, len(message)))


@pytest.mark.parametrize("signal", ["traces", "metrics"])
def test_other_signals_of_opentelemetry_are_not_found(client, signal: str) -> None:
    assert client.post(f"/v1/{signal}", json={}, headers=BEARER).status_code == 404


# --- Handshakes, encodings, overload -------------------------------------------------------------


def test_fastly_and_cloudevents_may_send(client) -> None:
    assert client.get("/.well-known/fastly/logging/challenge").text == "*\n"
    asked = client.options("/ingest", headers={"WebHook-Request-Origin": "events.example.com"})
    assert (asked.status_code, asked.headers["webhook-allowed-origin"]) == (204, "*")
    assert "webhook-allowed-origin" not in client.options("/ingest").headers


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "deflate", "snappy", "lz4"])
def test_batches_come_in_every_encoding(client, encoding: str) -> None:
    content = ENCODERS[encoding](hec(*LINES).encode())
    headers = SPLUNK | {"Content-Encoding": encoding}
    assert client.post("/services/collector", content=content, headers=headers).status_code == 200


ENCODERS = {
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "deflate": zlib.compress,
    "snappy": lambda body: bytes(cramjam.snappy.compress_raw(body)),
    "lz4": lambda body: bytes(cramjam.lz4.compress(body)),
}
#: By address: a request that is refused, and what the answer to it has.
REFUSED = {
    "/v1/logs": (JSON, lambda body: body["code"]),
    "/elastic/_bulk": (BEARER, lambda body: body["error"]["type"]),
    "/services/collector": (SPLUNK, lambda body: body["code"]),
    "/firehose": (BEARER, lambda body: body["errorMessage"]),
}


def test_too_large_bodies_are_refused_in_the_protocols_shape(serve) -> None:
    with serve(max_body_bytes=1_000) as client:
        for path in (*REFUSED, "/loki/api/v1/push"):
            headers, read = REFUSED.get(path, (JSON, None))
            response = client.post(path, content=b"x" * 2_000, headers=headers)
            assert response.status_code == 413
            assert read is None or read(response.json())


def problem(path: str, error: AnomalyError) -> Response:
    """How the endpoint at `path` answers `error`."""
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": []}
    found = Routes(ENDPOINTS).find("POST", path)
    assert found is not None
    return found.endpoint.refuse(Request(scope), error, problem_response(error))


@pytest.mark.parametrize("path", [*REFUSED, "/loki/api/v1/push"])
@pytest.mark.parametrize("error", [Overloaded, BodyTooSlow, TooManyAttempts, StorageFailed])
def test_what_may_pass_is_a_503_with_retry_after(path: str, error: type[AnomalyError]) -> None:
    response = problem(path, error("later"))
    assert response.status_code == 503 and int(response.headers["retry-after"]) > 0


def test_a_busy_collector_says_so_with_its_own_code() -> None:
    assert json.loads(problem("/services/collector", Overloaded("later")).body)["code"] == 9
