"""JSON logs of Amazon Web Services: API Gateway, CloudFront (standard logging v2), WAF, CloudTrail.

Source: the developer guides. WAF and CloudTrail are no logs of HTTP answers: what status, method
and path stand for there is said below.
"""

from typing import Final
from urllib.parse import unquote

from api_anomaly.logs.formats.format import JsonFormat, ParseError, RawLog, Value
from api_anomaly.logs.formats.json_records.table import (
    MISSING,
    Record,
    Table,
    Unit,
    at,
    names,
    parser,
)

# --- API Gateway

_parse_gateway = parser(
    Table(
        timestamp=names("requestTimeEpoch requestTime timestamp"),
        method=("httpMethod",),
        endpoint=names("path resourcePath"),
        status=("status",),
        client=names("ip sourceIp identity.sourceIp"),
        user=names(
            "authorizer.principalId principalId authorizer.claims.sub claims.sub"
            " authorizer.sub sub identity.user user identity.caller caller"
            " identity.userArn userArn identity.apiKeyId apiKeyId"
        ),
        agent=names("userAgent identity.userAgent"),
        response_size=("responseLength",),
        forwarded=names("xForwardedFor xff"),
        seconds=(Unit("responseLatency", 1e-3),),
    )
)


def _gateway(record: Record) -> RawLog:
    if at(record, "path") in MISSING and at(record, "resourcePath") in MISSING:
        # "POST /pets": a template, and all there is. "$default" names no path.
        _, slash, route = str(record.get("routeKey", "")).partition("/")
        if not slash:
            raise ParseError("no path: log $context.path")
        return _parse_gateway({**record, "path": f"/{route}"})
    return _parse_gateway(record)


API_GATEWAY = JsonFormat(
    name="aws_apigateway",
    title="Amazon API Gateway access log (user: principalId, else sub, user, caller, apiKeyId)",
    example=(
        '{"requestId":"W9uhCjr2oAMEVQg=","ip":"192.0.2.81","requestTimeEpoch":"1712686990512",'
        '"httpMethod":"POST","path":"/pets","status":"201","responseLength":"27",'
        '"responseLatency":"48","userAgent":"okhttp/4.12.0","principalId":"user-7"}'
    ),
    recognizes=lambda record: "httpMethod" in record
    and any(
        name in record
        for name in (
            "requestTime",
            "requestTimeEpoch",
            "routeKey",
            "resourcePath",
            "responseLength",
        )
    ),
    parse=_gateway,
)

# --- CloudFront

_parse_cloudfront = parser(
    Table(
        timestamp=names("timestamp(ms) timestamp"),
        method=("cs-method",),
        endpoint=("cs-uri-stem",),
        query=("cs-uri-query",),
        status=("sc-status",),
        client=("c-ip",),
        agent=("cs(User-Agent)",),
        request_size=("cs-bytes",),
        response_size=("sc-bytes",),
        forwarded=("x-forwarded-for",),
        seconds=(Unit("time-taken", 1.0),),
    )
)


def _cloudfront(record: Record) -> RawLog:
    raw = _parse_cloudfront(record)
    time, agent = raw.timestamp, raw.agent
    if time in MISSING:
        time = f"{record.get('date')}T{record.get('time')}Z"
    return raw._replace(timestamp=time, agent=unquote(agent) if type(agent) is str else None)


CLOUDFRONT = JsonFormat(
    name="aws_cloudfront_json",
    title="Amazon CloudFront standard logging v2, JSON (no user)",
    example=(
        '{"timestamp(ms)":"1736928550123","c-ip":"203.0.113.71","cs-method":"GET",'
        '"cs-uri-stem":"/api/items","cs-uri-query":"page=2","sc-status":"200","sc-bytes":"1045",'
        '"cs-bytes":"88","time-taken":"0.034","cs(User-Agent)":"curl/8.5.0"}'
    ),
    recognizes=lambda record: "cs-method" in record and "cs-uri-stem" in record,
    parse=_cloudfront,
)

# --- WAF

#: What WAF answers where the log does not say it.
WAF_STATUS: Final = {"BLOCK": 403, "CAPTCHA": 405, "CHALLENGE": 202, "ALLOW": 200, "COUNT": 200}
_parse_waf = parser(
    Table(
        timestamp=("timestamp",),
        method=("httpRequest.httpMethod",),
        endpoint=("httpRequest.uri",),
        query=("httpRequest.args",),
        status=("responseCodeSent",),
        client=("httpRequest.clientIp",),
    )
)


def _waf(record: Record) -> RawLog:
    raw = _parse_waf(record)
    status = raw.status
    if status in MISSING:
        action = record.get("action")
        status = WAF_STATUS.get(action) if type(action) is str else None
    headers = _waf_headers(at(record, "httpRequest.headers"))
    return raw._replace(
        status=status,
        agent=headers.get("user-agent"),
        forwarded=headers.get("x-forwarded-for"),
    )


def _waf_headers(headers: Value) -> dict[str, Value]:
    """The headers by name; of one that came twice, the last."""
    if type(headers) is not list:
        return {}
    return {
        str(header.get("name", "")).lower(): header.get("value")
        for header in headers
        if isinstance(header, dict)
    }


WAF = JsonFormat(
    name="aws_waf",
    title="AWS WAF; without responseCodeSent: BLOCK 403, CAPTCHA 405, ALLOW 200 (no user)",
    example=(
        '{"timestamp":1683355579981,"formatVersion":1,"webaclId":"arn:aws:wafv2:us-east-1:1:w",'
        '"action":"BLOCK","httpSourceName":"APIGW","responseCodeSent":null,"httpRequest":'
        '{"clientIp":"198.51.100.45","headers":[{"name":"User-Agent","value":"curl/8"}],'
        '"uri":"/items","args":"a=1","httpMethod":"GET"}}'
    ),
    recognizes=lambda record: ("webaclId" in record or "httpSourceName" in record)
    and type(record.get("httpRequest")) is dict,
    parse=_waf,
)

# --- CloudTrail

#: Parts of error codes -> the status that they stand for; the first that fits counts.
TRAIL_STATUS: Final = (
    (("AccessDenied", "Unauthorized", "Forbidden"), 403),
    (("Throttl", "RequestLimitExceeded", "TooManyRequests"), 429),
    (("NotFound", "NoSuch"), 404),
    (("Internal", "ServiceUnavailable"), 500),
)
_TRAIL_USER = names(
    "userIdentity.sessionContext.sessionIssuer.arn userIdentity.arn userIdentity.userName"
    " userIdentity.principalId userIdentity.invokedBy"
)


def _trail_status(record: Record) -> int:
    code = record.get("errorCode")
    if type(code) is str and code:
        for parts, status in TRAIL_STATUS:
            if any(part in code for part in parts):
                return status
        return 400
    return 401 if at(record, "responseElements.ConsoleLogin") == "Failure" else 200


def _trail(record: Record) -> RawLog:
    source, name = record.get("eventSource"), record.get("eventName")
    if type(source) is not str or type(name) is not str:
        raise ParseError("no eventSource or eventName")
    users = (at(record, path) for path in _TRAIL_USER)
    return RawLog(
        timestamp=record.get("eventTime"),
        method="GET" if record.get("readOnly") in (True, "true") else "POST",
        endpoint=f"/{source}/{name}",
        status=_trail_status(record),
        client=record.get("sourceIPAddress"),
        user=next((user for user in users if user not in MISSING), None),
        agent=record.get("userAgent"),
        request_size=at(record, "additionalEventData.bytesTransferredIn"),
        response_size=at(record, "additionalEventData.bytesTransferredOut"),
    )


CLOUDTRAIL = JsonFormat(
    name="aws_cloudtrail",
    title=(
        "AWS CloudTrail: path /SERVICE/EVENT, GET if readOnly, else POST; status from errorCode"
        " (user: the ARN of the role or user, else its name)"
    ),
    example=(
        '{"eventTime":"2023-07-10T12:08:08Z","eventSource":"ec2.amazonaws.com",'
        '"eventName":"DescribeRouteTables","sourceIPAddress":"192.0.2.20","readOnly":true,'
        '"userAgent":"aws-cli/2","errorCode":"Client.InvalidRouteTableID.NotFound",'
        '"userIdentity":{"type":"IAMUser","arn":"arn:aws:iam::111122223333:user/alice"}}'
    ),
    recognizes=lambda record: "eventSource" in record
    and "eventName" in record
    and "userIdentity" in record,
    parse=_trail,
)
