"""Whatever stands in a body: only the named errors, and good lines are read."""

import json
from ipaddress import ip_network

import pytest
from api_anomaly.logs.formats.read import (
    Event,
    FormatAmbiguous,
    FormatUnknown,
    ReadOptions,
    read_body,
    read_events,
)
from api_anomaly.logs.formats.registry import FORMATS
from hypothesis import given
from hypothesis import strategies as st

LINE = '203.0.113.9 - ann [01/Feb/2024:08:00:03 +0000] "GET /good HTTP/1.1" 200 20 "-" "curl/8"'
RECORD = {
    "timestamp": "2024-02-01T08:00:03Z",
    "user_id": "ann",
    "endpoint": "/good",
    "method": "GET",
    "status_code": 200,
    "ip_address": "203.0.113.9",
}
PIECES = [
    *(row.example for row in FORMATS.values()),
    *(LINE, json.dumps(RECORD), "<190>1 2024-02-01T08:00:03Z h a - - - ", "Mar 10 06:25:00 h n: "),
    *("2024-02-01T08:00:03Z stdout P ", "web-1  | ", '{"message": "', '{"logs": [', "[", "]", "{"),
    *("}", '"', "\\", ",", "\n", "\r\n", "\x00", "\ufeff", "#Fields: date time c-ip", "\t", " - "),
]
pieces = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=12).map("".join)
options = st.builds(
    ReadOptions,
    format=st.sampled_from(["auto", "auto", *FORMATS]),
    trusted_proxies=st.sampled_from([(), (ip_network("203.0.113.0/24"), ip_network("fd00::/8"))]),
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | pieces,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from([*RECORD, "message", "log", "event", "data", "records", "time"]), inner
    ),
    max_leaves=8,
)


def check(result):
    assert result.rejected >= len(result.errors)
    assert result.records.count == len(result.records.position)
    assert len(result.records.columns()) == result.records.count
    for index in range(result.records.count):
        assert result.records.log(index).endpoint
    json.dumps(result.records.as_dicts(), allow_nan=False).encode("utf-8")


@given(body=pieces.map(str.encode) | st.binary(), options=options)
def test_any_bytes_give_logs_or_a_named_error(body, options):
    try:
        check(read_body(body, options))
    except (FormatUnknown, FormatAmbiguous) as error:
        assert str(error)


@given(value=st.dictionaries(st.sampled_from([*RECORD, "message", "log"]), json_values) | pieces)
def test_any_event_gives_logs_or_a_named_error(value):
    try:
        check(read_events([Event(7, value)], ReadOptions()))
    except FormatUnknown as error:
        assert str(error)


# Garbage that ends its line: what opens a JSON text across lines may take the next lines with it.
garbage = st.text(st.characters(exclude_characters="\n", codec="utf-8"), max_size=40).filter(
    lambda text: not text.strip().startswith(("{", "[", '"')) and " P" not in text
)


@given(before=garbage, after=garbage, good=st.sampled_from([LINE, json.dumps(RECORD)]))
def test_good_lines_between_garbage_are_read(before, after, good):
    body = "\n".join([before, good, after, good, before])
    records = read_body(body.encode(), ReadOptions()).records
    positions = [
        index for index, name in zip(records.position, records.endpoint) if name == "/good"
    ]
    assert positions == [2, 4]


@pytest.mark.parametrize("start", ["{", "[", '{"a":', "[1,", '{"logs": [', '"', "[{", "{}{"])
@pytest.mark.parametrize("good", [LINE, json.dumps(RECORD)], ids=["text", "JSON"])
def test_good_lines_after_broken_json_are_read(start, good):
    records = read_body("\n".join([start, good, start, good]).encode(), ReadOptions()).records
    assert records.endpoint.count("/good") == 2


@pytest.mark.parametrize("body", ["[" * 200_000, '{"a":' * 100_000, '{"a":1,"b":[' * 50_000])
@pytest.mark.parametrize("separator", ["", "\n"])
def test_nested_and_broken_json_does_not_take_long(body, separator):
    body = body.replace("[", "[" + separator)
    with pytest.raises(FormatUnknown):
        read_body(body.encode(), ReadOptions())
