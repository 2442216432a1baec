"""The tables of all log formats. To add one: a module with a row, and the row in a table here."""

from collections.abc import Mapping
from typing import NamedTuple

from api_anomaly.logs.formats import access_log, aws_alb
from api_anomaly.logs.formats import envoy, haproxy, krakend, w3c
from api_anomaly.logs.formats.format import FormatUnknown, JsonFormat, TextFormat, Value
from api_anomaly.logs.formats.json_records import (
    aws,
    azure,
    edge,
    gateways,
    general,
    telemetry,
    web,
)

#: Formats of text lines. Where two read the same lines alike, the first one is taken: the one that
#: reads more of a line comes first.
TEXT_FORMATS: tuple[TextFormat, ...] = (
    aws_alb.ALB,
    envoy.ENVOY,
    envoy.ISTIO,
    haproxy.HAPROXY,
    krakend.KRAKEND,
    w3c.W3C,
    access_log.TRAEFIK,
    access_log.COMMON,
    access_log.COMBINED,
)
#: Formats of JSON objects. The first that recognizes an object reads it; the generic one is last.
JSON_FORMATS: tuple[JsonFormat, ...] = (
    general.CONTRACT,
    web.NGINX,
    web.CADDY,
    web.TRAEFIK,
    gateways.TYK,
    web.ENVOY,
    gateways.KONG,
    gateways.APISIX,
    aws.API_GATEWAY,
    aws.WAF,
    aws.CLOUDFRONT,
    aws.CLOUDTRAIL,
    edge.GOOGLE,
    edge.CLOUDFLARE,
    edge.FASTLY,
    azure.APP_GATEWAY,
    azure.FRONT_DOOR,
    azure.API_MANAGEMENT,
    azure.APP_SERVICE,
    telemetry.K8S_AUDIT,
    telemetry.OTLP,
    telemetry.ECS,
    web.FLUENT,
    general.GENERIC,
)
#: The name that takes any JSON format, as `auto` takes any format.
ANY_JSON = general.CONTRACT.name

_ROWS: list[TextFormat | JsonFormat] = [*JSON_FORMATS, *TEXT_FORMATS]
FORMATS = {row.name: row for row in _ROWS}


class Candidates(NamedTuple):
    """The formats that may read a stream."""

    text: tuple[TextFormat, ...]
    json: tuple[JsonFormat, ...]


def candidates(name: str, named: Mapping[str, TextFormat]) -> Candidates:
    """The formats of `?format=NAME`; `named` are the operator's own. Raises FormatUnknown."""
    if name == "auto":
        return Candidates((*named.values(), *TEXT_FORMATS), JSON_FORMATS)
    if name in (ANY_JSON, "json"):
        return Candidates((), JSON_FORMATS)
    row = named.get(name) or FORMATS.get(name)
    if row is None:
        known = ", ".join(["auto", *FORMATS, *named])
        raise FormatUnknown(f"there is no format of this name; known are {known}")
    return Candidates((), (row,)) if isinstance(row, JsonFormat) else Candidates((row,), ())


def recognize(record: dict[str, Value], formats: tuple[JsonFormat, ...]) -> JsonFormat | None:
    """The first of `formats` that recognizes this object."""
    for row in formats:
        if row.recognizes(record):
            return row
    return None
