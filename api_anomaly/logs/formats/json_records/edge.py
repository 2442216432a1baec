"""JSON logs of Google Cloud load balancers, Cloudflare and Fastly."""

from api_anomaly.logs.formats.format import JsonFormat, RawLog
from api_anomaly.logs.formats.json_records.table import (
    Record,
    Table,
    Unit,
    at,
    names,
    parser,
    seconds_of,
)
from api_anomaly.logs.formats.json_records.times import moment

# --- Google Cloud HTTP(S) load balancer: LogEntry

_parse_google = parser(
    Table(
        timestamp=names("timestamp receiveTimestamp"),
        method=("httpRequest.requestMethod",),
        endpoint=("httpRequest.requestUrl",),
        status=("httpRequest.status",),
        client=("httpRequest.remoteIp",),
        agent=("httpRequest.userAgent",),
        request_size=("httpRequest.requestSize",),
        response_size=("httpRequest.responseSize",),
    )
)


def _google(record: Record) -> RawLog:
    raw = _parse_google(record)
    latency = at(record, "httpRequest.latency")  # "0.005192s"
    if type(latency) is not str or not latency.endswith("s"):
        return raw
    return raw._replace(seconds=seconds_of(latency[:-1], 1.0))


def _is_google(record: Record) -> bool:
    request = record.get("httpRequest")
    return type(request) is dict and "requestMethod" in request and "requestUrl" in request


GOOGLE = JsonFormat(
    name="gcp_load_balancer",
    title="Google Cloud load balancer, LogEntry with httpRequest (no user)",
    example=(
        '{"httpRequest":{"latency":"0.005192s","remoteIp":"203.0.113.34","requestMethod":"GET",'
        '"requestSize":"29","requestUrl":"https://api.example.com/a?b=1","responseSize":"780",'
        '"status":200,"userAgent":"curl/8.7.1"},"timestamp":"2025-11-20T13:35:27.558637Z",'
        '"resource":{"type":"http_load_balancer"}}'
    ),
    recognizes=_is_google,
    parse=_google,
)

# --- Cloudflare Logpush http_requests

_parse_cloudflare = parser(
    Table(
        timestamp=names("EdgeStartTimestamp EdgeEndTimestamp"),
        method=("ClientRequestMethod",),
        endpoint=names("ClientRequestURI ClientRequestPath"),
        status=("EdgeResponseStatus",),
        client=("ClientIP",),
        user=("ClientMTLSAuthCertFingerprint",),
        agent=("ClientRequestUserAgent",),
        request_size=("ClientRequestBytes",),
        response_size=("EdgeResponseBytes",),
    )
)


def _cloudflare(record: Record) -> RawLog:
    raw = _parse_cloudflare(record)
    return raw._replace(seconds=_cloudflare_seconds(record))


def _cloudflare_seconds(record: Record) -> float | None:
    """End minus start. Where both are whole seconds, the time to the first byte is nearer."""
    start = moment(record.get("EdgeStartTimestamp"))
    end = moment(record.get("EdgeEndTimestamp"))
    first_byte = seconds_of(record.get("EdgeTimeToFirstByteMs"), 1e-3)
    if start is None or end is None or end < start:
        return first_byte
    if start.is_whole and end.is_whole and (first_byte is not None or end == start):
        return first_byte
    return end.seconds_since(start)


CLOUDFLARE = JsonFormat(
    name="cloudflare",
    title="Cloudflare Logpush http_requests (user: the fingerprint of the client certificate)",
    example=(
        '{"ClientIP":"203.0.113.242","EdgeStartTimestamp":1506702504433000200,'
        '"EdgeEndTimestamp":1506702504533000200,"ClientRequestMethod":"POST",'
        '"ClientRequestURI":"/api/v1/login","ClientRequestUserAgent":"curl/7.54.0",'
        '"EdgeResponseStatus":429,"EdgeResponseBytes":610,"ClientRequestBytes":512}'
    ),
    recognizes=lambda record: "ClientRequestMethod" in record
    and ("ClientRequestURI" in record or "ClientRequestPath" in record),
    parse=_cloudflare,
)

# --- Fastly

FASTLY = JsonFormat(
    name="fastly",
    title="Fastly, the JSON of its default log format (user: only if a key user is added)",
    example=(
        '{"timestamp":"2021-11-12T16:59:45+0000","client_ip":"203.0.113.13","url":"/a.js",'
        '"request_method":"GET","request_user_agent":"curl/8","response_status":404,'
        '"response_body_size":564,"time_elapsed":1250,"fastly_server":"cache-cdg20764-CDG"}'
    ),
    recognizes=lambda record: "request_method" in record
    and "response_status" in record
    and any(
        name in record
        for name in ("fastly_server", "time_elapsed", "response_body_size", "response_state")
    ),
    parse=parser(
        Table(
            timestamp=names("timestamp time time_start"),
            method=("request_method",),
            endpoint=("url",),
            status=("response_status",),
            client=("client_ip",),
            user=names("user_id user"),
            agent=names("request_user_agent user_agent"),
            request_size=names("request_body_size request_size"),
            response_size=names("response_body_size response_size"),
            forwarded=names("request_x_forwarded_for x_forwarded_for"),
            seconds=(Unit("time_elapsed", 1e-6),),
        )
    ),
)
