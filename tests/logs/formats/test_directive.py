"""Directives of servers as formats."""

import time

import pytest
from api_anomaly.logs.formats.read import FormatUnknown, ReadOptions, read_body

TIME = "2024-02-01T08:00:03"
COMMON = {
    "timestamp": TIME + "Z",
    "user_id": "ann",
    "endpoint": "/a?b=1",
    "method": "GET",
    "status_code": 200,
    "ip_address": "203.0.113.9",
    "user_agent": "curl/8",
    "response_size": 20,
}
NGINX_MAIN = """log_format main '$remote_addr - $remote_user [$time_local] "$request" '
    '$status $body_bytes_sent "$http_referer" '
    '"$http_user_agent" "$http_x_forwarded_for" $request_time $upstream_response_time';"""
NGINX_JSON = """log_format json escape=json '{"at":"$time_iso8601","addr":"$remote_addr",'
    '"who":"$remote_user","line":"$request","status":$status,"bytes":$body_bytes_sent,'
    '"took":$request_time,"agent":"$http_user_agent"}';"""
APACHE = r'LogFormat "%h %l %u %t \"%r\" %>s %b \"%{Referer}i\" \"%{User-Agent}i\" %D %{ms}T" timed'
APACHE_PARTS = (
    '[%{%d/%b/%Y:%H:%M:%S}t.%{msec_frac}t %{%z}t] %a "%u" %m %U%q %s %B "%{User-agent}i" %T'
)
ENVOY = (
    "[%START_TIME%] %DOWNSTREAM_REMOTE_ADDRESS% %RESPONSE_CODE% %DURATION% %BYTES_RECEIVED%"
    ' %BYTES_SENT% "%REQ(:METHOD)% %REQ(X-ENVOY-ORIGINAL-PATH?:PATH)% %PROTOCOL%"'
    ' "%REQ(USER-AGENT)%"\\n'
)

# (case, directive, line, fields beside the common ones)
SHAPES = [
    (
        "nginx with a time behind, upstreams tried twice",
        NGINX_MAIN,
        '203.0.113.9 - ann [01/Feb/2024:08:00:03 +0000] "GET /a?b=1 HTTP/1.1" 200 20 "-" "curl/8"'
        ' "198.51.100.1, 192.0.2.7" 0.150 0.1, 0.02 : -',
        {"response_time": 0.15, "request_size": None},
    ),
    (
        "nginx escape=json with an empty number, which is no JSON",
        NGINX_JSON,
        '{"at":"2024-02-01T09:00:03+01:00","addr":"203.0.113.9","who":"ann",'
        '"line":"GET /a?b=1 HTTP/1.1","status":200,"bytes":20,"took":,"agent":"curl\\/8"}',
        {"response_time": None},
    ),
    (
        "the same, written anew by a shipper",
        NGINX_JSON,
        '{"agent": "curl/8", "addr": "203.0.113.9", "at": "2024-02-01T08:00:03Z", "bytes": 20,'
        ' "line": "GET /a?b=1 HTTP/1.1", "status": 200, "took": 0.5, "who": "ann", "x": 1}',
        {"response_time": 0.5},
    ),
    (
        "nginx with separate variables and no quotes around the directive",
        "$msec|$remote_addr|$remote_user|$request_method|$scheme://$host$uri$is_args$args|$status"
        "|$request_length|$bytes_sent|$upstream_response_time|$http_user_agent",
        "1706774403.000|203.0.113.9|ann|GET|https://a.example/a?b=1|200|99|20|0.1, 0.02|curl/8",
        {"response_time": 0.12, "request_size": 99},
    ),
    (
        "Apache with microseconds and milliseconds",
        APACHE,
        '203.0.113.9 - ann [01/Feb/2024:08:00:03 +0000] "GET /a?b=1 HTTP/1.1" 200 20 "-" "curl/8"'
        " 1250 1",
        {"response_time": 0.00125},
    ),
    (
        "Apache with a time in parts",
        APACHE_PARTS,
        '[01/Feb/2024:09:00:03.250 +0100] 203.0.113.9 "ann" GET /a?b=1 200 20 "curl/8" 2',
        {"response_time": 2.0, "timestamp": "2024-02-01T08:00:03.250000Z"},
    ),
    (
        "an Envoy format string",
        ENVOY,
        '[2024-02-01T08:00:03.000Z] 203.0.113.9:4411 200 35 7 20 "GET /a?b=1 HTTP/2" "curl/8"',
        {"response_time": 0.035, "request_size": 7, "user_id": None},
    ),
    (
        "a list of W3C columns with commas",
        "#Fields: date,time,c-ip,cs-username,cs-method,cs-uri-stem,cs-uri-query,sc-status,sc-bytes,"
        "cs(User-Agent),time-taken,sc-win32-status",
        "2024-02-01 08:00:03 203.0.113.9 ann GET /a b=1 200 20 curl/8 1500 0",
        {"response_time": 1.5},
    ),
]


@pytest.mark.parametrize(
    ("directive", "line", "fields"), [s[1:] for s in SHAPES], ids=[s[0] for s in SHAPES]
)
def test_a_line_is_read_by_its_directive(directive, line, fields):
    result = read_body(f"{line}\n".encode() * 2, ReadOptions(log_format=directive))
    assert (result.records.count, result.rejected) == (2, 0), result.errors
    log = result.records.as_dicts()[1]
    wanted = {**COMMON, **fields}
    assert {name: log[name] for name in wanted} == pytest.approx(wanted)


@pytest.mark.parametrize("wrap", ["<190>Feb  1 08:00:03 web1 nginx: {}", "web-1  | {}"])
def test_a_line_of_a_directive_is_unwrapped(wrap):
    line = wrap.format(SHAPES[0][2])
    result = read_body(line.encode(), ReadOptions(log_format=NGINX_MAIN))
    assert result.records.response_time == [0.15]


def test_a_record_that_a_shipper_parsed_is_read_by_the_names_of_the_directive():
    body = b"[" + SHAPES[2][2].encode() + b"]"
    assert read_body(body, ReadOptions(log_format=NGINX_JSON)).records.response_time == [0.5]


def test_behind_a_proxy_without_peer_the_list_is_the_client():
    directive = '$http_x_forwarded_for [$time_local] "$request" $status'
    line = b'203.0.113.9, 192.0.2.1 [01/Feb/2024:08:00:03 +0000] "GET / HTTP/1.1" 200'
    assert read_body(line, ReadOptions(log_format=directive)).records.ip_address == ["203.0.113.9"]


@pytest.mark.parametrize(
    ("directive", "words"),
    [
        ("", "directive"),
        ("hello", "directive"),
        ("$remote_addr $request", "with a time"),
        ("$remote_addr [$time_local] $status $uri", "a request"),
        ("$remote_addr [$time_local] $status $request_method$host $request", "no text stands"),
        ("%ci:%cp [%tr] %ft %b/%s %ST %B %HM %HU", "HAProxy"),
        ("%h" * 5_000, "more than"),
    ],
)
def test_a_directive_that_cannot_be_read_is_an_error_that_says_why(directive, words):
    with pytest.raises(FormatUnknown, match=words):
        read_body(b"x", ReadOptions(log_format=directive or " "))


@pytest.mark.parametrize("directive", [NGINX_MAIN, NGINX_JSON, APACHE, APACHE_PARTS, ENVOY])
@pytest.mark.parametrize("piece", ['"', " ", "a ", '" "', "[", ", 1", "/?", '{"a":"', "\\"])
def test_no_line_takes_long(directive, piece):
    started = time.perf_counter()
    read_body((piece * 60_000)[:60_000].encode(), ReadOptions(log_format=directive))
    assert time.perf_counter() - started < 1.0
