"""Bodies with invalid logs: the valid ones are read, the others are named."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_anomaly.errors import BatchTooLarge, Invalid
from api_anomaly.logs.decode import Decoder, DetectRequest
from api_anomaly.logs.json_position import broken_log
from api_anomaly.logs.skip import Skipped
from tests.support.paths import DATA

LOG: dict[str, Any] = {
    "timestamp": 1_700_000_000,
    "user_id": "ann",
    "endpoint": "/a",
    "method": "GET",
    "status_code": 200,
}
DECODER = Decoder(100, 100)


def body(*logs: bytes, **options: Any) -> bytes:
    """A body of these logs, as bytes that need not be JSON."""
    rest = json.dumps(options or {"on_invalid": "skip"}).encode()
    return b'{"logs": [' + b",\n".join(logs) + b"], " + rest[1:]


def log(**fields: Any) -> bytes:
    return json.dumps(LOG | fields).encode()


def read(*logs: bytes) -> tuple[DetectRequest, Skipped]:
    request = DECODER.decode_detect(body(*logs))
    assert request.skipped is not None
    assert len(request.columns) == len(request.logs) == len(request.skipped.positions)
    return request, request.skipped


@pytest.mark.parametrize(
    "bad,reason",
    [
        (log(user_id="x" * 300), "user_id: String should have at most 256 characters"),
        (log(user_id=None), "user_id: A log needs a user_id or an ip_address"),
        (log(status_code=0), "status_code: Input should be greater than or equal to 100"),
        (b"7", "Input should be an object"),
        (b"null", "Input should be an object"),
        (b"{}", "timestamp: Field required; endpoint: Field required; method: Field required; 1"),
    ],
)
def test_an_invalid_log_is_left_out(bad: bytes, reason: str) -> None:
    request, skipped = read(log(), bad, log(endpoint="/b"))
    assert [one.endpoint for one in request.logs] == ["/a", "/b"]
    assert list(skipped.positions) == [0, 2]
    ((index, why),) = skipped.invalid
    assert index == 1 and why.startswith(reason)


def test_no_reason_says_who() -> None:
    _, skipped = read(log(ip_address="203.0.113.999", user_agent=7, status_code="ann"))
    assert not any(word in skipped.invalid[0].reason for word in ("203", "ann"))


@pytest.mark.parametrize(
    "raw,user",
    [
        (b"a\xffn", "a\ufffdn"),
        (b"a\x01n", "a n"),
        (b"a\nn", "a n"),
        (rb"a\x22n", r"a\x22n"),
        (rb"a\\x22n", r"a\x22n"),
        (rb"a\ud800n", "a\ufffdn"),
        (rb"a\udc00\ud800n", "a\ufffd\ufffdn"),
        (rb"\ud83d\ude00", "\U0001f600"),
        (rb"\u00e9\"\n", 'é"\n'),
        (rb"a\u12", r"a\u12"),
    ],
)
def test_a_log_with_bytes_that_are_not_json_is_read(raw: bytes, user: str) -> None:
    request, skipped = read(log(), log().replace(b"ann", raw), log())
    assert [one.user_id for one in request.logs] == ["ann", user, "ann"]
    assert not skipped.invalid


@pytest.mark.parametrize("fast_path", (True, False))
def test_all_logs_may_be_valid_or_none(fast_path: bool) -> None:
    decoder = Decoder(100, 100, fast_path=fast_path)
    request = decoder.decode_detect(body(log(), log()))
    assert request.skipped is not None
    assert (list(request.skipped.positions), list(request.skipped.invalid)) == ([0, 1], [])
    request = decoder.decode_detect(body(b"{}", b"{}"))
    assert request.skipped is not None and len(request.columns) == 0
    assert [one.position for one in request.skipped.invalid] == [0, 1]


def test_by_default_nothing_is_skipped() -> None:
    assert DECODER.decode_detect(body(log(), threshold=-0.5)).skipped is None
    for options in ({"on_invalid": "reject"}, {"on_invalid": None}, {"threshold": -0.5}):
        with pytest.raises(Invalid):
            DECODER.decode_detect(body(log(), b"{}", **options))


@pytest.mark.parametrize(
    "options",
    [
        {"on_invalid": "skip", "threshold": 7},
        {"on_invalid": "skip", "include_scores": "yes"},
        {"on_invalid": "maybe"},
        {"on_invalid": 1},
    ],
)
def test_invalid_options_are_no_logs(options: dict[str, Any]) -> None:
    for logs in ((log(),), (log(), b"{}")):
        with pytest.raises(Invalid):
            DECODER.decode_detect(body(*logs, **options))


def test_too_many_logs_are_too_many() -> None:
    with pytest.raises(BatchTooLarge):
        DECODER.decode_detect(body(*[b"{}"] * 101))


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_any_bytes_are_read_or_refused(texts: list[bytes]) -> None:
    logs = [log().replace(b"ann", text) for text in texts]
    try:
        request = DECODER.decode_detect(body(*logs, log()))
    except Invalid:  # a quote in a text ends it
        assert any(b'"' in text or text.endswith(b"\\") or b"\\" in text for text in texts)
    else:
        assert request.logs[len(request.logs) - 1].user_id == "ann"


@pytest.mark.parametrize(
    "bad",
    (b'{"user_id": "\xff"}', b'{"user_id" 1}', b'{"a": "\x01"}', b'{"a": ["]", {"logs": [1 2]}]}'),
)
@pytest.mark.parametrize("decode", (DECODER.decode_detect, DECODER.decode_train))
def test_the_error_of_broken_json_names_the_log(bad: bytes, decode: Any) -> None:
    for place in (0, 1, 7):
        logs = [log(user_id='a "], \\')] * 8
        logs[place] = bad
        with pytest.raises(Invalid) as caught:
            decode(b'{"other": [1, 2], ' + body(*logs, threshold=-0.5)[1:])
        (fault,) = caught.value.items
        assert fault["loc"] == ["body", "logs", place]
        assert fault["msg"].startswith("Invalid JSON: ")


@pytest.mark.parametrize(
    "broken",
    (b"", b"[", b'{"logs": 1 2}', b'{"logs": []]', b'{"x": [{"logs" 1}]}', b'{"logs": [] x'),
)
def test_json_that_breaks_elsewhere_names_no_log(broken: bytes) -> None:
    with pytest.raises(Invalid) as caught:
        DECODER.decode_detect(broken)
    assert caught.value.items[0]["loc"] == ["body"]


def test_a_place_beyond_the_body_is_none_of_its_logs() -> None:
    assert broken_log(b"{}", "no place") is None
    assert broken_log(b"{}", "x at line 9 column 9") is None
    assert broken_log(b'{"logs": [1', "x at line 1 column 99") == 0


@pytest.mark.parametrize("decode", (DECODER.decode_detect, DECODER.decode_train))
def test_a_byte_order_mark_is_ignored(decode: Any) -> None:
    assert len(decode(b"\xef\xbb\xbf" + body(log(), threshold=-0.5)).columns) == 1


@pytest.mark.parametrize("name", ("byte-in-agent", "byte-in-path", "long-basic-user"))
def test_one_bad_log_costs_no_other(name: str) -> None:
    path = DATA / "cases" / "B01-one-bad-log" / f"{name}.body"
    if not path.exists():
        pytest.skip(f"{path} is absent")
    sent = path.read_bytes()
    with pytest.raises(Invalid) as caught:
        DECODER.decode_detect(sent)
    assert caught.value.items[0]["loc"][:3] == ["body", "logs", 20]
    request = DECODER.decode_detect(sent.replace(b'{"logs"', b'{"on_invalid": "skip", "logs"', 1))
    assert request.skipped is not None
    assert len(request.logs) == (20 if name == "long-basic-user" else 21)
