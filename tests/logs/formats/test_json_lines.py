"""JSON records as servers and log shippers write them."""

import json

import pytest
from api_anomaly.logs.formats.read import Event, ReadOptions, read_body, read_events
from hypothesis import given
from hypothesis import strategies as st

JSON = ReadOptions("ndjson")


def read(record):
    """The log of a record, or None."""
    result = read_events([Event(1, record)], JSON)
    assert result.records.count + result.rejected == 1
    return result.records.as_dicts()[0] if result.records.count else None


CONTRACT = {
    "timestamp": "2024-05-12T00:00:17.250000Z",
    "user_id": "u-17",
    "endpoint": "/a?b=1",
    "method": "GET",
    "status_code": 200,
    "response_time": 0.5,
    "ip_address": "192.0.2.1",
    "user_agent": "curl/8",
    "request_size": 10,
    "response_size": 20,
}

SHAPES = [
    ("the contract's own", dict(CONTRACT), CONTRACT),
    (
        "nginx, every value a text",
        {
            "time_iso8601": "2024-05-12T02:00:17+02:00",
            "remote_addr": "192.0.2.1",
            "remote_user": "",
            "request": "GET /a?b=1 HTTP/1.1",
            "status": "200",
            "body_bytes_sent": "20",
            "request_time": "0.500",
            "http_user_agent": "curl/8",
            "request_length": "10",
        },
        {**CONTRACT, "timestamp": "2024-05-12T00:00:17Z", "user_id": None},
    ),
    (
        "nginx with separate method and URI, Unix time with milliseconds",
        {
            "msec": "1715472017.250",
            "remote_addr": "192.0.2.1",
            "remote_user": "u-17",
            "request_method": "GET",
            "request_uri": "/a?b=1",
            "uri": "/a",
            "status": 200,
            "bytes_sent": 20,
            "request_time": 0.5,
            "request_length": 10,
            "http_user_agent": "curl/8",
        },
        CONTRACT,
    ),
    (
        "Caddy",
        {
            "level": "info",
            "ts": 1715472017.25,
            "logger": "http.log.access",
            "msg": "handled request",
            "request": {
                "remote_ip": "10.0.0.9",
                "client_ip": "192.0.2.1",
                "proto": "HTTP/2.0",
                "method": "GET",
                "host": "example.com",
                "uri": "/a?b=1",
                "headers": {"User-Agent": ["curl/8"]},
            },
            "bytes_read": 10,
            "user_id": "u-17",
            "duration": 0.5,
            "size": 20,
            "status": 200,
        },
        CONTRACT,
    ),
    (
        "Traefik, nanoseconds",
        {
            "ClientHost": "192.0.2.1",
            "ClientUsername": "-",
            "DownstreamContentSize": 20,
            "DownstreamStatus": 200,
            "Duration": 500000000,
            "RequestContentSize": 10,
            "RequestMethod": "GET",
            "RequestPath": "/a?b=1",
            "StartUTC": "2024-05-12T00:00:17.25Z",
            "request_User-Agent": "curl/8",
        },
        {**CONTRACT, "user_id": None},
    ),
    (
        "Elastic Common Schema",
        {
            "@timestamp": "2024-05-12T00:00:17.250Z",
            "source": {"ip": "192.0.2.1"},
            "user": {"name": "u-17"},
            "url": {"original": "/a?b=1"},
            "http.request.method": "GET",
            "http": {"response": {"status_code": 200, "body": {"bytes": 20}}},
            "http.request.body.bytes": 10,
            "user_agent": {"original": "curl/8"},
            "event": {"duration": 500000000},
        },
        CONTRACT,
    ),
    (
        "AWS API Gateway, time in common log format",
        {
            "requestTime": "12/May/2024:00:00:17 +0000",
            "ip": "192.0.2.1",
            "user": "u-17",
            "httpMethod": "GET",
            "resourcePath": "/a",
            "status": "200",
            "responseLength": "20",
            "responseLatency": "500",
        },
        {
            **CONTRACT,
            "timestamp": "2024-05-12T00:00:17Z",
            "endpoint": "/a",
            "user_agent": None,
            "request_size": None,
        },
    ),
]


@pytest.mark.parametrize(("value", "log"), [s[1:] for s in SHAPES], ids=[s[0] for s in SHAPES])
def test_a_record_gives_the_ten_fields(value, log):
    assert read(value) == log


UNUSUAL = [
    ("a user who is a number", {"user_id": 42}, {"user_id": "42"}),
    ("a user name that is too long", {"user_id": "x" * 300}, {"user_id": "x" * 256}),
    ("half a surrogate pair", {"user_agent": "a\ud800b"}, {"user_agent": "a?b"}),
    ("unknown times and sizes", {"response_time": -1, "request_size": -1}, {"response_time": None}),
    ("NaN is unknown", {"response_time": float("nan")}, {"response_time": None}),
    (
        "an address with its port",
        {"ip_address": "[2001:db8::1]:443"},
        {"ip_address": "2001:db8::1"},
    ),
    ("a zone in an address", {"ip_address": "fe80::1%eth0"}, {"ip_address": "fe80::1"}),
    ("no address at all", {"ip_address": "unix:"}, {"ip_address": None, "user_id": "u-17"}),
    ("milliseconds", {"timestamp": 1715472017250}, {"timestamp": "2024-05-12T00:00:17.250000Z"}),
    ("digits as text", {"timestamp": "1715472017"}, {"timestamp": "2024-05-12T00:00:17Z"}),
    (
        "no zone means UTC",
        {"timestamp": "2024-05-12 00:00:17"},
        {"timestamp": "2024-05-12T00:00:17Z"},
    ),
    ("a method in small letters", {"method": "patch"}, {"method": "PATCH"}),
    ("a status as text", {"status_code": "404"}, {"status_code": 404}),
    ("a status of 0: none was sent", {"status_code": 0}, {"status_code": 499}),
]


@pytest.mark.parametrize(
    ("values", "fields"), [s[1:] for s in UNUSUAL], ids=[s[0] for s in UNUSUAL]
)
def test_unusual_values_are_normalised(values, fields):
    log = read({**CONTRACT, **values})
    assert {name: log[name] for name in fields} == fields
    json.dumps(log, allow_nan=False).encode("utf-8")


BAD = [
    ("no user and no address", {**CONTRACT, "user_id": None, "ip_address": None}),
    ("no method", {**CONTRACT, "method": None}),
    ("no endpoint", {**CONTRACT, "endpoint": ""}),
    ("no status", {**CONTRACT, "status_code": None}),
    ("a status that is true", {**CONTRACT, "status_code": True}),
    ("no time", {**CONTRACT, "timestamp": None}),
    ("a time that is text", {**CONTRACT, "timestamp": "yesterday"}),
    ("a time that is true", {**CONTRACT, "timestamp": True}),
    ("a time after the year 9999", {**CONTRACT, "timestamp": 1e300}),
]


@pytest.mark.parametrize("value", [value for _, value in BAD], ids=[name for name, _ in BAD])
def test_a_record_without_the_required_fields_is_rejected(value):
    assert read(value) is None


def test_the_fast_and_the_general_way_read_the_same():
    line = json.dumps(CONTRACT)
    body = "\n".join([line, json.dumps({**CONTRACT, "unknown": 1})]).encode()
    fast, general = read_body(body, JSON).records.as_dicts()
    assert fast == general == CONTRACT


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*CONTRACT, "label", "request", "user"]), json_values))
def test_any_record_is_a_valid_log_or_an_error(value):
    result = read_events([Event(1, {**CONTRACT, **value})], JSON)
    for log in result.records.as_dicts():
        assert set(log) == set(CONTRACT)
        json.dumps(log, allow_nan=False).encode("utf-8")
