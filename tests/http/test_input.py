"""Any input gets a response below 500 or a closed connection, and harms nothing."""

import gzip
import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api_anomaly.http.app import create_app
from api_anomaly.settings import Settings
from benchmarks.service import Service

TOKEN = "a-token-of-the-tests"
EDGES = (
    *("0", "-0", "-0.0", "1", "-1", "0.1", "5e-324", "1e308", "-1e308", "1e400", "-1e400"),
    *("9007199254740993", str(2**31), str(2**63), str(2**64), "1" + "0" * 400, "0." + "0" * 400),
    *('"1"', '""', "true", "null", "[]", "{}", "NaN", "Infinity", "1e", "0x10", "١"),
)
NUMBERS = ("timestamp", "status_code", "response_time", "request_size", "response_size", "label")
TIMES = (
    *("0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59.999999Z"),
    *("9999-12-31T23:59:59-14:00", "1970-01-01T00:00:00Z", "2038-01-19T03:14:08Z", "0000-01-01"),
    *("2024-02-30T00:00:00Z", "2024-06-30T23:59:60Z", "2024-01-01T24:00:00Z", "-62135596800"),
)


@pytest.fixture(scope="module")
def client(serve_app, logs, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A trained service, shared by the tests. At the end: no 5xx was sent."""
    folder = tmp_path_factory.mktemp("input")
    chosen = Settings(
        auth_token=(TOKEN,),
        model_path=folder / "m.pkl",
        scaler_path=folder / "s.pkl",
        log_file=folder / "journal.log",
        memory_entities=500,
        forest_trees=5,
        max_open_requests=10_000,
    )
    with serve_app(create_app(chosen)) as client:
        assert client.post("/train", json={"logs": logs(100)}).status_code == 200
        yield client
        text = client.get("/metrics").text
        assert 'status="5' not in text
        assert client.post("/detect", json={"logs": logs(3)}).status_code == 200


def log_with(field: str, value: str) -> bytes:
    """A log in JSON with raw text as one of its values."""
    log = {"timestamp": 1_700_000_000, "user_id": "u", "endpoint": "/", "method": "GET"}
    rest = json.dumps({name: given for name, given in log.items() if name != field})
    status = "" if field == "status_code" else '"status_code": 200, '
    return f'{{{status}"{field}": {value}, {rest[1:]}'.encode()


@pytest.mark.parametrize("field", NUMBERS)
def test_extreme_numbers_in_a_log_are_taken_or_refused(client: httpx.Client, field: str) -> None:
    for value in EDGES:
        for path in ("/detect", "/train"):
            content = b'{"logs": [' + b",".join([log_with(field, value)] * 12) + b"]}"
            answer = client.post(path, content=content)
            assert answer.status_code in (200, 422), (value, answer.text)
            json.loads(answer.text, parse_constant=pytest.fail)  # NaN and the like are no JSON
    assert client.get("/status").status_code == 200


@pytest.mark.parametrize("option", ["threshold", "test_size", "include_scores", "update_state"])
def test_extreme_options_are_taken_or_refused(client: httpx.Client, option: str) -> None:
    for value in EDGES:
        for path in ("/detect", "/train"):
            content = f'{{"logs": [], "{option}": {value}}}'.encode()
            assert client.post(path, content=content).status_code in (200, 422)


@pytest.mark.parametrize("time", TIMES)
def test_wrong_clocks_change_no_score_of_other_users(client: httpx.Client, logs, time: str) -> None:
    others = logs(20, start=1_700_300_000.0)
    batch = {"logs": others, "include_scores": True, "update_state": False}
    before = client.post("/detect", json=batch).json()["scores"]
    skewed = {"timestamp": time, "user_id": f"skewed-{time}", "endpoint": "/clock"}
    skewed |= {"method": "GET", "status_code": 200}
    sent = client.post("/detect", json={"logs": [skewed, *logs(1), skewed]})
    assert sent.status_code in (200, 422)
    after = client.post("/detect", json=batch).json()["scores"]
    assert max(abs(a - b) for a, b in zip(after, before, strict=True)) < 0.05


@pytest.mark.parametrize(
    "body",
    [
        b'{"logs": [], "logs": [{}]}',
        b'{"logs": [{}], "logs": []}',
        b'{"logs": [' + b'{"a":' * 50_000 + b"1" + b"}" * 50_000 + b"]}",
        b'{"logs": ' + b"[" * 500_000,
        b'{"logs": ["' + b"\\u0000" * 10_000 + b'"]}',
        b'{"logs": [{"user_id": "\xc3\x28"}]}',
        b'{"logs": [{"user_id": "\\ud83d"}]}',
        b'{"logs": []}' + b" " * 1_000_000,
        b'{"logs": []}\x00',
        b"\xff\xfe{\x00}\x00",
        b'{"' + b"k" * 1_000_000 + b'": 1, "logs": []}',
        b'{"logs": [' + b"0," * 200_000 + b"0]}",
    ],
    ids=range(12),
)
@pytest.mark.parametrize("path", ["/detect", "/train"])
def test_unusual_json_is_taken_or_refused(client: httpx.Client, path: str, body: bytes) -> None:
    assert client.post(path, content=body).status_code in (200, 413, 422)


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_truncated_or_changed_gzip_is_taken_or_refused(
    client: httpx.Client, logs, data: st.DataObject
) -> None:
    whole = gzip.compress(json.dumps({"logs": logs(3)}).encode())
    cut = data.draw(st.integers(0, len(whole)))
    changed = bytearray(whole[:cut])
    for _ in range(data.draw(st.integers(0, 3)) if changed else 0):
        changed[data.draw(st.integers(0, len(changed) - 1))] ^= data.draw(st.integers(1, 255))
    compressed = {"Content-Encoding": "gzip"}
    answer = client.post("/detect", content=bytes(changed), headers=compressed)
    assert answer.status_code in (200, 400, 422)


def test_gzip_bombs_nested_bombs_and_empty_members_stop_at_the_limit(client: httpx.Client) -> None:
    compressed = {"Content-Encoding": "gzip"}
    bomb = gzip.compress(b"\0" * 200_000_000)
    assert client.post("/detect", content=bomb, headers=compressed).status_code == 413
    assert (
        client.post("/detect", content=gzip.compress(bomb), headers=compressed).status_code == 422
    )
    parts = gzip.compress(b"") * 100_000
    assert client.post("/detect", content=parts, headers=compressed).status_code == 400


pieces = st.sampled_from(
    [
        *(
            b"GET ",
            b"POST ",
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
            b"/detect",
            b"/health",
            b"//",
            b"*",
        ),
        *(b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b" HTTP/9.9\r\n", b"\r\n", b"\r\n\r\n", b"\n", b"\0"),
        *(b"Host: x\r\n", b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"\xff", b": "),
        *(b"Content-Length: 99999999999999999999\r\n", b"Transfer-Encoding: chunked\r\n", b"{}"),
        *(b"5\r\nhello\r\n", b"0\r\n\r\n", b"ffffffffffffffff\r\n", b"Expect: 100-continue\r\n"),
        *(b"Connection: close\r\n", b"Upgrade: websocket\r\nConnection: Upgrade\r\n", b"%zz%00"),
        *(b"Authorization: Bearer " + TOKEN.encode() + b"\r\n", b"Authorization: Bearer \xff\r\n"),
        *(
            b"Content-Encoding: gzip\r\n",
            b"Idempotency-Key: \x7f\r\n",
            b"X-Request-ID: " + b"a" * 40,
        ),
    ]
)


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(sent=st.lists(pieces | st.binary(max_size=20), max_size=14).map(b"".join))
def test_any_bytes_on_a_connection_get_no_5xx_and_no_hang(
    client: httpx.Client, sent: bytes
) -> None:
    with socket.create_connection(
        (client.base_url.host, client.base_url.port), timeout=30
    ) as connection:
        connection.sendall(sent)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        try:
            while part := connection.recv(65_536):
                answer += part
        except ConnectionResetError:
            pass
    assert b"HTTP/1.1 5" not in answer
    assert client.get("/health").status_code == 200


@pytest.mark.slow
def test_ten_million_invalid_elements_take_little_memory(tmp_path: Path, logs) -> None:
    invalid: dict[str, Any] = {
        "numbers": b"0," * 10_000_000 + b"0",
        "empty objects": b"{}," * 10_000_000 + b"{}",
        "lists": b"[]," * 10_000_000 + b"[]",
    }
    limits = {"FOREST_TREES": "5", "MEMORY_ENTITIES": "1000", "MAX_TRAINING_LOGS": "100000"}
    with Service(tmp_path, **limits) as service:
        service.post("/train", {"logs": logs(100)})
        before = service.resident_bytes()
        for name, elements in invalid.items():
            body = b'{"logs": [' + elements + b"]}"
            for path in ("/detect", "/train"):
                answer = service.request("POST", path, body)
                assert answer.status in (413, 422), (name, answer.body[:200])
        grown = (service.resident_bytes() - before) / 2**20
        print(f"\n{grown:.0f} MiB more than before")
        assert grown < 250
        assert service.request("GET", "/health").status == 200
