"""The endpoints that log shippers know, as rows of the table in `endpoints`."""

from typing import Final

from api_anomaly.errors import (
    EnvelopeInvalid,
    FormatAmbiguous,
    FormatUnknown,
    NothingReadable,
    StorageFailed,
)
from api_anomaly.http.auth.scopes import INGEST
from api_anomaly.http.endpoint import Endpoint, Errors, Handler, Refuse
from api_anomaly.http.handlers.shippers.elastic import elastic_bulk, refuse_elastic
from api_anomaly.http.handlers.shippers.elastic_hello import (
    elastic_health,
    elastic_index,
    elastic_license,
    elastic_setup,
    elastic_version,
)
from api_anomaly.http.handlers.shippers.firehose import firehose, refuse_firehose
from api_anomaly.http.handlers.shippers.handshakes import fastly_challenge, webhook_handshake
from api_anomaly.http.handlers.shippers.loki import loki_push, refuse_loki
from api_anomaly.http.handlers.shippers.otlp import otlp_logs, refuse_otlp
from api_anomaly.http.handlers.shippers.splunk import (
    refuse_splunk,
    splunk_ack,
    splunk_event,
    splunk_health,
    splunk_raw,
)
from api_anomaly.http.responses import ShipperAnswer

#: Errors of all endpoints that take logs.
_ERRORS: Final[Errors] = (
    *(EnvelopeInvalid, NothingReadable, FormatUnknown, FormatAmbiguous, StorageFailed),
)
_JSON: Final = "application/json"
_PROTOBUF: Final = "application/x-protobuf"
_NDJSON: Final = "application/x-ndjson"
_TEXT: Final = "text/plain"


def _takes(path: str, handler: Handler, refuse: Refuse, *media_types: str) -> Endpoint:
    """An endpoint that takes logs."""
    return Endpoint(
        "POST",
        path,
        handler,
        INGEST,
        None if handler is loki_push else ShipperAnswer,
        errors=_ERRORS,
        media_types=media_types,
        refuse=refuse,
        foreign_errors=True,
    )


def _asks(path: str, handler: Handler, scope: str | None) -> Endpoint:
    """An endpoint that shippers ask before they send."""
    return Endpoint("GET", path, handler, scope, ShipperAnswer)


def _asks_elastic(path: str, handler: Handler) -> Endpoint:
    """An endpoint that shippers of Elasticsearch ask before they send."""
    return _asks(f"/elastic{path}", handler, INGEST)._replace(
        any_slash=True, refuse=refuse_elastic, foreign_errors=True
    )


_ELASTIC: Final = (
    *(
        _takes(path, elastic_bulk, refuse_elastic, _NDJSON)._replace(also=("PUT",), any_slash=True)
        for path in ("/elastic/_bulk", "/elastic/{index}/_bulk")
    ),
    *(
        _asks_elastic(path, answer)._replace(also=("HEAD",))
        for path, answer in (
            ("", elastic_version),
            ("/_license", elastic_license),
            ("/_cluster/health", elastic_health),
        )
    ),
    _asks_elastic("/{index}", elastic_index)._replace(method="HEAD"),
    *(
        _asks_elastic(f"/{kind}/{{name}}", elastic_setup)._replace(also=("HEAD", "PUT"))
        for kind in (
            "_component_template",
            "_data_stream",
            "_ilm/policy",
            "_index_template",
            "_template",
        )
    ),
)
_SPLUNK: Final = (
    *(
        _takes(f"/services/collector{path}", splunk_event, refuse_splunk, _JSON)
        for path in ("", "/event", "/event/1.0")
    ),
    *(
        _takes(f"/services/collector{path}", splunk_raw, refuse_splunk, _TEXT)
        for path in ("/raw", "/raw/1.0")
    ),
    *(
        _asks(f"/services/collector{path}", splunk_health, None)
        for path in ("/health", "/health/1.0")
    ),
    _asks("/services/collector/ack", splunk_ack, INGEST)._replace(
        method="POST", refuse=refuse_splunk, foreign_errors=True
    ),
)

SHIPPER_ENDPOINTS: Final = (
    _takes("/v1/logs", otlp_logs, refuse_otlp, _PROTOBUF, _JSON),
    *_ELASTIC,
    *_SPLUNK,
    _takes("/loki/api/v1/push", loki_push, refuse_loki, _PROTOBUF, _JSON),
    _takes("/firehose", firehose, refuse_firehose, _JSON),
    Endpoint("GET", "/.well-known/fastly/logging/challenge", fastly_challenge, None, str),
    Endpoint("OPTIONS", "/ingest", webhook_handshake, None, None),
)
