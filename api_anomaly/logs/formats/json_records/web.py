"""JSON access logs of web servers and proxies: nginx, Caddy, Traefik, Envoy.

Sources: nginx `log_format ... escape=json` as commonly written (the keys are people's own), the
Caddy, Traefik and Envoy manuals, Istio's and Envoy Gateway's defaults.
"""

import re
from typing import Final

from api_anomaly.logs.formats.format import JsonFormat, RawLog
from api_anomaly.logs.formats.json_records.table import (
    MISSING,
    Record,
    Table,
    Unit,
    names,
    parser,
)

# --- nginx

#: Names of nginx variables that nothing else uses. Two of them in a record: nginx wrote it, and
#: `request_time` is in seconds.
NGINX_NAMES: Final = frozenset(
    names(
        "remote_addr remote_user time_local time_iso8601 msec request_uri request_method"
        " request_time request_length body_bytes_sent bytes_sent http_user_agent http_referer"
        " http_x_forwarded_for upstream_response_time upstream_addr upstream_status"
        " server_protocol http_host"
    )
)
_NGINX = Table(
    timestamp=names(
        "msec time_ms time_iso8601 @timestamp timestamp time time_local ts datetime date"
    ),
    method=names("request_method method http_method verb"),
    endpoint=names("request_uri uri path url endpoint document_uri"),
    query=names("args query_string query"),
    request_line=names("request request_line"),
    status=names("status status_code response_code http_status response code"),
    client=names("remote_addr client_ip clientip ip_address remote_ip ip client remote source_ip"),
    user=names(
        "remote_user user_id user username auth_user jwt_sub sub consumer"
        " api_key_id apikey_id token_id key_id client_id"
    ),
    agent=names("http_user_agent user_agent useragent agent"),
    request_size=names("request_length request_size bytes_received"),
    response_size=names("body_bytes_sent bytes_sent response_size size bytes"),
    forwarded=names("http_x_forwarded_for x_forwarded_for xff forwarded_for"),
    seconds=(Unit("request_time", 1.0),),
)
_parse_nginx = parser(_NGINX)
# `uri` is what nginx made of the request: where the request line is logged too, that one counts.
_parse_nginx_line = parser(_NGINX._replace(endpoint=("request_uri",)))


def _is_nginx(record: Record) -> bool:
    found = 0
    for name in record:
        if name in NGINX_NAMES:
            if found:
                return True
            found = 1
    return False


def _nginx(record: Record) -> RawLog:
    line = record.get("request")
    if type(line) is str and line not in MISSING:
        return _parse_nginx_line(record)
    return _parse_nginx(record)


NGINX = JsonFormat(
    name="nginx_json",
    title="nginx, log_format with escape=json (user: remote_user, else api_key_id and the like)",
    example=(
        '{"time_iso8601":"2024-02-10T20:30:45+01:00","remote_addr":"198.51.100.20",'
        '"remote_user":"ann","request":"POST /api/users?page=2 HTTP/1.1","status":200,'
        '"body_bytes_sent":2048,"http_user_agent":"curl/7.68.0","request_time":0.123}'
    ),
    recognizes=_is_nginx,
    parse=_nginx,
)

# --- Caddy

_GO_DURATION = re.compile(r"(?:(\d+)h)?(?:(\d+)m)?(?:([\d.]+)(s|ms|us|µs|μs|ns))?", re.ASCII)
_GO_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9}
_parse_caddy = parser(
    Table(
        timestamp=names("ts time timestamp @timestamp"),
        method=("request.method",),
        endpoint=("request.uri",),
        status=("status",),
        client=names("request.client_ip request.remote_ip request.remote_addr"),
        user=("user_id",),
        agent=names("request.headers.User-Agent request.headers.user-agent"),
        request_size=("bytes_read",),
        response_size=("size",),
        forwarded=("request.headers.X-Forwarded-For",),
        no_status=200,
    )
)


def _is_caddy(record: Record) -> bool:
    logger = record.get("logger")
    if type(logger) is str and logger.startswith("http."):
        return "ts" in record and "msg" in record
    request = record.get("request")
    return type(request) is dict and "uri" in request and "remote_ip" in request


def _caddy(record: Record) -> RawLog | None:
    logger = record.get("logger", "http.log.access")
    if type(logger) is not str or not logger.startswith("http.log.access"):
        return None
    raw = _parse_caddy(record)
    return raw._replace(seconds=_caddy_seconds(record))


def _caddy_seconds(record: Record) -> float | None:
    """Seconds as a number with a fraction, which is Caddy's default; whole numbers above 0 come
    from `duration_format ms` or `ns`, and nobody can tell which."""
    value = record.get("duration")
    if type(value) is float:
        return value
    if type(value) is str:
        return go_duration(value)
    return 0.0 if value == 0 and value is not False else None


def go_duration(value: str) -> float | None:
    """The seconds of a duration as Go writes it: `1m2.5s`, `7.9ms`, `12µs`."""
    match = _GO_DURATION.fullmatch(value)
    if match is None or not value:
        return None
    hours, minutes, count, unit = match.groups()
    try:
        rest = float(count) * _GO_UNITS[unit] if count else 0.0
    except ValueError:
        return None
    return int(hours or 0) * 3600.0 + int(minutes or 0) * 60.0 + rest


CADDY = JsonFormat(
    name="caddy",
    title="Caddy access log (user: user_id)",
    example=(
        '{"level":"info","ts":1711741864.947103,"logger":"http.log.access","msg":"handled request",'
        '"request":{"remote_ip":"192.0.2.7","client_ip":"192.0.2.7","proto":"HTTP/1.1",'
        '"method":"GET","host":"example.com","uri":"/","headers":{"User-Agent":["curl/7.88.1"]}},'
        '"bytes_read":0,"user_id":"Bob","duration":0.79,"size":18630,"status":200}'
    ),
    recognizes=_is_caddy,
    parse=_caddy,
)

# --- Traefik

TRAEFIK = JsonFormat(
    name="traefik",
    title="Traefik access log, JSON (user: ClientUsername)",
    example=(
        '{"ClientAddr":"192.0.2.7:39496","ClientHost":"192.0.2.7","ClientUsername":"-",'
        '"DownstreamContentSize":357,"DownstreamStatus":200,"Duration":357313,'
        '"RequestContentSize":0,"RequestMethod":"GET","RequestPath":"/a?b=1",'
        '"StartUTC":"2021-12-08T14:02:43.587782192Z","request_User-Agent":"curl/8"}'
    ),
    recognizes=lambda record: "RequestMethod" in record
    and ("DownstreamStatus" in record or "StartUTC" in record or "ClientHost" in record),
    parse=parser(
        Table(
            # `time` is when the line was written, in local time.
            timestamp=names("StartUTC StartLocal time"),
            method=("RequestMethod",),
            endpoint=("RequestPath",),
            status=names("DownstreamStatus OriginStatus"),
            # ClientHost is X-Forwarded-For where the client sent one.
            client=names("ClientAddr ClientHost"),
            user=("ClientUsername",),
            agent=names("request_User-Agent request_user-agent"),
            request_size=("RequestContentSize",),
            response_size=("DownstreamContentSize",),
            forwarded=names("request_X-Forwarded-For ClientHost"),
            seconds=(Unit("Duration", 1e-9),),
        )
    ),
)

# --- Envoy

_parse_envoy = parser(
    Table(
        timestamp=names("start_time timestamp @timestamp time"),
        method=names("method :method x-envoy-original-method"),
        endpoint=names(
            "x-envoy-origin-path x-envoy-original-path x_envoy_original_path path :path"
        ),
        status=names("response_code"),
        client=names(
            "downstream_remote_address downstream_direct_remote_address"
            " downstream_remote_address_without_port"
        ),
        user=names("user_id user jwt_sub sub api_key_id client_id"),
        agent=names("user_agent user-agent"),
        request_size=("bytes_received",),
        response_size=("bytes_sent",),
        forwarded=names("x_forwarded_for x-forwarded-for"),
        seconds=(Unit("duration", 1e-3),),
    )
)
_ENVOY_ONLY = (
    "downstream_remote_address",
    "response_flags",
    "upstream_cluster",
    "x-envoy-origin-path",
    "upstream_service_time",
    ":authority",
)


def _is_envoy(record: Record) -> bool:
    return "response_code" in record and any(name in record for name in _ENVOY_ONLY)


def _envoy(record: Record) -> RawLog | None:
    if first_method(record) is None:
        return None  # a TCP connection without a request
    raw = _parse_envoy(record)
    if raw.client in MISSING and type(raw.forwarded) is str:
        # Envoy put its peer at the end of the list.
        return raw._replace(client=raw.forwarded.rpartition(",")[2].strip())
    return raw


def first_method(record: Record) -> str | None:
    """Envoy's method, None where the connection carried no request."""
    for name in ("method", ":method"):
        method = record.get(name)
        if type(method) is str and method not in MISSING:
            return method
    return None


ENVOY = JsonFormat(
    name="envoy_json",
    title="Envoy, Istio and Envoy Gateway, JSON (user: custom keys only, such as user_id)",
    example=(
        '{"start_time":"2024-05-06T07:08:09.123Z","method":"GET","path":"/productpage?u=normal",'
        '"protocol":"HTTP/1.1","response_code":200,"response_flags":"-","bytes_received":0,'
        '"bytes_sent":5290,"duration":41,"x_forwarded_for":"198.51.100.44",'
        '"user_agent":"curl/8.4.0","downstream_remote_address":"198.51.100.44:52001"}'
    ),
    recognizes=_is_envoy,
    parse=_envoy,
)

# --- The keys of Fluent Bit's and Fluentd's own parsers

_parse_fluent = parser(
    Table(
        timestamp=names("time date @timestamp timestamp"),
        method=("method",),
        endpoint=("path",),
        status=("code",),
        client=("remote",),
        user=("user",),
        agent=("agent",),
        response_size=("size",),
        forwarded=("http_x_forwarded_for",),
    )
)


def _fluent(record: Record) -> RawLog:
    # The parser `nginx` writes remote and host (a - of ours); `apache2` writes only host.
    raw = _parse_fluent(record)
    return raw if "remote" in record else raw._replace(client=record.get("host"))


FLUENT = JsonFormat(
    name="fluent",
    title="Records of Fluent Bit's and Fluentd's apache2 and nginx parsers (user: user)",
    example=(
        '{"date":1717230123.0,"remote":"203.0.113.161","host":"-","user":"jane","method":"GET",'
        '"path":"/v1/items?page=2","code":"200","size":"1234","referer":"-","agent":"curl/8.5.0"}'
    ),
    recognizes=lambda record: "code" in record
    and "path" in record
    and "method" in record
    and ("remote" in record or "host" in record)
    and ("size" in record or "agent" in record),
    parse=_fluent,
)
