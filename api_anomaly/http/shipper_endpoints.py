"""The endpoints that log shippers know, as rows of the table in `endpoints`."""

from typing import Final

from api_anomaly.http.auth.scopes import INGEST
from api_anomaly.http.endpoint import Endpoint
from api_anomaly.http.handlers.shippers.elastic_hello import (
    elastic_health,
    elastic_index,
    elastic_license,
    elastic_setup,
    elastic_version,
)
from api_anomaly.http.handlers.shippers.handshakes import fastly_challenge, webhook_handshake
from api_anomaly.http.responses import ShipperAnswer

_ELASTIC_QUESTIONS: Final = (
    ("/elastic", elastic_version),
    ("/elastic/_license", elastic_license),
    ("/elastic/_cluster/health", elastic_health),
)
#: What shippers of Elasticsearch set up before they send.
_SETUP_PATHS: Final = (
    "/elastic/_component_template/{name}",
    "/elastic/_data_stream/{name}",
    "/elastic/_ilm/policy/{name}",
    "/elastic/_index_template/{name}",
    "/elastic/_template/{name}",
)

SHIPPER_ENDPOINTS: Final = (
    Endpoint("GET", "/.well-known/fastly/logging/challenge", fastly_challenge, None, str),
    Endpoint("OPTIONS", "/ingest", webhook_handshake, None, None),
    *(
        Endpoint("GET", path, answer, INGEST, ShipperAnswer, also=("HEAD",), any_slash=True)
        for path, answer in _ELASTIC_QUESTIONS
    ),
    Endpoint("HEAD", "/elastic/{index}", elastic_index, INGEST, ShipperAnswer),
    *(
        Endpoint("GET", path, elastic_setup, INGEST, ShipperAnswer, also=("HEAD", "PUT"))
        for path in _SETUP_PATHS
    ),
)
