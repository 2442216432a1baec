"""The ten fields of the HTTP contract, and records of no known server.

A duration is read only where its name holds the unit (`duration_ms`, `latencySeconds`): a bare
`duration` or `latency` may count seconds, milliseconds or nanoseconds.
"""

from collections.abc import Iterator

from api_anomaly.logs.formats.format import JsonFormat
from api_anomaly.logs.formats.json_records.table import (
    MISSING,
    Record,
    Table,
    Unit,
    at,
    names,
    parser,
)

# --- The HTTP contract

CONTRACT = JsonFormat(
    name="ndjson",
    title="The ten fields of this service's own API, one JSON object a line (user: user_id)",
    example=(
        '{"timestamp": "2024-05-12T00:00:17.250Z", "user_id": "u-17", "endpoint": "/a?b=1",'
        ' "method": "GET", "status_code": 200, "response_time": 0.5, "ip_address": "192.0.2.1",'
        ' "user_agent": "curl/8", "request_size": 10, "response_size": 20}'
    ),
    recognizes=lambda record: "endpoint" in record
    and "status_code" in record
    and "method" in record
    and "timestamp" in record,
    parse=parser(
        Table(
            timestamp=("timestamp",),
            method=("method",),
            endpoint=("endpoint",),
            status=("status_code",),
            client=("ip_address",),
            user=("user_id",),
            agent=("user_agent",),
            request_size=("request_size",),
            response_size=("response_size",),
            seconds=(Unit("response_time", 1.0),),
        )
    ),
)

# --- Anything else

_DURATIONS = names(
    "duration response_time responseTime request_time requestTime latency elapsed time_taken"
    " timeTaken took processing_time req.duration http.duration"
)
_SUFFIXES = (
    *((suffix, 1e-3) for suffix in names("_ms Ms _msec _millis _milliseconds Millis MS")),
    *((suffix, 1.0) for suffix in names("_s _sec _secs _seconds Seconds Sec")),
    *((suffix, 1e-6) for suffix in names("_us _usec _micros _microseconds Us Micros")),
    *((suffix, 1e-9) for suffix in names("_ns _nanos _nanoseconds Ns Nanos")),
)


def _units() -> Iterator[Unit]:
    for name in _DURATIONS:
        for suffix, unit in _SUFFIXES:
            yield Unit(name + suffix, unit)


_TABLE = Table(
    timestamp=names(
        "timestamp @timestamp time_iso8601 time ts datetime date start_time startTime"
        " time_local msec eventTime event_time request_timestamp t"
    ),
    method=names(
        "method request_method http_method httpMethod requestMethod http.method request.method"
        " req.method verb cs_method"
    ),
    endpoint=names(
        "endpoint request_uri requestUri request_path requestPath uri url path target http.url"
        " http.target http.path request.uri request.url request.path req.url req.originalUrl"
        " req.path request_url route resource"
    ),
    query=names("query_string queryString query args request.query_string"),
    request_line=names("request request_line requestLine message_request"),
    status=names(
        "status_code status statusCode response_code responseCode http_status http_status_code"
        " response_status http.status_code http.status response.status response.status_code"
        " res.statusCode res.status response.statusCode code response sc_status"
    ),
    client=names(
        "ip_address remote_addr remoteAddr client_ip clientIp clientIP client.ip remote_ip"
        " remoteIp source_ip sourceIp src_ip clientip ip ip_addr remote_host remote_address"
        " remoteAddress client_addr clientAddr client_address peer host_ip request.client_ip"
        " request.remote_ip req.remoteAddress req.ip network.client.ip client remote"
    ),
    user=names(
        "user_id userId remote_user user.id user.name username userName user auth_user"
        " authenticated_user principal usr.id sub jwt_sub subject account_id accountId"
        " consumer api_key_id apiKeyId apikey_id token_id tokenId key_id client_id clientId"
    ),
    agent=names(
        "user_agent user_agent.original userAgent http_user_agent useragent agent"
        " request.headers.User-Agent request.headers.user-agent req.headers.user-agent"
        " http.useragent http.user_agent"
    ),
    request_size=names(
        "request_size request_length requestSize requestLength bytes_received bytes_in bytesIn"
        " request.size request_bytes content_length"
    ),
    response_size=names(
        "response_size body_bytes_sent bytes_sent responseSize responseLength bytes_out bytesOut"
        " bytesSent response.size response_bytes size bytes"
    ),
    forwarded=names(
        "http_x_forwarded_for x_forwarded_for x-forwarded-for xff forwarded_for"
        " request.headers.X-Forwarded-For request.headers.x-forwarded-for"
        " req.headers.x-forwarded-for"
    ),
    seconds=tuple(_units()),
)
_REQUEST_LINE_START = names("GET POST PUT PATCH DELETE HEAD OPTIONS CONNECT TRACE PROPFIND")


def _is_any(record: Record) -> bool:
    """Whether the record names a status and a request. The text of another log beside these names
    (`message`) then counts less."""
    if not any(at(record, path) not in MISSING for path in _TABLE.status):
        return False
    if any(_is_line(record.get(name)) for name in _TABLE.request_line):
        return True
    return all(
        any(isinstance(at(record, path), str) for path in paths)
        for paths in (_TABLE.method, _TABLE.endpoint)
    )


def _is_line(value: object) -> bool:
    return type(value) is str and value.partition(" ")[0].upper() in _REQUEST_LINE_START


GENERIC = JsonFormat(
    name="other_json",
    title=(
        "Any JSON with usual names of method, path, status, address and time; a duration only if"
        " its name holds the unit (user: user_id and the like, else the id of an API key or token)"
    ),
    example=(
        '{"time":"2024-05-12T00:00:17Z","method":"GET","path":"/a?b=1","status":200,'
        '"client_ip":"192.0.2.1","user":"ann","duration_ms":31,"user_agent":"curl/8"}'
    ),
    recognizes=_is_any,
    parse=parser(_TABLE),
)
