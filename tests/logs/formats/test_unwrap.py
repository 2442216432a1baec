"""What carries a line: prefixes, text fields, documents, parts of lines."""

import base64
import json

import pytest
from api_anomaly.logs.formats.read import Event, ReadOptions, read_body, read_events
from tests.support.log_samples import CASES

LINE = '203.0.113.9 - ann [01/Feb/2024:08:00:03 +0000] "GET /a?b=1 HTTP/1.1" 200 20 "-" "curl/8"'
LOG = {"ip_address": "203.0.113.9", "user_id": "ann", "endpoint": "/a?b=1", "user_agent": "curl/8"}
CONTRACT = {
    "timestamp": "2024-02-01T08:00:03Z",
    "user_id": "ann",
    "endpoint": "/a?b=1",
    "method": "GET",
    "status_code": 200,
    "ip_address": "203.0.113.9",
    "user_agent": "curl/8",
}
TEXT = json.dumps(CONTRACT)


def read(body, **options):
    return read_body(body if isinstance(body, bytes) else body.encode(), ReadOptions(**options))


def packed(text):
    return base64.b64encode(text.encode()).decode()


PREFIXES = {
    "containerd": "2026-03-10T06:25:00.123456789Z stdout F {}",
    "containerd with an offset and a tag": "2026-03-10T06:25:00.1+01:00 stderr F:x {}",
    "RFC 5424": "<190>1 2026-03-10T06:25:00Z edge1 nginx 812 - - {}",
    "RFC 5424 without priority, with data and a mark": '1 - h a - ID [x@1 k="a\\"]b"][y] \ufeff{}',
    "RFC 5424 with its length": "212 <190>1 2026-03-10T06:25:00Z edge1 nginx 812 - - {}",
    "RFC 3164": "<190>Mar 10 06:25:00 edge1 nginx[812]: {}",
    "RFC 3164 without priority, one digit": "Mar  1 06:25:00 edge1 nginx: {}",
    "RFC 3164 without host": "<190>Mar 10 06:25:00 nginx: {}",
    "rsyslog's default": "2026-03-10T06:25:00.12+01:00 edge1 nginx[8]: {}",
    "Compose": "web-1  | {}",
    "Compose with colours": "\x1b[36mweb-1  |\x1b[0m {}",
    "quotes": '"{}"',
    "syslog inside containerd": "2026-03-10T06:25:00Z stdout F Mar 10 06:25:00 edge1 nginx: {}",
    "blanks": "  {} ",
}
WRAPPERS = {
    "Docker": lambda line: {"log": line + "\n", "stream": "stdout", "time": "2024-02-01T09:00:00Z"},
    "Vector": lambda line: {"message": line, "timestamp": "2024-02-01T09:00:00Z", "host": "a"},
    "journald": lambda line: {"MESSAGE": line, "__REALTIME_TIMESTAMP": "1"},
    "HEC": lambda line: {"event": line, "time": 1706774403.0},
    "OTLP": lambda line: {"body": line, "timeUnixNano": "1"},
    "ECS": lambda line: {"event": {"original": line, "kind": "event"}, "log": {"file": "x"}},
    "ECS, flat": lambda line: {"event.original": line, "host": {"ip": ["192.0.2.1"]}},
    "CloudEvents": lambda line: {"specversion": "1.0", "data": line},
    "CloudEvents, base64": lambda line: {"specversion": "1.0", "data_base64": packed(line)},
    "Pub/Sub": lambda line: {"message": {"data": packed(line), "messageId": "7"}},
    "CloudWatch": lambda line: {
        "messageType": "DATA_MESSAGE",
        "logEvents": [{"id": "1", "timestamp": 1706774403000, "message": line}],
    },
    "records": lambda line: {"records": [{"message": line}]},
    "texts in an array": lambda line: [line],
    "syslog in a message in a record": lambda line: {
        "log": {"message": f"Mar 10 06:25:00 h n: {line}"}
    },
}


@pytest.mark.parametrize("prefix", PREFIXES.values(), ids=PREFIXES.keys())
@pytest.mark.parametrize("line", [LINE, TEXT], ids=["text", "JSON"])
@pytest.mark.parametrize("name", ["auto", "named"])
def test_a_prefix_is_skipped(prefix, line, name):
    named = "combined" if line is LINE else "ndjson"
    result = read(prefix.replace("{}", line), format="auto" if name == "auto" else named)
    [log] = result.records.as_dicts()
    assert {name: log[name] for name in LOG} == LOG


@pytest.mark.parametrize("wrap", WRAPPERS.values(), ids=WRAPPERS.keys())
@pytest.mark.parametrize("line", [LINE, TEXT], ids=["text", "JSON"])
@pytest.mark.parametrize("name", ["auto", "named"])
def test_a_wrapper_is_opened(wrap, line, name):
    named = "combined" if line is LINE else "ndjson"
    result = read(json.dumps(wrap(line)), format="auto" if name == "auto" else named)
    [log] = result.records.as_dicts()
    assert {name: log[name] for name in LOG} == LOG


@pytest.mark.parametrize(
    ("case", "names"),
    [
        ("B04-forwarded-list", ["two-hops", "three-hops", "client-proxy", "json-list"]),
        ("B04-forwarded-list", ["vhost-and-host-name"]),
        ("B05-prefixed-lines", ["compose", "kubernetes", "quoted", "rfc5424", "syslog"]),
        ("B14-no-status", ["haproxy"]),
        ("B16-mapped-ipv4", ["dual-stack"]),
    ],
)
def test_the_cases_give_what_is_right(case, names):
    for name in names:
        path = CASES / case / f"{name}.log"
        if not path.exists():
            pytest.skip("the cases are not next to this project")
        named = path.with_suffix(".expected")
        expected = named if named.exists() else path.with_name("expected.ndjson")
        logs = read(path.read_bytes()).records.as_dicts()
        for log, line in zip(logs, expected.read_text().splitlines(), strict=True):
            wanted = json.loads(line)
            assert {field: log[field] for field in wanted} == wanted


@pytest.mark.parametrize(
    ("name", "logs"),
    [
        ("B01-one-bad-log/byte-in-agent.body", 21),
        ("B01-one-bad-log/byte-in-path.body", 21),
        ("B01-one-bad-log/long-basic-user.body", 21),
        ("B17-byte-order-mark/bom.body", 2),
    ],
)
def test_one_odd_log_costs_no_other(name, logs):
    path = CASES / name
    if not path.exists():
        pytest.skip("the cases are not next to this project")
    result = read(path.read_bytes())
    assert (result.records.count, result.rejected) == (logs, 0)
    assert all(len(user or "") <= 256 for user in result.records.user_id)


def test_a_list_as_client_is_said():
    result = read(LINE.replace("203.0.113.9", "203.0.113.9, 192.0.2.1"))
    assert "the first was taken" in result.warnings[0]
    assert not read(LINE).warnings


BODIES = {
    "a byte order mark": b"\xef\xbb\xbf" + LINE.encode(),
    "CRLF": f"{LINE}\r\n{LINE}\r\n".encode(),
    "a pretty document": json.dumps({"logs": [CONTRACT, CONTRACT]}, indent=2).encode(),
    "one after the other": (TEXT * 3).encode(),
    "pretty objects one after the other": (json.dumps(CONTRACT, indent=1) * 2).encode(),
    "an array a line": f"[{TEXT},{TEXT}]\n[{TEXT}]\n".encode(),
    "several objects a line": f"{TEXT}{TEXT}\n{TEXT}\n".encode(),
    "records separated as RFC 7464 says": f"\x1e{TEXT}\n\x1e{TEXT}\n".encode(),
    "an array with an item a line": f"[\n{TEXT},\n{TEXT}\n]\n".encode(),
    "text and JSON in turn": f"{LINE}\n{TEXT}\n{LINE}\n".encode(),
}


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES.keys())
def test_a_body_in_any_form_is_read(body):
    result = read(body)
    assert result.rejected == 0
    assert result.records.count == body.count(b"203.0.113.9")
    assert set(result.records.user_id) == {"ann"}


BROKEN = {
    "a line of NDJSON": (f'{TEXT}\n{{"timestamp": "20\n{TEXT}\n', [1, 3], 1),
    "the first line of NDJSON": (f'{{"timestamp": "20\n{TEXT}\n{TEXT}\n', [2, 3], 1),
    "an item of an array": (f"[{TEXT},{{bad}},{TEXT}]", [1, 3], 1),
    "an item of a document": (f'{{"logs": [{TEXT},{{"a" 1}},{TEXT}]}}', [1, 3], 1),
    "an item of an array with an item a line": (f"[\n{TEXT},\n{{bad}},\n{TEXT}\n]", [1, 3], 1),
    "the end of an array": (f"[{TEXT},{TEXT},{TEXT[:40]}", [1, 2], 1),
    "an object of several": (f"{TEXT}{{bad}}{TEXT}", [1, 3], 1),
}


@pytest.mark.parametrize(("body", "positions", "rejected"), BROKEN.values(), ids=BROKEN.keys())
def test_broken_json_costs_only_itself(body, positions, rejected):
    result = read(body)
    assert (result.records.position, result.rejected) == (positions, rejected)


def test_positions_are_lines_and_in_documents_events():
    assert read(f"\n{LINE}\n\n{LINE}\n").records.position == [2, 4]
    assert read(json.dumps([{"message": LINE}] * 3)).records.position == [1, 2, 3]
    assert read(json.dumps(WRAPPERS["CloudWatch"](LINE))).records.position == [1]


def test_parts_of_a_line_are_joined():
    cri = "2026-03-10T06:25:00Z {} {} {}"
    lines = [
        cri.format("stdout", "P", LINE[:50]),
        cri.format("stderr", "F", LINE),
        cri.format("stdout", "F", LINE[50:]),
    ]
    result = read("\n".join(lines))
    assert (result.records.position, result.rejected) == ([1, 2], 0)
    agent = LINE.replace("curl/8", "x" * 16_384)
    docker = [
        {"log": part, "stream": "stdout", "time": "2026-03-10T06:25:00Z"}
        for part in (agent[:16_384], agent[16_384:] + "\n")
    ]
    assert read("\n".join(map(json.dumps, docker))).records.user_agent == ["x" * 1024]


def test_a_line_that_is_too_long_is_rejected_by_itself():
    result = read(f"{LINE}\n{LINE[:-1]}{'x' * 70_000}\"\n{LINE}")
    assert (result.records.position, result.rejected) == ([1, 3], 1)
    assert "longer than" in result.errors[0].reason


def test_bytes_that_are_not_utf8_cost_no_line():
    body = LINE.encode().replace(b"curl/8", b"a\xffb") + b"\n" + TEXT.encode()
    agent, other = read(body).records.user_agent
    assert (agent, other) == ("a\ufffdb", "curl/8")


def test_a_control_message_holds_no_log():
    control = {"messageType": "CONTROL_MESSAGE", "logEvents": [{"message": "checking"}]}
    result = read_events([Event(1, control), Event(2, LINE)], ReadOptions())
    assert (result.records.position, result.rejected, result.skipped) == ([2], 0, 1)


def test_the_time_of_the_shipper_serves_a_log_without_one():
    record = {name: value for name, value in CONTRACT.items() if name != "timestamp"}
    wrapped = {"time": "2024-02-01T08:00:04Z", "stream": "stdout", "log": json.dumps(record)}
    assert read(json.dumps(wrapped)).records.time == [1706774404.0]
    assert read_events([Event(1, record, 5.0)], ReadOptions()).records.time == [5.0]
    assert read_events([Event(1, CONTRACT, 5.0)], ReadOptions()).records.time == [1706774403.0]


def test_wrappers_are_opened_to_a_bounded_depth():
    value = LINE
    for _ in range(50):
        value = {"message": value}
    result = read_events([Event(1, value), Event(2, LINE)], ReadOptions())
    assert (result.records.position, result.rejected) == ([2], 1)
    deep = "[" * 100_000 + "\n" + LINE
    assert read(deep).rejected == 1
