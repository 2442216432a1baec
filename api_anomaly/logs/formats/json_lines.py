"""JSON records: a table of the names that servers give to the ten fields.

The first name that holds a value is taken; the names of the HTTP contract come first. A dot steps
into an object; a key that itself holds a dot (Elastic's flat form) is found too. Sources: nginx
`log_format ... escape=json` as commonly written, the JSON access logs of Caddy and Traefik, the
Elastic Common Schema, the standard fields of AWS API Gateway.
"""

from typing import NamedTuple

from api_anomaly.logs.formats import normalize
from api_anomaly.logs.formats.format import JsonFormat, ParseError, RawLog, Value

TIMESTAMP = (
    "timestamp time_iso8601 @timestamp time ts time_local msec StartUTC requestTime datetime date"
    " start_time"
).split()
USER = "user_id remote_user user.name username user ClientUsername auth_user".split()
ENDPOINT = (
    "endpoint request_uri request.uri RequestPath url.original url.path uri path url resourcePath"
    " target"
).split()
METHOD = (
    "method request_method request.method RequestMethod http.request.method http_method httpMethod"
    " verb"
).split()
REQUEST_LINE = "request request_line".split()
STATUS = (
    "status_code status DownstreamStatus http.response.status_code response_code http_status"
    " statusCode code response"
).split()
CLIENT = (
    "ip_address remote_addr request.client_ip request.remote_ip ClientHost source.ip client.ip"
    " client_ip remote_ip clientip ip remote_host client"
).split()
AGENT = (
    "user_agent.original user_agent http_user_agent request.headers.User-Agent request_User-Agent"
    " useragent userAgent agent"
).split()
REQUEST_SIZE = (
    "request_size request_length bytes_read http.request.body.bytes RequestContentSize".split()
)
RESPONSE_SIZE = (
    "response_size body_bytes_sent bytes_sent http.response.body.bytes DownstreamContentSize"
    " responseLength size bytes"
).split()


class Duration(NamedTuple):
    """A name for the duration of a request, and its unit in seconds."""

    name: str
    unit_seconds: float


DURATIONS = (
    Duration("response_time", 1.0),
    Duration("request_time", 1.0),
    Duration("duration", 1.0),  # Caddy
    Duration("Duration", 1e-9),  # Traefik
    Duration("event.duration", 1e-9),  # Elastic Common Schema
    Duration("duration_ms", 1e-3),
    Duration("response_time_ms", 1e-3),
    Duration("latency_ms", 1e-3),
    Duration("responseLatency", 1e-3),  # AWS API Gateway
    Duration("upstream_response_time", 1.0),
)


def parse(record: dict[str, Value]) -> RawLog:
    """One decoded JSON object."""
    method, target = _method_and_endpoint(record)
    return RawLog(
        timestamp=_first(record, TIMESTAMP),
        user=_first(record, USER),
        client=_first(record, CLIENT),
        method=method,
        endpoint=target,
        status=_first(record, STATUS),
        agent=_first(record, AGENT),
        seconds=_duration_seconds(record),
        request_size=_first(record, REQUEST_SIZE),
        response_size=_first(record, RESPONSE_SIZE),
    )


def recognizes(record: dict[str, Value]) -> bool:
    """Whether the record holds a request, by names that servers use."""
    has_request = _first(record, METHOD) and _first(record, ENDPOINT)
    return bool(has_request or _first(record, REQUEST_LINE))


def _method_and_endpoint(record: dict[str, Value]) -> tuple[str, str]:
    method = normalize.text(_first(record, METHOD), normalize.METHOD_LENGTH)
    target = normalize.text(_first(record, ENDPOINT), normalize.ENDPOINT_LENGTH)
    if method and target:
        return method.upper(), normalize.endpoint(target) or "-"
    line = normalize.text(_first(record, REQUEST_LINE), normalize.ENDPOINT_LENGTH)
    if line:
        return normalize.request_line(line)
    raise ParseError("no method and endpoint, and no request line")


def _duration_seconds(record: dict[str, Value]) -> float | None:
    for name, unit_seconds in DURATIONS:
        count = normalize.number(_value_at(record, name))
        if count is not None:
            return count * unit_seconds
    return None


def _first(record: dict[str, Value], names: list[str]) -> Value:
    for name in names:
        value = _value_at(record, name)
        if value is not None and value != "" and value != "-" and not isinstance(value, dict):
            return value
    return None


def _value_at(record: dict[str, Value], name: str) -> Value:
    if name in record:
        return record[name]
    if "." not in name:
        return None
    key, _, rest = name.partition(".")
    inner = record.get(key)
    return _value_at(inner, rest) if isinstance(inner, dict) else None


JSON_LINES = JsonFormat(
    name="ndjson",
    title="JSON lines, one log a line",
    recognizes=recognizes,
    parse=parse,
    example=(
        '{"timestamp": "2024-05-12T00:00:17.250Z", "user_id": "u-17", "endpoint": "/a?b=1",'
        ' "method": "GET", "status_code": 200, "response_time": 0.5, "ip_address": "192.0.2.1",'
        ' "user_agent": "curl/8", "request_size": 10, "response_size": 20}'
    ),
)
