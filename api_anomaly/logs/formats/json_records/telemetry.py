"""Records with names of a convention: Kubernetes audit, Elastic Common Schema, OpenTelemetry."""

from typing import Final

from api_anomaly.logs.formats.format import JsonFormat, RawLog
from api_anomaly.logs.formats.json_records.table import (
    Record,
    Table,
    Unit,
    at,
    first_of,
    has,
    names,
    parser,
)
from api_anomaly.logs.formats.json_records.times import seconds_between

# --- Kubernetes audit

#: The verbs of requests to the API server -> methods. Other verbs are methods already.
VERBS: Final = {
    "get": "GET",
    "list": "GET",
    "watch": "GET",
    "create": "POST",
    "update": "PUT",
    "patch": "PATCH",
    "delete": "DELETE",
    "deletecollection": "DELETE",
}


def _audit(record: Record) -> RawLog | None:
    if record.get("stage") not in ("ResponseComplete", "Panic"):
        return None  # the same request comes again when it is answered
    verb, addresses = record.get("verb"), record.get("sourceIPs")
    peer = addresses[-1] if isinstance(addresses, list) and addresses else None
    status = at(record, "responseStatus.code")
    if status is None and record["stage"] == "Panic":
        status = 500
    start = record.get("requestReceivedTimestamp")
    # A watch lasts as long as somebody looks: that says nothing of how fast it was.
    end = None if verb == "watch" else record.get("stageTimestamp")
    return RawLog(
        timestamp=start,
        method=VERBS.get(verb, verb) if isinstance(verb, str) else None,
        endpoint=record.get("requestURI"),
        status=None if isinstance(status, (dict, list)) else status,
        client=peer,
        user=at(record, "user.username"),
        agent=record.get("userAgent"),
        seconds=seconds_between(start, end),
        forwarded=addresses[:-1] if isinstance(addresses, list) else None,
    )


def _is_audit(record: Record) -> bool:
    version = record.get("apiVersion")
    return type(version) is str and version.startswith("audit.k8s.io/") and "stage" in record


K8S_AUDIT = JsonFormat(
    name="k8s_audit",
    title="Kubernetes audit log, answered requests (user: user.username)",
    example=(
        '{"kind":"Event","apiVersion":"audit.k8s.io/v1","stage":"ResponseComplete",'
        '"requestURI":"/api/v1/namespaces/prod/secrets?limit=500","verb":"list",'
        '"user":{"username":"alice@example.com"},"sourceIPs":["198.51.100.44"],'
        '"userAgent":"kubectl/v1.34.0","responseStatus":{"code":200},'
        '"requestReceivedTimestamp":"2026-08-06T09:21:07.871402Z",'
        '"stageTimestamp":"2026-08-06T09:21:07.883901Z"}'
    ),
    recognizes=_is_audit,
    parse=_audit,
)

# --- Elastic Common Schema

_parse_ecs = parser(
    Table(
        timestamp=("@timestamp",),
        method=("http.request.method",),
        endpoint=names("url.original url.path url.full"),
        query=("url.query",),
        status=("http.response.status_code",),
        client=names("client.ip source.ip client.address source.address"),
        user=names("user.id user.name user.email client.user.id client.user.name source.user.name"),
        agent=("user_agent.original",),
        request_size=names("http.request.body.bytes http.request.bytes"),
        response_size=names("http.response.body.bytes http.response.bytes"),
        seconds=(Unit("event.duration", 1e-9),),
    )
)
_DEPTH: Final = 5  # of http.request.body.bytes
_ECS_REQUEST = names("http.request.method http.response.status_code")


def _ecs(record: Record) -> RawLog:
    raw = _parse_ecs(record)
    if list in map(type, raw) or isinstance(at(record, "event.duration"), list):
        record = _unlisted(record)
        raw = _parse_ecs(record)
    if raw.seconds is None and ("event" in record or "event.end" in record):
        start, end = (at(record, path) for path in ("event.start", "event.end"))
        return raw._replace(seconds=seconds_between(start, end))
    return raw


def _unlisted(record: Record, depth: int = 0) -> Record:
    """The record with the first entry of each list: any value of this schema may be a list."""
    return {
        key: (
            _unlisted(value, depth + 1)
            if isinstance(value, dict) and depth < _DEPTH
            else first_of(value)
        )
        for key, value in record.items()
    }


def _is_ecs(record: Record) -> bool:
    if "http" in record:
        return any(has(record, path) for path in _ECS_REQUEST)
    return any(path in record for path in _ECS_REQUEST)


ECS = JsonFormat(
    name="ecs",
    title="Elastic Common Schema, flat or nested (user: user.id, else user.name)",
    example=(
        '{"@timestamp":"2024-03-10T07:59:59.123Z","event":{"duration":12345678},"http":{"request":'
        '{"method":"post","body":{"bytes":120}},"response":{"status_code":201}},'
        '"url":{"original":"https://api.example.com/v1/orders?dry=1"},'
        '"client":{"ip":"198.51.100.77"},"user":{"id":"u-17"},'
        '"user_agent":{"original":"okhttp/4.12.0"}}'
    ),
    recognizes=_is_ecs,
    parse=_ecs,
)

# --- OpenTelemetry: the attributes of a log record, beside its times and its body

_parse_otlp = parser(
    Table(
        timestamp=names("timeUnixNano observedTimeUnixNano @timestamp timestamp"),
        method=names("http.request.method http.method"),
        endpoint=names("url.path http.target url.full http.url http.route"),
        query=("url.query",),
        status=names("http.response.status_code http.status_code"),
        client=names(
            "client.address http.client_ip client.ip network.peer.address net.sock.peer.addr"
            " source.address"
        ),
        user=names("enduser.id user.id user.name enduser.pseudo.id"),
        agent=names("user_agent.original http.user_agent"),
        request_size=names("http.request.body.size http.request_content_length"),
        response_size=names("http.response.body.size http.response_content_length"),
        forwarded=names("http.request.header.x-forwarded-for http.request.header.x_forwarded_for"),
        seconds=(
            Unit("http.server.request.duration", 1.0),
            Unit("http.server.duration", 1e-3),
        ),
    )
)
_OTLP_TIMES = ("timeUnixNano", "observedTimeUnixNano")
_OTLP_REQUEST = names("http.request.method http.method http.response.status_code http.status_code")


def _otlp(record: Record) -> RawLog:
    raw = _parse_otlp(record)
    if raw.method == "_OTHER":
        raw = raw._replace(method=at(record, "http.request.method_original") or "_OTHER")
    return raw


def _is_otlp(record: Record) -> bool:
    if any(name in record for name in _OTLP_TIMES):
        return any(has(record, path) for path in _OTLP_REQUEST)
    return "http.method" in record and ("http.target" in record or "http.url" in record)


OTLP = JsonFormat(
    name="otlp",
    title="OpenTelemetry log records with HTTP attributes, stable or old (user: enduser.id)",
    example=(
        '{"timeUnixNano":1717230123456789012,"http.request.method":"GET","url.path":"/v1/items",'
        '"url.query":"page=2","http.response.status_code":200,"client.address":"203.0.113.151",'
        '"user_agent.original":"curl/8.5.0","http.response.body.size":1234,'
        '"http.server.request.duration":0.0375,"enduser.id":"harry"}'
    ),
    recognizes=_is_otlp,
    parse=_otlp,
)
