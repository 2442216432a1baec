"""Whatever comes to the endpoints that take logs in, in a process of its own: a named error or a
counted rejection, never a 5xx; the service answers afterwards, its memory stays bounded, and its
own log names no user, address or agent."""

import gzip
import json
import os
import zlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import cramjam
import numpy as np
import pytest
import zstandard

from benchmarks.service import Response, Service

USER, ADDRESS, AGENT = "marker-of-a-user", "203.0.113.77", "MarkerOfAnAgent/7.1"
MIB = 2**20


def line(endpoint: str = "/a", second: int = 0, user: str = USER) -> str:
    """A combined line with the marked user, address and agent."""
    return (
        f"{ADDRESS} - {user} [01/Jun/2024:08:{second // 60 % 60:02}:{second % 60:02} +0000]"
        f' "GET {endpoint} HTTP/1.1" 200 12 "-" "{AGENT}"'
    )


GOOD = "\n".join(line(f"/orders/{i}", i) for i in range(3)).encode()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, logs) -> Iterator[Service]:
    """A trained service in a process of its own. At the end nothing of it has failed, and no person
    is named in its own log or output."""
    folder: Path = tmp_path_factory.mktemp("bad-input")
    limits = {"FOREST_TREES": "5", "MEMORY_ENTITIES": "2000", "LOG_LEVEL": "DEBUG"}
    limits |= {"MAX_OPEN_REQUESTS": "10000"}
    with Service(folder, **limits) as started:
        assert started.post("/train", {"logs": logs(100)}).status == 200
        yield started
        assert not [name for name in started.metrics() if 'status="5' in name]
        assert ingest(started, GOOD + b"\n" + line("/last").encode())["accepted"] == 4
    written = [file for file in (folder / "logs").iterdir() if file.is_file()]
    for file in (folder / "output", *written):
        text = file.read_text(errors="replace")
        for mark in (USER, ADDRESS, AGENT):
            assert mark not in text, (file.name, text[max(0, text.find(mark) - 300) :][:600])


def send(service: Service, body: bytes, path: str = "/ingest", **headers: str) -> Response:
    """A POST that got no 5xx, with a code where it is an error; then the service answers."""
    answer = service.request("POST", path, body, **headers)
    assert answer.status < 500, answer.body[:300]
    if answer.status >= 400 and path == "/ingest":
        assert answer.json()["code"]
    assert service.request("GET", "/health").status == 200
    return answer


def ingest(service: Service, body: bytes, **headers: str) -> dict[str, Any]:
    answer = send(service, body, **headers)
    assert answer.status == 200, answer.body[:300]
    found: dict[str, Any] = answer.json()
    return found


def code(answer: Response) -> tuple[int, str]:
    """Status and code of an error."""
    return answer.status, answer.json()["code"]


# --- Size ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("place", ["endpoint", "agent", "no log"])
def test_a_line_of_ten_megabytes_costs_no_other(service: Service, place: str) -> None:
    long = "x" * 10_000_000
    whole = {
        "endpoint": line("/" + long),
        "agent": line().replace(AGENT, AGENT + long),
        "no log": long,
    }[place]
    found = ingest(service, b"\n".join((GOOD, whole.encode(), line("/z", 9, place).encode())))
    assert found["accepted"] + found["rejected"] == 5 and found["accepted"] >= 4
    assert len(json.dumps(found)) < 4_000


@cache
def bomb(encoding: str) -> bytes:
    """A gibibyte of zeros in a few megabytes."""
    if encoding == "gzip":  # one stream
        stream = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
        first = stream.compress(bytes(2**22)) + stream.flush(zlib.Z_FULL_FLUSH)
        repeated = stream.compress(bytes(2**22)) + stream.flush(zlib.Z_FULL_FLUSH)
        return first + repeated * 255 + stream.flush()
    zeros = bytes(2**30)
    if encoding == "zstd":
        return zstandard.compress(zeros, 1)
    module = {"lz4": cramjam.lz4.compress, "snappy": cramjam.snappy.compress_raw}[encoding]
    return bytes(module(zeros))


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "lz4", "snappy"])
def test_a_bomb_stops_at_the_limit(service: Service, encoding: str) -> None:
    before = service.peak_resident_bytes()
    answer = send(service, bomb(encoding), Content_Encoding=encoding)
    assert code(answer) == (413, "body_too_large")
    assert service.peak_resident_bytes() - before < 220 * MIB


def test_a_bomb_of_bombs_and_a_million_empty_members_are_no_logs(service: Service) -> None:
    nested = gzip.compress(bomb("gzip"), 1)
    assert send(service, nested, Content_Encoding="gzip").status == 422
    empty = gzip.compress(b"") * 1_000_000
    assert code(send(service, empty, Content_Encoding="gzip")) == (400, "broken_encoding")


def test_a_body_that_is_not_what_its_encoding_says(service: Service) -> None:
    for encoding in ("gzip", "deflate", "zstd", "snappy", "lz4"):
        answer = send(service, GOOD, Content_Encoding=encoding)
        assert code(answer) == (400, "broken_encoding"), encoding
    assert code(send(service, GOOD, Content_Encoding="br")) == (415, "unsupported_encoding")
    cut = gzip.compress(GOOD)[:-9]
    assert code(send(service, cut, Content_Encoding="gzip")) == (400, "broken_encoding")


def test_more_logs_than_fit_are_named_so(service: Service) -> None:
    body = (line() + "\n").encode() * 100_001
    assert code(send(service, body)) == (413, "batch_too_large")


@pytest.mark.parametrize("piece", [b"x\n", b"\n", b"{}", b"{}\n", b"[],", b'"\n', b"#\n", b"[{}]"])
def test_as_many_lines_that_are_no_logs_as_fit_take_little_memory(
    service: Service, piece: bytes
) -> None:
    before = service.peak_resident_bytes()
    body = gzip.compress(GOOD + b"\n" + piece * (60 * MIB // len(piece)), 1)
    assert code(send(service, body, Content_Encoding="gzip")) == (413, "batch_too_large")
    body = gzip.compress(b"[" + piece * (60 * MIB // len(piece)), 1)
    assert send(service, body, Content_Encoding="gzip").status in (413, 422)
    assert service.peak_resident_bytes() - before < 500 * MIB


@pytest.mark.parametrize("batches", [5, pytest.param(20, marks=pytest.mark.slow)])
def test_a_million_endpoints_and_users_take_bounded_memory(service: Service, batches: int) -> None:
    resident = []
    for batch in range(batches):
        lines = (
            line(f"/p{batches}x{batch}x{i}/q{i % 7}", i, f"{USER}-{batch}-{i}")
            for i in range(50_000)
        )
        found = ingest(service, "\n".join(lines).encode())
        assert (found["accepted"], found["rejected"]) == (50_000, 0)
        resident.append(service.resident_bytes() / MIB)
    assert max(resident[3:]) - resident[2] < 100, resident
    names = [name for name in service.metrics() if f"/p{batches}x" in name]
    assert not names and len(service.metrics()) < 5_000


# --- Text ----------------------------------------------------------------------------------------


def test_windows_line_ends_marks_and_unfinished_lines(service: Service) -> None:
    plain = ingest(service, GOOD)
    for name, body in {
        "CRLF": GOOD.replace(b"\n", b"\r\n") + b"\r\n",
        "byte order mark": b"\xef\xbb\xbf" + GOOD,
        "empty lines": b"\n\n" + GOOD.replace(b"\n", b"\n\n\n") + b"\n\n",
        "UTF-16": GOOD.decode().encode("utf-16"),
    }.items():
        found = ingest(service, body) if name != "UTF-16" else None
        if found is None:
            assert send(service, body).status in (200, 422)
        else:
            assert (found["accepted"], found["rejected"]) == (3, 0), name
            assert found["format"] == plain["format"], name
    unfinished = ingest(service, GOOD + b"\n" + line("/cut").encode()[:60])
    assert (unfinished["accepted"], unfinished["rejected"]) == (3, 1)
    assert [error["line"] for error in unfinished["errors"]] == [4]
    assert ADDRESS not in json.dumps(unfinished) and USER not in json.dumps(unfinished)


def test_bytes_that_are_no_text_cost_no_other_line(service: Service) -> None:
    for name, bad in {
        "NUL": b"\0" * 40,
        "NUL inside": line("/a\0b").encode(),
        "invalid UTF-8": line("/\xff").encode("latin-1"),
        "a surrogate": line().encode() + b"\xed\xa0\x80",
        "overlong": line().encode().replace(b"/a", b"/\xc0\xaf"),
        "random": os.urandom(300).replace(b"\n", b""),
    }.items():
        found = ingest(service, GOOD + b"\n" + bad + b"\n" + line("/after").encode())
        assert found["accepted"] >= 4, name
        assert found["accepted"] + found["rejected"] + found["skipped"] == 5, name


def test_bodies_that_are_no_logs(service: Service) -> None:
    assert ingest(service, b"")["accepted"] == 0
    assert ingest(service, b"\n\r\n\n")["accepted"] == 0
    for body in (
        *(b"\0", b"\0" * MIB, b"\xff" * 1_000, b"[", b"{", b"]" * 1_000, b'"', b"null", b"1"),
        *(b'{"a": 1}', b'[[[["x"]]]]', b"\x1f\x8b", b"%00", b"\xef\xbb\xbf", os.urandom(MIB)),
        *(b"[" * 500_000, b'{"a":' * 200_000, b'{"log":"' * 1_000, b'{"message":{' * 1_000),
        *(b"[" * 100_000 + b"]" * 100_000, b'{"a":' * 50_000 + b"1" + b"}" * 50_000),
        *(b"{}" * 100_000, b"[]\n" * 100_000, b'{"time":1e999,"status":' + b"9" * 5_000 + b"}"),
    ):
        answer = send(service, body)
        assert answer.status in (200, 413, 422), (body[:20], answer.body[:200])
        if answer.status == 200:
            assert answer.json()["accepted"] == 0, body[:20]


def test_deep_and_wide_json_beside_good_json(service: Service) -> None:
    good = {"time": "2024-06-01T08:00:00Z", "method": "GET", "endpoint": "/a", "status_code": 200}
    good |= {"timestamp": good.pop("time"), "user_id": USER, "ip_address": ADDRESS}
    deep = b'{"a":' * 5_000 + b"1" + b"}" * 5_000
    wide = json.dumps({f"k{i}": i for i in range(50_000)}).encode()
    wrapped: bytes = json.dumps(good).encode()
    for _ in range(12):
        wrapped = json.dumps({"message": wrapped.decode()}).encode()
    for bad in (deep, wide, wrapped):
        lines = [json.dumps(good | {"endpoint": f"/{len(bad)}/{i}"}).encode() for i in range(3)]
        found = ingest(service, b"\n".join((*lines, bad)))
        assert found["accepted"] >= 3 and found["accepted"] + found["rejected"] == 4


def test_any_content_type_is_read_by_its_bytes(service: Service) -> None:
    for kind in ("application/pdf", "text/plain; charset=utf-16", "", "x", "a/b;" * 1_000):
        body = GOOD + b"\n" + line("/" + str(len(kind))).encode()
        assert ingest(service, body, Content_Type=kind)["accepted"] == 4


def test_unknown_names_in_the_query(service: Service) -> None:
    for query in ("format=%00", "format=" + "x" * 5_000, "format=../../etc", "format=otlp%0a"):
        assert send(service, GOOD, "/ingest?" + query).status == 422
    for directive in ("%", "$", "%{", "%h" * 2_000, "$a" * 2_000, "(((((", "%{x}i" * 500):
        answer = service.request("POST", "/ingest?log_format=" + _quoted(directive), GOOD)
        assert answer.status in (200, 422), (directive[:20], answer.body[:200])


def _quoted(text: str) -> str:
    return "".join(f"%{byte:02x}" for byte in text.encode())


# --- What shippers send --------------------------------------------------------------------------

SHIPPERS = {
    "/v1/logs": "application/x-protobuf",
    "/elastic/_bulk": "application/x-ndjson",
    "/services/collector/event": "application/json",
    "/loki/api/v1/push": "application/x-protobuf",
    "/firehose": "application/json",
}


@pytest.mark.parametrize("path", SHIPPERS)
def test_garbage_for_a_shipper_s_endpoint(service: Service, path: str) -> None:
    rng = np.random.default_rng(3)
    bodies = [
        *(rng.bytes(int(size)) for size in (1, 10, 1_000, 100_000)),
        *(b"", b"\0", GOOD, b"{}", b"[]", b"null", b'"x"', b"\n", b"[" * 100_000),
        *(b'{"records": 1}', b'{"streams": 5}', b'{"resourceLogs": {"a": 1}}', b'{"event": []}'),
        *(b'{"create": {}}\n', b'{"create":{}}\n[1]\n', b'{"delete":{"_id":1}}\n', b"\x80" * 1_000),
        # Lengths beyond the end, groups, a message within itself, a field of the largest number.
        *(b"\x0a\xff\xff\xff\xff\x0f", b"\x0b" * 5_000, b"\x0a\x7f" * 500, b"\xfa" * 500),
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    ]
    for body in bodies:
        for kind in (SHIPPERS[path], "application/json", "text/plain"):
            send(service, body, path, Content_Type=kind)
        compressed = bytes(cramjam.snappy.compress_raw(body))
        send(service, compressed, path, Content_Type=SHIPPERS[path], Content_Encoding="snappy")
        send(service, gzip.compress(body), path, Content_Encoding="gzip")


def test_a_gzip_bomb_for_opentelemetry(service: Service) -> None:
    answer = send(
        service,
        bomb("gzip"),
        "/v1/logs",
        Content_Type="application/x-protobuf",
        Content_Encoding="gzip",
    )
    assert answer.status == 413


def _field(number: int, content: bytes) -> bytes:
    """A protobuf field of bytes."""
    length, size = b"", len(content)
    while size > 127:
        length += bytes([size & 127 | 128])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def _repeated(piece: bytes) -> bytes:
    return piece * (50 * MIB // len(piece))


MANY = {
    "/elastic/_bulk": lambda: _repeated(b'{"create":{}}\n{}\n'),
    "/services/collector/event": lambda: _repeated(b'{"event":"x"}'),
    "/services/collector/raw": lambda: _repeated(b"x\n"),
    "/v1/logs": lambda: _field(1, _field(2, _repeated(b"\x12\0"))),
    "/loki/api/v1/push": lambda: b'{"streams":[{"values":['
    + _repeated(b'["1","x"],')
    + b'["1","x"]]}]}',
    "/firehose": lambda: b'{"requestId":"a","timestamp":1,"records":['
    + _repeated(b'{"data":"eAo="},')
    + b'{"data":"eAo="}]}',
}


@pytest.mark.parametrize("path", MANY)
def test_millions_of_events_in_an_envelope_take_little_memory(service: Service, path: str) -> None:
    before = service.peak_resident_bytes()
    body = gzip.compress(MANY[path](), 1)
    kind = "application/x-protobuf" if path == "/v1/logs" else "application/json"
    answer = send(service, body, path, Content_Type=kind, Content_Encoding="gzip")
    assert answer.status in (400, 413)
    assert service.peak_resident_bytes() - before < 600 * MIB
