"""JSON records -> logs, by a table of the names that servers give to the contract's fields.

The first name that holds a value wins, so the contract's own names come first. A dot steps into an
object; a key that itself holds a dot (Elastic's flat form) is found too. Sources: nginx
`log_format ... escape=json` as commonly written, Caddy's and Traefik's JSON access logs, the
Elastic Common Schema, AWS API Gateway's standard fields.
"""

from typing import NamedTuple

from api_anomaly.logs.formats import fields as normalize
from api_anomaly.logs.formats.fields import BadLine, Parsed, Truth, Value

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
RECEIVED = (
    "request_size request_length bytes_read http.request.body.bytes RequestContentSize".split()
)
SENT = (
    "response_size body_bytes_sent bytes_sent http.response.body.bytes DownstreamContentSize"
    " responseLength size bytes"
).split()


class Duration(NamedTuple):
    """A name for the time a request took, and its unit in seconds."""

    name: str
    seconds: float


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


def record(value: Value) -> Parsed:
    """One JSON object -> a log. what the file knows (`label`, ...) goes into the truth alone."""
    if not isinstance(value, dict):
        raise BadLine("not a JSON object")
    method, target = _request(value)
    return Parsed(
        normalize.log(
            timestamp=_first(value, TIMESTAMP),
            user=_first(value, USER),
            client=_first(value, CLIENT),
            method=method,
            target=target,
            code=_first(value, STATUS),
            agent=_first(value, AGENT),
            seconds=_seconds(value),
            received=_first(value, RECEIVED),
            sent=_first(value, SENT),
        ),
        _truth(value),
    )


def _request(value: dict[str, Value]) -> tuple[str, str]:
    method = normalize.text(_first(value, METHOD), normalize.METHOD_LENGTH)
    target = normalize.text(_first(value, ENDPOINT), normalize.ENDPOINT_LENGTH)
    if method and target:
        return method.upper(), normalize.endpoint(target)
    line = normalize.text(_first(value, REQUEST_LINE), normalize.ENDPOINT_LENGTH)
    if line:
        return normalize.request_line(line)
    raise BadLine("no method and endpoint, and no request line")


def _seconds(value: dict[str, Value]) -> float | None:
    for name, unit in DURATIONS:
        count = normalize.number(_at(value, name))
        if count is not None:
            return count * unit
    return None


def _truth(value: dict[str, Value]) -> Truth | None:
    if "label" not in value:
        return None
    label = value["label"]
    return Truth(
        label=int(label) if label in (0, 1) and isinstance(label, (int, float)) else None,
        attack=normalize.text(value.get("attack"), normalize.USER_LENGTH),
        actor=normalize.text(value.get("actor"), normalize.USER_LENGTH),
        case=normalize.text(value.get("case"), normalize.USER_LENGTH),
    )


def _first(value: dict[str, Value], names: list[str]) -> Value:
    for name in names:
        found = _at(value, name)
        if found is not None and found != "" and found != "-" and not isinstance(found, dict):
            return found
    return None


def _at(value: dict[str, Value], name: str) -> Value:
    if name in value:
        return value[name]
    if "." not in name:
        return None
    step, _, rest = name.partition(".")
    inner = value.get(step)
    return _at(inner, rest) if isinstance(inner, dict) else None
