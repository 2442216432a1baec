"""What holds for every JSON format, whatever a record holds, and the rules of single formats."""

import json

import pytest
from api_anomaly.logs.formats.format import ParseError
from api_anomaly.logs.formats.json_records import table, times
from api_anomaly.logs.formats.json_records.web import go_duration
from api_anomaly.logs.formats.read import Event, ReadOptions, read_events
from api_anomaly.logs.formats.registry import FORMATS, JSON_FORMATS, recognize
from hypothesis import given
from hypothesis import strategies as st

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)


def example(name):
    """The decoded example of a format."""
    return json.loads(FORMATS[name].example)


def read(record):
    """The log of a record, or the reason why it is none."""
    result = read_events([Event(1, record)], ReadOptions())
    return result.records.as_dicts()[0] if result.records.count else result.errors[0].reason


def paths_of(value, path=()):
    """All paths of a decoded JSON object."""
    for key, inner in value.items():
        yield (*path, key)
        if isinstance(inner, dict):
            yield from paths_of(inner, (*path, key))


def changed(record, path, value):
    """A record with another value at a path."""
    key, *rest = path
    return {**record, key: changed(record[key], rest, value) if rest else value}


@pytest.mark.parametrize("row", JSON_FORMATS, ids=lambda row: row.name)
@given(data=st.data())
def test_any_value_anywhere_gives_a_log_or_a_parse_error(row, data):
    record = example(row.name)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(sorted(paths_of(record))))
        record = changed(record, path, data.draw(json_values))
    recognize(record, JSON_FORMATS)
    if row.recognizes(record):
        try:
            row.parse(record)
        except ParseError as error:
            assert str(error)
    result = read_events([Event(1, record)], ReadOptions(row.name))
    for log in result.records.as_dicts():
        json.dumps(log, allow_nan=False).encode("utf-8")


@given(record=st.dictionaries(st.text(), json_values))
def test_any_object_is_recognized_without_an_error(record):
    for row in JSON_FORMATS:
        row.recognizes(record)


@pytest.mark.parametrize("row", JSON_FORMATS, ids=lambda row: row.name)
def test_the_example_is_recognized_by_its_format_first(row):
    assert recognize(example(row.name), JSON_FORMATS) is row


def test_a_bare_duration_of_no_known_server_is_not_read():
    record = example("other_json")
    del record["duration_ms"]
    for name in ("duration", "latency", "elapsed", "took", "response_time"):
        assert read({**record, name: 12})["response_time"] is None
    for name, seconds in (("latency_us", 12e-6), ("durationSeconds", 12.0), ("took_ns", 12e-9)):
        assert read({**record, name: 12})["response_time"] == pytest.approx(seconds)


def test_the_request_time_of_nginx_is_in_seconds_and_that_of_others_unread():
    assert read({**example("nginx_json"), "request_time": "0.5"})["response_time"] == 0.5
    record = example("other_json")
    del record["duration_ms"]
    assert read({**record, "request_time": "0.5"})["response_time"] is None


def test_the_request_line_of_nginx_counts_more_than_its_rewritten_uri():
    record = {**example("nginx_json"), "uri": "/index.php", "args": "q=1"}
    assert read(record)["endpoint"] == "/api/users?page=2"


def test_a_key_id_is_the_user_of_a_log_without_user():
    record = {**example("nginx_json"), "remote_user": "-", "api_key_id": "k-7"}
    assert read(record)["user_id"] == "k-7"
    record = {**example("aws_apigateway"), "principalId": "-", "apiKeyId": "k-8"}
    assert read(record)["user_id"] == "k-8"
    record = {**example("tyk"), "alias": "", "api_key": "k-9"}
    assert read(record)["user_id"] == "k-9"


def test_a_template_is_the_path_only_where_no_path_is():
    record = example("aws_apigateway")
    assert read({**record, "resourcePath": "/{proxy+}"})["endpoint"] == "/pets"
    del record["path"]
    assert read({**record, "routeKey": "GET /pets/{id}"})["endpoint"] == "/pets/{id}"
    assert read({**record, "routeKey": "$default"}).startswith("no path")


@pytest.mark.parametrize(
    ("duration", "seconds"),
    [(0.25, 0.25), ("2.7ms", 0.0027), ("1m2s", 62.0), (2701, None), (0, 0.0), ("x", None)],
)
def test_the_duration_of_caddy_is_read_where_its_unit_is_certain(duration, seconds):
    log = read({**example("caddy"), "duration": duration})
    assert log["response_time"] == (seconds and pytest.approx(seconds))


def test_go_durations():
    assert go_duration("1h1m1.5s") == 3661.5
    assert go_duration("12µs") == pytest.approx(12e-6)
    assert go_duration("") is None
    assert go_duration("1..2s") is None


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (None, 200),
        ("Client.UnauthorizedOperation", 403),
        ("Client.RequestLimitExceeded", 429),
        ("NoSuchBucket", 404),
        ("InternalFailure", 500),
        ("ValidationException", 400),
    ],
)
def test_the_error_code_of_cloudtrail_gives_the_status(code, status):
    assert read({**example("aws_cloudtrail"), "errorCode": code})["status_code"] == status


def test_the_unit_of_an_application_gateway_of_neither_version_is_unknown():
    record = example("azure_application_gateway")
    for name in ("transactionId", "originalRequestUriWithArgs"):
        del record["properties"][name]
    assert read(record)["response_time"] is None
    record["properties"]["instanceId"] = "ApplicationGatewayRole_IN_0"
    assert read(record)["response_time"] == pytest.approx(0.013e-3)


def test_a_watch_is_no_slow_request_and_a_panic_is_an_error():
    record = example("k8s_audit")
    assert read({**record, "verb": "watch"})["response_time"] is None
    record = {**record, "stage": "Panic", "responseStatus": None}
    assert read(record)["status_code"] == 500


def test_the_peer_of_traefik_is_not_what_the_client_says():
    record = {**example("traefik"), "ClientHost": "203.0.113.99"}
    assert read(record)["ip_address"] == "192.0.2.7"


def test_envoy_without_a_peer_appended_it_to_the_list():
    record = example("envoy_json")
    del record["downstream_remote_address"]
    record["x_forwarded_for"] = "203.0.113.1, 203.0.113.2"
    assert read(record)["ip_address"] == "203.0.113.2"


def test_any_value_of_the_elastic_schema_may_be_a_list():
    record = example("ecs")
    record["http"]["request"]["method"] = ["post"]
    record["event"]["duration"] = [12345678]
    record["client"] = {"ip": ["198.51.100.77", "10.0.0.1"]}
    assert read(record) == read(example("ecs"))


def test_the_apache2_parser_of_fluent_bit_writes_the_client_as_host():
    record = example("fluent")
    del record["remote"]
    assert read({**record, "host": "203.0.113.5"})["ip_address"] == "203.0.113.5"


def test_an_unknown_http_method_of_opentelemetry_is_the_original_one():
    record = {**example("otlp"), "http.request.method": "_OTHER"}
    assert read(record)["method"] == "_OTHER"
    assert read({**record, "http.request.method_original": "PURGE"})["method"] == "PURGE"


def test_the_plans_of_a_table_are_bounded():
    parse = table.parser(table.Table(("t",), ("m",), ("e",), ("s",), ("c",)))
    plans = parse.__closure__[[*parse.__code__.co_freevars].index("plans")].cell_contents
    for number in range(3 * table.MAX_PLANS):
        parse({"m": "GET", "e": "/", f"k{number}": 1})
    parse({"m": "GET", "e": "/", "k" * (table.MAX_KEY_CHARACTERS + 1): 1})
    parse({"m": "GET", "e": "/", **{f"k{n}": 1 for n in range(table.MAX_KEYS + 1)}})
    assert len(plans) <= table.MAX_PLANS
    assert all(len(keys) <= table.MAX_KEYS for keys in plans)
    assert all(sum(map(len, keys)) <= table.MAX_KEY_CHARACTERS for keys in plans)


@given(st.integers(1, 10**18), st.integers(0, 10**12))
def test_durations_are_exact_to_the_nanosecond(start, nanoseconds):
    between = times.Moment(start + nanoseconds).seconds_since(times.Moment(start))
    assert between == nanoseconds / 1e9


def test_durations_between_times():
    assert times.seconds_between("2024-03-10T07:59:59.5Z", "2024-03-10T08:00:00+00:00") == 0.5
    assert times.seconds_between(1506702504433000200, "1506702504533000200") == 0.1
    assert times.seconds_between("2024-03-10T08:00:00Z", "2024-03-10T07:00:00Z") is None
    assert times.seconds_between(None, "no time") is None
