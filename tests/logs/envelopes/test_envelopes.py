"""The envelopes against the packages of their protocols, and with anything else in them."""

import base64
import gzip
import json

import cramjam
import pytest
from api_anomaly.logs.envelopes import elastic_bulk, firehose, loki, otlp, protobuf, splunk_hec
from api_anomaly.logs.envelopes.broken import EnvelopeBroken
from api_anomaly.logs.envelopes.splunk_hec import Code, HecBroken, HecError
from api_anomaly.logs.formats.read import Event, ReadOptions, read_events
from hypothesis import example, given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.common.v1 import common_pb2

MAX_BYTES = 1 << 16
READERS = {
    "otlp protobuf": otlp.read_protobuf,
    "otlp json": otlp.read_json,
    "loki protobuf": lambda body: loki.read_protobuf(body, MAX_BYTES),
    "loki json": loki.read_json,
    "bulk": lambda body: elastic_bulk.read(body).events,
    "hec event": lambda body: splunk_hec.read_events(body).events,
    "hec raw": splunk_hec.read_raw,
    "firehose": lambda body: firehose.read(body, MAX_BYTES).events,
}
LINE = '198.51.100.1 - ivy [01/Jun/2024:08:22:05 +0000] "GET /me HTTP/1.1" 200 77 "-" "curl/8"'
every_reader = pytest.mark.parametrize("read", READERS.values(), ids=READERS.keys())

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            "resourceLogs scopeLogs logRecords attributes key value stringValue intValue body"
            " timeUnixNano arrayValue kvlistValue values streams stream time event records data"
            " requestId create index update _id doc".split()
        )
        | st.text(max_size=5),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)


def read_or_refuse(read, body):
    """Reads a body, which must give events that can be read, or EnvelopeBroken with a reason."""
    try:
        events = read(body)
    except EnvelopeBroken as error:
        assert str(error)
        return
    assert [event.position for event in events] == sorted(event.position for event in events)
    for event in events:
        assert isinstance(event.value, (str, dict))
        assert event.time is None or event.time > 0
    read_events(events, ReadOptions("ndjson"))


@every_reader
@given(body=st.binary(max_size=200))
@example(b"")
@example(b"[" * 100_000)
@example(b"\x0a" * 100)
@example(b"{" + b'"a":{' * 5_000)
def test_any_bytes_are_events_or_a_broken_envelope(read, body):
    read_or_refuse(read, body)


@every_reader
@given(values=st.lists(json_values, max_size=4), separator=st.sampled_from([b"", b"\n", b" "]))
def test_any_json_is_events_or_a_broken_envelope(read, values, separator):
    read_or_refuse(read, separator.join(json.dumps(value).encode() for value in values))


# --- OpenTelemetry

any_values = st.recursive(
    st.builds(lambda value: common_pb2.AnyValue(string_value=value), st.text())
    | st.builds(
        lambda value: common_pb2.AnyValue(int_value=value), st.integers(-(2**63), 2**63 - 1)
    )
    | st.builds(lambda value: common_pb2.AnyValue(double_value=value), st.floats(allow_nan=False))
    | st.builds(lambda value: common_pb2.AnyValue(bool_value=value), st.booleans()),
    lambda inner: st.builds(
        lambda values: common_pb2.AnyValue(array_value=common_pb2.ArrayValue(values=values)),
        st.lists(inner, max_size=3),
    )
    | st.builds(
        lambda items: common_pb2.AnyValue(
            kvlist_value=common_pb2.KeyValueList(
                values=[common_pb2.KeyValue(key=key, value=value) for key, value in items.items()]
            )
        ),
        st.dictionaries(st.text(), inner, max_size=3),
    ),
    max_leaves=5,
)


def plain(value):
    """The Python value of an AnyValue, by the official package."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(item) for item in value.array_value.values]
    if kind == "kvlist_value":
        return {item.key: plain(item.value) for item in value.kvlist_value.values}
    return None if kind is None else getattr(value, kind)


@given(
    attributes=st.dictionaries(st.text(), any_values, max_size=4),
    body=st.none() | any_values,
    time=st.integers(0, 2**64 - 1),
    observed=st.integers(0, 2**63 - 1),
    others=st.binary(max_size=16),
)
def test_protobuf_is_read_as_the_official_package_reads_it(
    attributes, body, time, observed, others
):
    request = logs_service_pb2.ExportLogsServiceRequest()
    scope = request.resource_logs.add().scope_logs.add()
    record = scope.log_records.add(
        time_unix_nano=time,
        observed_time_unix_nano=observed,
        severity_number=9,
        severity_text="INFO",
        flags=1,
        trace_id=others,
    )
    for key, value in attributes.items():
        record.attributes.add(key=key, value=value)
    if body is not None:
        record.body.CopyFrom(body)
    scope.log_records.add()
    expected = {key: plain(value) for key, value in attributes.items()}
    facts = {"timeUnixNano": time, "observedTimeUnixNano": observed, "body": body and plain(body)}
    expected.update({name: fact for name, fact in facts.items() if fact not in (0, None)})
    first, second = otlp.read_protobuf(request.SerializeToString())
    assert first.value == expected
    assert first.time == ((time or observed) / 1e9 or None)
    assert second == Event(2, {}, None)


@given(st.integers(1, 2**62), st.text())
def test_answers_are_what_the_official_package_reads(rejected, reason):
    answer = logs_service_pb2.ExportLogsServiceResponse()
    answer.ParseFromString(otlp.response(rejected, reason, protobuf=True))
    assert answer.partial_success.rejected_log_records == rejected
    assert answer.partial_success.error_message == reason
    assert json.loads(otlp.response(rejected, reason, protobuf=False)) == {
        "partialSuccess": {"rejectedLogRecords": str(rejected), "errorMessage": reason}
    }


def test_an_answer_without_rejected_records_is_empty():
    assert otlp.response(0, "", protobuf=True) == b""
    assert otlp.response(0, "", protobuf=False) == b"{}"


def test_errors_are_a_status_of_grpc():
    # google.rpc.Status: 1 code, 2 message.
    assert otlp.status(3, "no", protobuf=True) == b"\x08\x03\x12\x02no"
    assert json.loads(otlp.status(3, "no", protobuf=False)) == {"code": 3, "message": "no"}


def test_values_that_nest_too_deeply_are_refused():
    value = common_pb2.AnyValue(string_value="x")
    for _ in range(otlp.MAX_DEPTH + 2):
        value = common_pb2.AnyValue(array_value=common_pb2.ArrayValue(values=[value]))
    request = logs_service_pb2.ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    record.attributes.add(key="deep", value=value)
    with pytest.raises(EnvelopeBroken, match="deep"):
        otlp.read_protobuf(request.SerializeToString())


def test_numbers_in_json_may_be_texts_and_other_names_are_ignored():
    body = {
        "resourceLogs": [
            {
                "scopeLogs": [
                    {
                        "logRecords": [
                            {
                                "timeUnixNano": 5_000_000_000,
                                "traceId": "ab",
                                "unknown": [1],
                                "attributes": [
                                    {"key": "a", "value": {"intValue": "-7"}},
                                    {"key": "b", "value": {"intValue": 8}},
                                    {"key": "c", "value": {"doubleValue": 0.5}},
                                    {"key": "d", "value": {"boolValue": False}},
                                    {"key": "e", "value": {}},
                                    {"key": "f"},
                                ],
                            }
                        ]
                    }
                ]
            }
        ]
    }
    value = {"a": -7, "b": 8, "c": 0.5, "d": False, "e": None, "f": None}
    expected = [Event(1, {**value, "timeUnixNano": 5_000_000_000}, 5.0)]
    assert otlp.read_json(json.dumps(body).encode()) == expected
    assert otlp.events_of_document(body) == expected
    with pytest.raises(EnvelopeBroken, match="protocol"):
        otlp.events_of_document({"resourceLogs": 1})


def test_half_a_character_in_a_text_costs_no_batch():
    text = r'{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":{"stringValue":"a\ud800"}}]}]}]}'
    assert otlp.read_json(text.encode())[0].value == {"body": "a\ud800"}
    bad = text.encode().replace(rb"\ud800", b"\xff")
    assert otlp.read_json(bad)[0].value == {"body": "a\ufffd"}


# --- Protobuf


@given(st.integers(0, 2**64 - 1))
def test_numbers_are_read_as_they_are_written(value):
    encoded = protobuf.encode_varint(value)
    assert protobuf.varint(encoded, 0) == (value, len(encoded))


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x0a\x05ab", "ends after"),
        (b"\x09\x01", "ends after"),
        (b"\x08" + b"\xff" * 11, "64 bits"),
        (b"\x08\x80", "cut off"),
        (b"\x00\x00", "field number"),
        (b"\x0b", "wire type"),
        (b"\xff\xff\xff\xff\x7f", "field number"),
    ],
)
def test_broken_messages_say_why(data, reason):
    with pytest.raises(EnvelopeBroken, match=reason):
        list(protobuf.fields(data))


def test_a_number_is_no_message():
    with pytest.raises(EnvelopeBroken, match="message"):
        protobuf.message(1)


# --- Loki


def push_request(lines):
    """A PushRequest of (seconds, nanoseconds, line) in a snappy block."""
    entries = b""
    for seconds, nanoseconds, line in lines:
        stamp = protobuf.encode_number(1, seconds) + protobuf.encode_number(2, nanoseconds)
        entry = protobuf.encode_bytes(1, stamp) + protobuf.encode_bytes(2, line.encode())
        entries += protobuf.encode_bytes(2, entry)
    stream = protobuf.encode_bytes(1, b'{job="nginx"}') + entries
    return bytes(cramjam.snappy.compress_raw(protobuf.encode_bytes(1, stream)))


def test_loki_entries_have_their_times():
    body = push_request([(1_717_230_125, 500_000_000, "a"), (0, 0, "b")])
    assert loki.read_protobuf(body, MAX_BYTES) == [Event(1, "a", 1_717_230_125.5), Event(2, "b")]
    assert loki.read_protobuf(b"", MAX_BYTES) == []


def test_the_length_of_a_snappy_block_is_bounded():
    body = push_request([(1, 0, "x" * 1_000)])
    length, _ = protobuf.varint(body, 0)
    assert len(loki.read_protobuf(body, length)) == 1
    with pytest.raises(EnvelopeBroken, match="more than"):
        loki.read_protobuf(body, length - 1)
    for claimed in (b"\xff\xff\xff\xff\x0f", b"\x80\x80\x01"):
        with pytest.raises(EnvelopeBroken, match="snappy"):
            loki.uncompressed(claimed + b"\x00", 1 << 40)
    assert loki.uncompressed(b"\x00", MAX_BYTES) == b""


@given(st.binary(max_size=2_000) | st.builds(bytes, st.integers(0, 60_000)))
def test_every_snappy_block_is_within_the_ratio(data):
    assert loki.uncompressed(bytes(cramjam.snappy.compress_raw(data)), MAX_BYTES) == data


# --- Elasticsearch bulk


def test_the_items_of_a_bulk_request_tell_what_became_of_each_line():
    lines = [
        b'{"create": {"_index": "logs", "_id": "7"}}',
        b'{"message": "a"}',
        b'{"index": {}}',
        b"not a document",
        b'{"delete": {"_id": "8"}}',
        b'{"update": {"_id": "9"}}',
        b'{"doc": {"message": "b"}}',
        b"not an action",
        b'{"index": {}}',
    ]
    items, events = elastic_bulk.read(b"\n".join(lines) + b"\n")
    assert events == [Event(1, {"message": "a"}), Event(4, {"message": "b"})]
    assert [(item.action, item.document_id, item.error is None) for item in items] == [
        ("create", "7", True),
        ("index", None, False),
        ("delete", "8", True),
        ("update", "9", True),
        ("index", None, False),
        ("index", None, False),
    ]
    assert items[0].index_name == "logs"
    for body in (b"", b'{"message": "a"}\n'):
        with pytest.raises(EnvelopeBroken):
            elastic_bulk.read(body)


# --- Splunk


def test_facts_of_an_event_hold_for_those_behind_it():
    body = json.dumps({"time": "1717230125.5", "event": LINE}) + json.dumps({"event": {"a": 1}})
    events, errors = splunk_hec.read_events(body.encode())
    assert events == [Event(1, LINE, 1_717_230_125.5), Event(2, {"a": 1}, 1_717_230_125.5)]
    assert errors == []


def test_a_bad_event_costs_no_other():
    body = b'[{"event": "a"}, {"time": 1}, {"event": " "}, {"event": [1]}] {"event": "b"} {'
    events, errors = splunk_hec.read_events(body)
    assert [event.value for event in events] == ["a", "[1]", "b"]
    assert errors == [
        HecError(1, Code.EVENT_REQUIRED),
        HecError(2, Code.EVENT_BLANK),
        HecError(5, Code.INVALID_DATA_FORMAT),
    ]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", Code.NO_DATA),
        (b"{", Code.INVALID_DATA_FORMAT),
        (b"1", Code.INVALID_DATA_FORMAT),
        (b"{}", Code.EVENT_REQUIRED),
        (b'{"event": ""}', Code.EVENT_BLANK),
    ],
)
def test_a_body_without_events_has_splunks_code(body, code):
    with pytest.raises(HecBroken) as caught:
        splunk_hec.read_events(body)
    assert caught.value.code == code


# --- Firehose


def delivery(*records):
    """A delivery of these records."""
    encoded = [{"data": base64.b64encode(record).decode()} for record in records]
    return json.dumps({"requestId": "r-1", "timestamp": 1, "records": encoded}).encode()


def test_records_hold_lines_gzip_and_nothing():
    line = LINE.encode()
    body = delivery(line, gzip.compress(line + b"\n") + gzip.compress(line), b"", line + b"\n")
    request_id, events = firehose.read(body, MAX_BYTES)
    assert request_id == "r-1"
    assert [event.position for event in events] == [1, 2, 3, 4]
    assert {event.value for event in events} == {LINE}


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        (gzip.compress(bytes(MAX_BYTES + 1)), "too many"),
        (bytes(MAX_BYTES + 1), "more than"),
        (gzip.compress(b"abc")[:-4], "cut off"),
        (b"\x1f\x8b\x08" + b"\xff" * 20, "not valid"),
        (gzip.compress(b"a") * (firehose.MAX_MEMBERS + 1), "members"),
    ],
    ids=["much gzip", "much text", "cut off", "no gzip", "many members"],
)
def test_records_of_too_much_or_broken_gzip_are_refused(record, reason):
    with pytest.raises(EnvelopeBroken, match=reason):
        firehose.read(delivery(record), MAX_BYTES)


def test_records_share_one_limit():
    half = gzip.compress(b"a" * (MAX_BYTES // 2))
    assert len(firehose.read(delivery(half, half), MAX_BYTES).events) == 2
    with pytest.raises(EnvelopeBroken):
        firehose.read(delivery(half, half, half), MAX_BYTES)


def test_data_that_is_not_base64_is_refused():
    with pytest.raises(EnvelopeBroken, match="base64"):
        firehose.read(b'{"requestId": "r", "records": [{"data": "?"}]}', MAX_BYTES)


def test_common_attributes():
    header = '{"commonAttributes":{"format":"combined"}}'
    assert firehose.common_attributes(header) == {"format": "combined"}
    for broken in (None, "", "{", '{"commonAttributes": 1}'):
        assert firehose.common_attributes(broken) == {}
