"""Lines of Envoy, HAProxy, W3C logs, Gin, Traefik; formats that contradict each other."""

from datetime import timedelta, timezone

import pytest
from api_anomaly.logs.formats.directive import directive_format
from api_anomaly.logs.formats.read import (
    FormatAmbiguous,
    ReadOptions,
    StreamReader,
    read_body,
)
from api_anomaly.logs.formats.registry import FORMATS

ENVOY = (
    '[2026-01-24T01:34:36.743Z] "GET {path} HTTP/1.1" {status} DC 7 0 {ms} - "{xff}" "{agent}"'
    ' "id" "a.example" "-"'
)
ISTIO = (
    '[2026-01-24T01:34:36.743Z] "GET /a HTTP/2" 200 {middle} 0 135 4 4 "-" "curl/8" "id" "a:80"'
    ' "10.44.1.27:80" outbound|80||a 10.44.1.23:1 10.0.45.184:8000 [2001:db8::7]:46520 -{end}'
)
HAPROXY = (
    "{client}:5000 [28/Feb/2025:02:43:10.123] fe be/s 1/0/1/15/{ms} {status} {sent} - - ----"
    ' 1/1/0/0/0 0/0 {headers}"{request}"'
)
GIN = "[GIN] 2020/04/07 - 12:29:25 | 200 | {duration} | 203.0.113.9 | {request}"


def read(line, **options):
    result = read_body(line.encode(), ReadOptions(**options))
    return result.records.as_dicts()[0] if result.records.count else result.errors[0].reason


def envoy(path="/a", status=200, ms=12, xff="198.51.100.1, 203.0.113.9", agent="curl/8"):
    return ENVOY.format(path=path, status=status, ms=ms, xff=xff, agent=agent)


def haproxy(
    client="203.0.113.9", ms="15", status=200, sent="20", headers="", request="GET /a HTTP/1.1"
):
    return HAPROXY.format(
        client=client, ms=ms, status=status, sent=sent, headers=headers, request=request
    )


# (case, line, fields)
SHAPES = [
    ("envoy", envoy(), {"ip_address": "203.0.113.9", "response_time": 0.012}),
    ("envoy, no answer", envoy(status=0, ms="-"), {"status_code": 499, "response_time": None}),
    ("envoy, a quote in the agent", envoy(agent='a"b" c'), {"user_agent": 'a"b" c'}),
    ("envoy, a quote in the path", envoy(path='/a"b'), {"endpoint": '/a"b'}),
    ("istio", ISTIO.format(middle='- via - "-"', end=" default"), {"ip_address": "2001:db8::7"}),
    ("istio before 1.8", ISTIO.format(middle='- "-" "-"', end=""), {"response_size": 135}),
    ("haproxy", haproxy(), {"response_time": 0.015, "response_size": 20, "user_agent": None}),
    ("haproxy, IPv6", haproxy(client="2001:db8::1"), {"ip_address": "2001:db8::1"}),
    ("haproxy, logged early", haproxy(ms="+15", sent="+20"), {"response_time": 0.015}),
    ("haproxy, left", haproxy(ms="-1", status=-1), {"status_code": 499, "response_time": None}),
    ("haproxy, headers", haproxy(headers="{a b|c} {|} "), {"endpoint": "/a"}),
    ("haproxy, bad", haproxy(request="<BADREQ>"), {"method": "-", "endpoint": "<BADREQ>"}),
    ("gin", GIN.format(duration="  14.5µs", request='GET  "/x"'), {"response_time": 14.5e-6}),
    ("gin, long", GIN.format(duration="1m2.5s", request="GET /x"), {"response_time": 62.5}),
    ("gin, odd", GIN.format(duration="soon", request="GET /x"), {"response_time": None}),
]


@pytest.mark.parametrize(("line", "fields"), [s[1:] for s in SHAPES], ids=[s[0] for s in SHAPES])
def test_a_line_is_read(line, fields):
    log = read(line)
    assert {name: log[name] for name in fields} == pytest.approx(fields)


def test_no_client_of_envoy_chooses_its_address():
    for forged in (envoy(xff='192.0.2.7" "x, 203.0.113.9'), envoy(agent='x, 192.0.2.7" "y')):
        assert "quotes" in read(forged, format="envoy")


def test_a_local_time_is_read_in_the_zone_given():
    zone = timezone(timedelta(hours=2))
    assert read(haproxy(), zone=zone)["timestamp"] == "2025-02-28T00:43:10.123000Z"
    assert read(envoy(), zone=zone)["timestamp"] == "2026-01-24T01:34:36.743000Z"


W3C = "#Fields: {}\n2024-02-01 08:00:03 203.0.113.9 GET /a 200 {}\n"
COLUMNS = "date time c-ip cs-method cs-uri-stem sc-status time-taken"


@pytest.mark.parametrize(
    ("columns", "taken", "seconds"),
    [
        (COLUMNS + " sc-win32-status", "1500 0", 1.5),
        (COLUMNS + " x-edge-location", "1.5 CDG50", 1.5),
        (COLUMNS, "1.5", 1.5),
        (COLUMNS, "1500", None),  # seconds or milliseconds: nothing says which
    ],
)
def test_the_server_tells_the_unit_of_time_taken(columns, taken, seconds):
    assert read(W3C.format(columns, taken))["response_time"] == seconds


def test_columns_hold_for_the_next_parts_of_a_stream():
    header, line = FORMATS["w3c"].example.split("\n")
    reader = StreamReader(ReadOptions("w3c"))
    assert reader.read_body(header.encode()).skipped == 1
    assert reader.read_body(line.encode()).records.count == 1
    assert "#Fields" in read(line, format="w3c")


def test_the_date_of_the_header_serves_lines_without_one():
    lines = ["#Date: 2024-02-01 00:00:00", "#Fields: time c-ip cs-method cs-uri-stem sc-status"]
    log = read("\n".join([*lines, "08:00:03 203.0.113.9 GET /a 200"]))
    assert log["timestamp"] == "2024-02-01T08:00:03Z"


def test_two_formats_that_contradict_each_other_are_named():
    line = '203.0.113.9 [01/Feb/2024:08:00:03 +0000] "GET / HTTP/1.1" 200 1250'
    apache = directive_format('%h %t "%r" %>s %D', "shop")
    nginx = directive_format('$remote_addr [$time_local] "$request" $status $request_time', "site")
    named = {"shop": apache, "site": nginx}
    with pytest.raises(FormatAmbiguous, match="shop and site"):
        read_body(line.encode(), ReadOptions(named_formats=named))
    assert read(line, format="shop", named_formats=named)["response_time"] == 0.00125
    assert read(line, format="site", named_formats=named)["response_time"] == 1250.0
    assert read(line, named_formats={"shop": apache})["response_time"] == 0.00125


def test_lines_of_several_formats_are_each_read_in_theirs():
    examples = [row.example for row in FORMATS.values() if hasattr(row, "start")]
    result = read_body("\n".join(examples * 2).encode(), ReadOptions())
    assert result.rejected == 0
    assert result.records.count == 2 * len(examples)
