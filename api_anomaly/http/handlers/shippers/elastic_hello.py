"""What shippers of Elasticsearch ask before they send: Filebeat, Logstash, Vector, Fluent Bit."""

from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.http.problems import json_response
from api_anomaly.http.state import HttpState

#: Logstash 7.14 and later refuses answers without it, and so do Elasticsearch's own clients.
PRODUCT: Final = {"X-Elastic-Product": "Elasticsearch"}
#: A version that sends and accepts what this service does. Filebeat takes an older one only with
#: `allow_older_versions`, which is its default.
_VERSION: Final = "8.17.0"
_UID: Final = "api-anomaly-detection-"
_HELLO: Final[dict[str, Any]] = {
    "name": "api-anomaly",
    "cluster_name": "api-anomaly",
    "cluster_uuid": _UID,
    "version": {
        "number": _VERSION,
        "build_flavor": "default",
        "lucene_version": "9.12.0",
        "minimum_wire_compatibility_version": "7.17.0",
        "minimum_index_compatibility_version": "7.0.0",
    },
    "tagline": "You Know, for Search",
}
_LICENSE: Final = {"license": {"status": "active", "type": "basic", "mode": "basic", "uid": _UID}}
_HEALTH: Final = {
    "cluster_name": "api-anomaly",
    "status": "green",
    "timed_out": False,
    "number_of_nodes": 1,
    "number_of_data_nodes": 1,
}


async def elastic_version(_request: Request, _state: HttpState) -> Response:
    """Introduce the service as Elasticsearch, as shippers ask when they connect."""
    return json_response(_HELLO, headers=PRODUCT)


async def elastic_license(_request: Request, _state: HttpState) -> Response:
    """A basic licence: Logstash sends nothing without one."""
    return json_response(_LICENSE, headers=PRODUCT)


async def elastic_health(_request: Request, _state: HttpState) -> Response:
    """The health check of Vector."""
    return json_response(_HEALTH, headers=PRODUCT)


async def elastic_index(_request: Request, _state: HttpState) -> Response:
    """Every index exists."""
    return json_response({}, headers=PRODUCT)


async def elastic_setup(request: Request, _state: HttpState) -> Response:
    """Accept templates, policies and data streams that shippers want to set up. There is nothing
    to set up, so nothing is kept."""
    return json_response({} if request.method != "PUT" else {"acknowledged": True}, headers=PRODUCT)
