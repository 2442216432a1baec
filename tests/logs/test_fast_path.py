"""The fast path and Pydantic read every body alike: the same columns to the bit, the same logs and
options, the same errors; and ordinary traffic takes the fast path."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from api_anomaly.errors import BatchTooLarge, Invalid
from api_anomaly.logs.columns import METHODS, Columns, Texts
from api_anomaly.logs.decode import Decoder, DetectRequest, TrainRequest
from api_anomaly.logs.fast_path import FastDetect, decode_detect, decode_train
from tests.support.traffic import ordinary_logs
from tests.support.wild_json import NUMBERS, TIMESTAMPS, bodies

FAST, PYDANTIC = Decoder(3, 3), Decoder(3, 3, fast_path=False)
LOG = {
    "timestamp": "2024-01-31T13:45:00.25+02:00",
    "user_id": 'usr_é"1',
    "endpoint": "/a/1?q=\U0001f600",
    "method": "get",
    "status_code": "404",
    "response_time": 0.12345678901234567,
    "ip_address": "2001:db8::1",
    "user_agent": "x" * 2_000,
    "request_size": 512.0,
    "response_size": -1,
    "colour": "red",
    "nested": {"deep": [["}"]]},
}


def bits(columns: Columns) -> list[Any]:
    """All that columns contain, to the bit."""
    arrays: list[Any] = []
    for name in Columns.__dataclass_fields__:
        value = getattr(columns, name)
        arrays += list(value) if isinstance(value, Texts) else [value]
    assert all(array.flags.c_contiguous and array.flags.writeable for array in arrays)
    return [(array.dtype.str, array.shape, array.tobytes()) for array in arrays]


def outcome(decode: Callable[[bytes], DetectRequest | TrainRequest], body: bytes) -> Any:
    """The result of decoding or its error, in a form that can be compared."""
    try:
        request = decode(body)
    except Invalid as error:
        return error.items, error.more
    except BatchTooLarge as error:
        return str(error)
    columns, other, *options = request
    rest = list(other) if isinstance(request, DetectRequest) else other.tobytes()
    return bits(columns), rest, [repr(option) for option in options]


def assert_read_alike(body: bytes) -> None:
    for name in ("decode_detect", "decode_train"):
        assert outcome(getattr(FAST, name), body) == outcome(getattr(PYDANTIC, name), body)


@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(bodies())
@example(b'\xef\xbb\xbf{"logs": []}')
@example(b'{"logs": [], "logs": []}')
@example(b'{"logs": []}{}')
@example(b'{"logs": [],}')
@example(b'{"logs": [{}]}')
@example(b'{"x": "\xed\xa0\x80", "logs": []}')
@example(b'{"logs": [], "x": "\xf4\x90\x80\x80"}')
def test_both_paths_read_a_body_alike(body: bytes) -> None:
    assert_read_alike(body)


UNKNOWN_VALUES = [
    *("[" * depth + "]" * depth for depth in (100, 149, 198, 199, 200, 300, 5_000)),
    *('{"a":' * depth + "1" + "}" * depth for depth in (100, 198, 199, 300)),
    *("9" * digits for digits in (100, 4_299, 4_300, 4_301, 5_000, 10_000)),
    *(
        "1." + "9" * 5_000,
        "NaN",
        "1e999",
        '"\\ud800"',
        '"' + "[" * 1_000 + '"',
        '"[[' + ":[," * 300 + '"',
    ),
]


@pytest.mark.parametrize("value", UNKNOWN_VALUES, ids=range(len(UNKNOWN_VALUES)))
def test_both_paths_read_an_unknown_field_alike(value: str) -> None:
    log = json.dumps(LOG)[:-1] + f', "unknown": {value}}}'
    assert_read_alike(f'{{"logs": [{log}]}}'.encode())
    assert_read_alike(f'{{"logs": [], "unknown": {value}}}'.encode())


@settings(max_examples=400)
@given(st.lists(TIMESTAMPS | NUMBERS, min_size=1, max_size=3))
@example(["-62135596801"])
@example(["9999999999.9999999"])
def test_both_paths_read_timestamps_alike(timestamps: list[str]) -> None:
    log = json.dumps({name: value for name, value in LOG.items() if name != "timestamp"})[:-1]
    logs = ",".join(f'{log}, "timestamp": {text}}}' for text in timestamps)
    assert_read_alike(f'{{"logs": [{logs}]}}'.encode("utf-8", "surrogatepass"))


def accepted(*logs: dict[str, Any], ascii_only: bool = True, **options: Any) -> FastDetect:
    """A body that the fast path accepts."""
    body = json.dumps({"logs": logs} | options, ensure_ascii=ascii_only).encode()
    fast = decode_detect(body, 10_000)
    assert fast is not None
    return fast


@pytest.mark.parametrize("ascii_only", [True, False])
def test_the_fast_path_reads_a_log_with_every_field(ascii_only: bool) -> None:
    fast = accepted(LOG, ascii_only=ascii_only, include_scores=True, threshold=-0.5, colour=5)
    assert (fast.options.threshold, fast.options.include_scores) == (-0.5, True)
    assert fast.columns.status.tolist() == [404]
    assert fast.columns.user.data.tobytes().decode() == LOG["user_id"]
    assert fast.columns.endpoint.data.tobytes().decode() == LOG["endpoint"]
    assert fast.columns.agent.data.size == 1024
    assert fast.columns.response_time.tolist() == [LOG["response_time"]]


def test_logs_are_validated_when_they_are_read() -> None:
    logs = FAST.decode_detect(json.dumps({"logs": [LOG, LOG | {"method": "put"}]}).encode()).logs
    assert [log.method for log in logs] == ["GET", "PUT"]
    assert list(logs[1:]) == [logs[-1]]
    assert logs[0].timestamp.isoformat() == "2024-01-31T11:45:00.250000+00:00"
    assert logs[0].response_size == -1


def test_methods_are_read_in_any_case() -> None:
    for code, name in enumerate(METHODS):
        for text in (name.upper(), name.lower(), f" {name} "):
            assert accepted(LOG | {"method": text}).columns.method.tolist() == [code]


@pytest.mark.parametrize("indent", [None, 2])
def test_ordinary_traffic_takes_the_fast_path(indent: int | None) -> None:
    logs = [log | {"endpoint": "/?filter[a]=[1]"} for log in ordinary_logs(3_000)]
    body = json.dumps({"logs": logs}, indent=indent).encode()
    detect, train = decode_detect(body, 3_000), decode_train(body, 3_000)
    assert detect is not None and train is not None
    assert bits(detect.columns) == bits(train.columns)


def test_pydantic_reads_only_the_chunk_of_a_training_with_an_unusual_log() -> None:
    logs = [log | {"label": i % 2} for i, log in enumerate(ordinary_logs(10_000))]
    decoded = []
    for timestamp in ("2024-01-31T13:45:00Z", "20240131T134500Z"):
        logs[1]["timestamp"] = logs[9_000]["timestamp"] = timestamp
        train = decode_train(json.dumps({"logs": logs}).encode(), 10_000)
        assert train is not None
        decoded.append((bits(train.columns), train.labels.tolist()))
    assert decoded[0] == decoded[1]
    assert decoded[0][1] == [0.0, 1.0] * 5_000


def test_an_invalid_log_or_too_many_are_declined() -> None:
    body = json.dumps({"logs": [LOG, LOG | {"ip_address": "localhost"}]}).encode()
    assert decode_detect(body, 2) is decode_train(body, 2) is None
    assert decode_detect(json.dumps({"logs": [LOG] * 3}).encode(), 2) is None
