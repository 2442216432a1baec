"""JSON access logs of API gateways: Kong, Apache APISIX, Tyk."""

from api_anomaly.logs.formats.format import JsonFormat
from api_anomaly.logs.formats.json_records.table import (
    Table,
    Unit,
    names,
    parser,
)

_REQUEST_AGENTS = names("request.headers.user-agent request.headers.User-Agent")
_REQUEST_FORWARDED = names("request.headers.x-forwarded-for request.headers.X-Forwarded-For")

# --- Kong (http-log, file-log and the like)

_parse_kong = parser(
    Table(
        timestamp=("started_at",),
        method=("request.method",),
        endpoint=names("request.uri request.url upstream_uri"),
        status=("response.status",),
        client=("client_ip",),
        user=names(
            "consumer.username consumer.custom_id authenticated_entity.consumer_id"
            " authenticated_entity.id"
        ),
        agent=_REQUEST_AGENTS,
        request_size=("request.size",),
        response_size=("response.size",),
        forwarded=_REQUEST_FORWARDED,
        seconds=(Unit("latencies.request", 1e-3),),
    )
)


KONG = JsonFormat(
    name="kong",
    title="Kong http-log and file-log (user: the consumer, else the id of the credential)",
    example=(
        '{"started_at":1714000000123,"client_ip":"203.0.113.60","request":{"method":"DELETE",'
        '"uri":"/books/7?force=true","size":301,"headers":{"user-agent":"python-requests/2.31.0"}},'
        '"response":{"status":403,"size":233},"latencies":{"kong":2,"proxy":-1,"request":2},'
        '"consumer":{"id":"a1","username":"carol"}}'
    ),
    recognizes=lambda record: type(record.get("latencies")) is dict
    and type(record.get("request")) is dict,
    parse=_parse_kong,
)

# --- Apache APISIX (http-logger and the like, without a log_format of one's own)

_parse_apisix = parser(
    Table(
        timestamp=("start_time",),
        method=("request.method",),
        endpoint=names("request.uri request.url"),
        status=("response.status",),
        client=("client_ip",),
        user=names("consumer.username consumer.consumer_name"),
        agent=_REQUEST_AGENTS,
        request_size=("request.size",),
        response_size=("response.size",),
        forwarded=_REQUEST_FORWARDED,
        seconds=(Unit("latency", 1e-3),),
    )
)


APISIX = JsonFormat(
    name="apisix",
    title="Apache APISIX http-logger (user: consumer.username)",
    example=(
        '{"start_time":1718291190508,"client_ip":"192.0.2.65","latency":1200.5,'
        '"apisix_latency":67.5,"request":{"method":"GET","uri":"/anything?a=1","size":85,'
        '"headers":{"user-agent":"curl/8.6.0"}},"response":{"status":200,"size":617},'
        '"consumer":{"username":"jack"},"route_id":"1"}'
    ),
    recognizes=lambda record: ("apisix_latency" in record or "route_id" in record)
    and type(record.get("request")) is dict
    and type(record.get("response")) is dict,
    parse=_parse_apisix,
)

# --- Tyk (Pump's analytics record)

TYK = JsonFormat(
    name="tyk",
    title="Tyk analytics record (user: alias, else oauth_id, else api_key)",
    example=(
        '{"method":"GET","host":"api.example.com","path":"/pets","raw_path":"/pets/12",'
        '"content_length":0,"user_agent":"curl/8.1.0","response_code":200,'
        '"api_key":"5e9d9544a1dc","timestamp":"2024-05-06T07:08:09.123456Z","api_id":"p1",'
        '"org_id":"o1","oauth_id":"","request_time":44,"ip_address":"203.0.113.131","alias":"gina"}'
    ),
    recognizes=lambda record: "response_code" in record
    and "org_id" in record
    and ("raw_path" in record or "api_id" in record),
    parse=parser(
        Table(
            timestamp=("timestamp",),
            method=("method",),
            endpoint=names("raw_path path"),
            status=("response_code",),
            client=("ip_address",),
            user=names("alias oauth_id api_key"),
            agent=("user_agent",),
            request_size=("content_length",),
            seconds=(Unit("request_time", 1e-3), Unit("latency.total", 1e-3)),
        )
    ),
)
