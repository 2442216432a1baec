"""Bodies are decoded or rejected as the HTTP contract says, field by field."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_anomaly.logs.decode import MAX_ERRORS, Decoder, DetectRequest
from api_anomaly.errors import BatchTooLarge, Invalid

MINIMAL_LOG = {
    "timestamp": "2024-01-31T13:45:00Z",
    "user_id": "u",
    "endpoint": "/",
    "method": "GET",
    "status_code": 200,
}
decoder = Decoder(max_detect_logs=300, max_train_logs=300)


def decoded(**fields: Any) -> DetectRequest:
    return decoder.decode_detect(json.dumps({"logs": [MINIMAL_LOG | fields]}).encode())


def error_locations(*logs: Any, **options: Any) -> list[tuple[Any, ...]]:
    """The locations of the errors of a body, without the leading "body"."""
    with pytest.raises(Invalid) as error:
        decoder.decode_detect(json.dumps({"logs": list(logs)} | options).encode())
    assert all(
        item["loc"][0] == "body" and item["type"] and item["msg"] for item in error.value.items
    )
    return [tuple(item["loc"][1:]) for item in error.value.items]


@pytest.mark.parametrize(
    ("timestamp", "seconds"),
    [
        ("2024-01-31T13:45:00Z", 1706708700.0),
        ("2024-01-31T13:45:00", 1706708700.0),
        ("2024-01-31 13:45:00", 1706708700.0),
        ("2024-01-31T15:45:00+02:00", 1706708700.0),
        ("2024-01-31T13:45:00.250Z", 1706708700.25),
        ("2024-01-31", 1706659200.0),
        (1706708700, 1706708700.0),
        (1706708700.25, 1706708700.25),
        (0, 0.0),
        (-1.5, -1.5),
    ],
)
def test_a_timestamp_is_iso_8601_or_unix_seconds_and_naive_means_utc(
    timestamp: object, seconds: float
) -> None:
    request = decoded(timestamp=timestamp)
    assert request.columns.time.tolist() == [seconds]
    assert request.logs[0].timestamp.isoformat().endswith("+00:00")


@pytest.mark.parametrize(
    "timestamp",
    [
        *("yesterday", "", "2024-13-01", "2024-01-31T25:00:00", "1706708700", "20240131", "2024"),
        *(None, True, [], {}, math.nan, math.inf, 1e18, -1e18, 10**30),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"),
    ],
)
def test_an_invalid_timestamp_is_an_error_of_its_field(timestamp: object) -> None:
    assert error_locations(MINIMAL_LOG | {"timestamp": timestamp}) == [("logs", 0, "timestamp")]


@pytest.mark.parametrize("field", ["timestamp", "endpoint", "method", "status_code"])
def test_a_required_field_must_be_there(field: str) -> None:
    log = {name: value for name, value in MINIMAL_LOG.items() if name != field}
    assert error_locations(MINIMAL_LOG, log) == [("logs", 1, field)]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("user_id", value) for value in (5, "", "x" * 257, True, ["u"])),
        *(("endpoint", value) for value in (None, "", "x" * 8193, 5)),
        *(("method", value) for value in (None, 5, "x" * 65)),
        *(("status_code", value) for value in (99, 600, "abc", "", True, None, 200.5, math.nan)),
        *(("response_time", value) for value in (math.nan, math.inf, -math.inf, "fast", True, "1")),
        *(("ip_address", value) for value in ("", "localhost", "1.2.3", "1.2.3.4.5", 16909060)),
        *(("ip_address", value) for value in (":::1", "1.2.3.4\0", "１.2.3.4", True)),
        *(("user_agent", value) for value in (5, True, ["curl"])),
        *(("request_size", value) for value in ("512", 512.5, True, math.nan, 10**400)),
        *(("response_size", value) for value in ("512", 512.5, False, math.inf)),
        *(("label", value) for value in (2, -1, 0.5, "1", True, False)),
    ],
)
def test_an_invalid_value_is_an_error_of_its_field(field: str, value: object) -> None:
    assert error_locations(MINIMAL_LOG, MINIMAL_LOG | {field: value}) == [("logs", 1, field)]


def test_a_log_without_user_and_address_is_invalid() -> None:
    assert error_locations(MINIMAL_LOG | {"user_id": None}) == [("logs", 0, "user_id")]
    assert error_locations(MINIMAL_LOG | {"user_id": None, "ip_address": None}) == [
        ("logs", 0, "user_id")
    ]


def test_a_user_or_an_address_is_enough() -> None:
    assert decoded(user_id=None, ip_address="192.0.2.1").columns.address[0].tolist() == [
        0,
        0xFFFF_C000_0201,
    ]
    assert decoded(ip_address=None).columns.address[0].tolist() == [0, 0]


@pytest.mark.parametrize("address", ["2001:db8::1", "::ffff:192.0.2.1", "0.0.0.0", "fe80::1%eth0"])
def test_every_form_of_an_ip_address_is_read(address: str) -> None:
    assert decoded(ip_address=address).logs[0].ip_address == address


@pytest.mark.parametrize("value", [None, -1, -0.5])
def test_null_and_negative_numbers_are_unknown(value: float | None) -> None:
    sizes = None if value is None else int(value - 1)
    columns = decoded(response_time=value, request_size=sizes, response_size=sizes).columns
    assert np.isnan([columns.response_time, columns.request_size, columns.response_size]).all()


def test_absent_fields_are_unknown() -> None:
    columns = decoded().columns
    assert np.isnan([columns.response_time, columns.request_size, columns.response_size]).all()
    assert columns.agent.data.size == 0


def test_a_numeric_text_is_a_status_and_a_whole_float_a_size() -> None:
    columns = decoded(status_code="404", request_size=512.0, response_size=7).columns
    assert (columns.status[0], columns.request_size[0], columns.response_size[0]) == (404, 512, 7)


def test_a_method_is_upper_cased() -> None:
    assert decoded(method="get").logs[0].method == "GET"


def test_a_long_user_agent_is_cut() -> None:
    assert decoded(user_agent="x" * 5_000).columns.agent.data.size == 1024


def test_unknown_fields_are_ignored() -> None:
    assert len(decoded(colour="red", nested={"deep": [1]}).logs) == 1


def test_labels_are_read_for_training_only() -> None:
    logs = [MINIMAL_LOG | {"label": label} for label in (0, 1, 1.0, None)] + [MINIMAL_LOG]
    labels = decoder.decode_train(json.dumps({"logs": logs}).encode()).labels
    assert labels.tolist()[:3] == [0, 1, 1]
    assert np.isnan(labels[3:]).all()


@pytest.mark.parametrize("test_size", [0, 1, -0.1, 1.5, "0.2", True, math.nan])
def test_a_test_size_is_a_fraction(test_size: object) -> None:
    with pytest.raises(Invalid) as error:
        decoder.decode_train(json.dumps({"logs": [MINIMAL_LOG], "test_size": test_size}).encode())
    assert [item["loc"] for item in error.value.items] == [["body", "test_size"]]


@pytest.mark.parametrize("threshold", [0.1, -1.1, "-0.5", True, math.nan, math.inf])
def test_a_threshold_lies_between_minus_one_and_zero(threshold: object) -> None:
    assert error_locations(MINIMAL_LOG, threshold=threshold) == [("threshold",)]


@pytest.mark.parametrize("field", ["include_scores", "include_rules", "update_state"])
def test_an_option_is_true_or_false(field: str) -> None:
    assert error_locations(MINIMAL_LOG, **{field: "yes"}) == [(field,)]
    assert error_locations(MINIMAL_LOG, **{field: 1}) == [(field,)]


def test_null_options_mean_the_defaults() -> None:
    names = ("threshold", "include_scores", "include_rules", "update_state", "on_invalid")
    options: dict[str, Any] = dict.fromkeys(names)
    request = decoder.decode_detect(json.dumps({"logs": []} | options).encode())
    assert request[2:] == (None, False, False, True, None)
    assert decoder.decode_train(b'{"logs": [], "test_size": null}').test_size == 0.2


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"[]", b'"logs"', b"null", b"5", b"true", b"NaN", b"\xff\xfe{}"),
        *(b'{"logs": 5}', b'{"logs": {}}', b'{"logs": null}', b"{}", b'{"log": []}'),
        *(b'{"logs": [5, null, [], "log"]}', b'{"logs": ["\\ud800"]}', b'{"logs": ["\xff"]}'),
        b'{"logs": ' + b"[" * 100_000,
    ],
)
def test_a_body_of_another_shape_is_invalid(body: bytes) -> None:
    with pytest.raises(Invalid) as error:
        decoder.decode_detect(body)
    assert error.value.items
    json.dumps(error.value.items, allow_nan=False).encode()


def test_all_errors_of_all_logs_and_options_are_listed() -> None:
    found = error_locations(
        MINIMAL_LOG,
        MINIMAL_LOG | {"user_id": 5},
        MINIMAL_LOG | {"status_code": 5},
        "log",
        threshold=7,
    )
    assert found == [
        ("logs", 1, "user_id"),
        ("logs", 2, "status_code"),
        ("logs", 3),
        ("threshold",),
    ]


def test_the_list_of_errors_is_bounded_and_the_rest_counted() -> None:
    body = json.dumps({"logs": [{}] * 200, "threshold": 9}).encode()
    with pytest.raises(Invalid) as error:
        decoder.decode_detect(body)
    assert len(error.value.items) == MAX_ERRORS
    assert error.value.more == 200 * 4 + 1 - MAX_ERRORS


def test_no_long_or_nonfinite_input_is_returned() -> None:
    with pytest.raises(Invalid) as error:
        logs = [
            MINIMAL_LOG | {"user_id": "x" * 100_000, "response_time": math.nan, "label": 10**80}
        ]
        decoder.decode_detect(json.dumps({"logs": logs}).encode())
    assert len(json.dumps(error.value.items, allow_nan=False)) < 2_000


def test_too_many_logs_are_rejected_as_such_even_if_invalid() -> None:
    for log in (MINIMAL_LOG, {}):
        with pytest.raises(BatchTooLarge, match="At most 300"):
            decoder.decode_detect(json.dumps({"logs": [log] * 301}).encode())
    assert (
        len(decoder.decode_detect(json.dumps({"logs": [MINIMAL_LOG] * 300}).encode()).logs) == 300
    )


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)
unusual_logs = st.fixed_dictionaries(
    {},
    optional={name: json_values for name in [*MINIMAL_LOG, "ip_address", "response_time", "label"]},
)


@settings(max_examples=80)
@given(st.lists(unusual_logs, max_size=4), json_values)
def test_any_json_is_either_decoded_or_invalid(logs: list[Any], threshold: Any) -> None:
    body = json.dumps(
        {"logs": [MINIMAL_LOG | log for log in logs], "threshold": threshold}
    ).encode()
    try:
        request = decoder.decode_detect(body)
    except Invalid as error:
        json.dumps(error.items, allow_nan=False).encode()
        assert error.items
    else:
        assert len(request.columns) == len(logs)


@settings(max_examples=200)
@given(st.binary(max_size=200))
def test_any_bytes_are_either_decoded_or_invalid(body: bytes) -> None:
    try:
        logs = decoder.decode_detect(body).logs
    except Invalid:
        return
    assert len(logs) == len(json.loads(body)["logs"])


@pytest.mark.parametrize("status", ["2_00", " 200", "200.0", "\u0662\u0660\u0660"])
def test_a_status_in_text_has_three_digits(status: str) -> None:
    with pytest.raises(Invalid):
        decoded(status_code=status)


def test_a_basic_iso_time_is_read_and_a_padded_method_is_trimmed() -> None:
    detection = decoded(timestamp="20250101T000000Z", method=" get ")
    assert detection.columns.time[0] == 1_735_689_600.0
    assert detection.logs[0].method == "GET"


def test_a_body_with_too_many_values_is_rejected_before_it_is_parsed() -> None:
    small = Decoder(10, 10)
    assert len(small.decode_detect(b'{"logs": [], "x": [' + b"0," * 99_000 + b"0]}").logs) == 0
    for read in (small.decode_detect, small.decode_train):
        with pytest.raises(BatchTooLarge, match="more values"):
            read(b'{"logs": [], "x": [' + b"0," * 101_000 + b"0]}")
