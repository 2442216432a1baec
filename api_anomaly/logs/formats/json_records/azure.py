"""Azure Monitor resource logs: Application Gateway, Front Door, API Management, App Service.

Source: the Azure documentation of each service. All have `category` and mostly `properties`.
"""

from collections.abc import Callable
from typing import Final

from api_anomaly.logs.formats.format import JsonFormat, RawLog
from api_anomaly.logs.formats.json_records.table import (
    Record,
    Table,
    Unit,
    names,
    parser,
    seconds_of,
)


def _of_category(*categories: str) -> Callable[[Record], bool]:
    wanted = frozenset(category.lower() for category in categories)

    def recognizes(record: Record) -> bool:
        category = record.get("category")
        return (
            type(category) is str
            and category.lower() in wanted
            and type(record.get("properties")) is dict
        )

    return recognizes


# --- Application Gateway

#: What only the second version logs, which writes seconds; the first writes milliseconds.
_V2_NAMES: Final = names(
    "transactionId originalRequestUriWithArgs WAFEvaluationTime serverResponseLatency"
    " clientResponseTime"
)
_V1_INSTANCE: Final = "ApplicationGatewayRole_IN_"
_APP_GATEWAY = Table(
    timestamp=names("timeStamp time"),
    method=("properties.httpMethod",),
    endpoint=names("properties.originalRequestUriWithArgs properties.requestUri"),
    status=("properties.httpStatus",),
    client=names("properties.clientIP properties.clientIp"),
    agent=("properties.userAgent",),
    request_size=("properties.receivedBytes",),
    response_size=("properties.sentBytes",),
    query=("properties.requestQuery",),
)
_parse_v1 = parser(_APP_GATEWAY._replace(query=()))  # its requestQuery is Azure's own
_parse_v2 = parser(_APP_GATEWAY)


def _app_gateway(record: Record) -> RawLog | None:
    properties = record["properties"]
    if type(properties) is not dict or properties.get("clientIP") == "127.0.0.1":
        return None  # a check of the gateway itself
    is_v2 = any(name in properties for name in _V2_NAMES)
    is_v1 = not is_v2 and str(properties.get("instanceId", "")).startswith(_V1_INSTANCE)
    query = properties.get("requestQuery")
    own_query = is_v1 or (type(query) is str and query.startswith("X-AzureApplicationGateway"))
    raw = (_parse_v1 if own_query else _parse_v2)(record)
    if not (is_v1 or is_v2):
        return raw  # neither version is certain: the unit of timeTaken is not
    unit = 1.0 if is_v2 else 1e-3
    return raw._replace(seconds=seconds_of(properties.get("timeTaken"), unit))


APP_GATEWAY = JsonFormat(
    name="azure_application_gateway",
    title="Azure Application Gateway, v1 and v2 (no user)",
    example=(
        '{"time":"2023-06-12T16:58:39+00:00","category":"ApplicationGatewayAccessLog",'
        '"properties":{"instanceId":"appgw_1","clientIP":"203.0.113.80","httpMethod":"GET",'
        '"originalRequestUriWithArgs":"/search?q=books","requestUri":"/search","userAgent":"-",'
        '"httpStatus":301,"receivedBytes":450,"sentBytes":1541,"timeTaken":0.013,'
        '"transactionId":"ef22a78e"}}'
    ),
    recognizes=_of_category("ApplicationGatewayAccessLog"),
    parse=_app_gateway,
)

# --- Front Door

FRONT_DOOR = JsonFormat(
    name="azure_front_door",
    title="Azure Front Door (no user; clientIp, which Front Door takes from X-Forwarded-For)",
    example=(
        '{"time":"2025-04-24T13:14:28.0000000Z","category":"FrontDoorAccessLog","properties":'
        '{"httpMethod":"GET","requestUri":"https://example.azurefd.net:443/a?b=1",'
        '"requestBytes":"60","responseBytes":"1624","userAgent":"curl/8","clientIp":"192.0.2.9",'
        '"socketIp":"192.0.2.9","timeTaken":"0.035","httpStatusCode":"200"}}'
    ),
    recognizes=_of_category("FrontDoorAccessLog"),
    parse=parser(
        Table(
            timestamp=("time",),
            method=("properties.httpMethod",),
            endpoint=("properties.requestUri",),
            status=names("properties.httpStatusCode properties.httpStatus"),
            client=names("properties.clientIp properties.clientIP properties.socketIp"),
            agent=("properties.userAgent",),
            request_size=("properties.requestBytes",),
            response_size=("properties.responseBytes",),
            seconds=(Unit("properties.timeTaken", 1.0),),
        )
    ),
)

# --- API Management

API_MANAGEMENT = JsonFormat(
    name="azure_api_management",
    title="Azure API Management (user: userId, else apimSubscriptionId)",
    example=(
        '{"time":"2020-10-14T17:05:08Z","category":"GatewayLogs","durationMs":1012,'
        '"callerIpAddress":"203.0.113.112","properties":{"method":"GET",'
        '"url":"https://example.azure-api.net/speakers?page=1","responseCode":200,'
        '"responseSize":200,"requestSize":100,"userId":"7f3a","apimSubscriptionId":"partner-7"}}'
    ),
    recognizes=_of_category("GatewayLogs"),
    parse=parser(
        Table(
            timestamp=("time",),
            method=("properties.method",),
            endpoint=("properties.url",),
            status=("properties.responseCode",),
            client=names("callerIpAddress properties.callerIpAddress"),
            user=names("properties.userId properties.apimSubscriptionId"),
            agent=names("properties.requestHeaders.User-Agent"),
            request_size=("properties.requestSize",),
            response_size=("properties.responseSize",),
            seconds=(Unit("durationMs", 1e-3),),
        )
    ),
)

# --- App Service

APP_SERVICE = JsonFormat(
    name="azure_app_service",
    title="Azure App Service HTTP log (user: CsUsername)",
    example=(
        '{"time":"2022-05-08T20:14:17.0000000","category":"AppServiceHTTPLogs","properties":'
        '{"UserAgent":"curl/8","ScStatus":"500","CsUsername":"tina","CsMethod":"POST",'
        '"CsBytes":"1635","CsUriQuery":"-","CIp":"192.0.2.67","CsUriStem":"/x","TimeTaken":45,'
        '"ScBytes":"494"}}'
    ),
    recognizes=_of_category("AppServiceHTTPLogs"),
    parse=parser(
        Table(
            timestamp=("time",),
            method=("properties.CsMethod",),
            endpoint=("properties.CsUriStem",),
            query=("properties.CsUriQuery",),
            status=("properties.ScStatus",),
            client=("properties.CIp",),
            user=("properties.CsUsername",),
            agent=("properties.UserAgent",),
            request_size=("properties.CsBytes",),
            response_size=("properties.ScBytes",),
            seconds=(Unit("properties.TimeTaken", 1e-3),),
        )
    ),
)
