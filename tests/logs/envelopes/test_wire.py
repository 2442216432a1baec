"""What shippers send, as recorded beside the project: each body gives the expected logs."""

import gzip
import json

import pytest
from api_anomaly.logs.envelopes import elastic_bulk, firehose, loki, otlp, splunk_hec
from api_anomaly.logs.formats.read import ReadOptions, read_body, read_events
from api_anomaly.logs.formats.unwrap import events_of

from tests.support.log_samples import SAMPLES, check, sample

MAX_BYTES = 1 << 20
#: By the start of the path: a body -> its events. Other bodies go to /ingest.
READERS = {
    "/elastic/_bulk": lambda body: elastic_bulk.read(body).events,
    "/services/collector/event": lambda body: splunk_hec.read_events(body).events,
    "/services/collector/raw": splunk_hec.read_raw,
    "/firehose": lambda body: firehose.read(body, MAX_BYTES).events,
}
WIRE = sorted(path.name for path in (SAMPLES / "wire").glob("*.body"))


def events(path, headers, body):
    """The events of a request; None for what /ingest reads itself."""
    if path.startswith("/loki"):
        is_json = headers.get("content-type") == "application/json"
        return loki.read_json(body) if is_json else loki.read_protobuf(body, MAX_BYTES)
    reader = next((READERS[start] for start in READERS if path.startswith(start)), None)
    return reader and reader(body)


@pytest.mark.parametrize("name", WIRE)
def test_a_body_gives_its_logs(name):
    body = sample(f"wire/{name}").read_bytes()
    request = json.loads(sample(f"wire/{name}.request.json").read_text())
    if request["headers"].get("content-encoding") == "gzip":
        body = gzip.decompress(body)
    found = events(request["path"], request["headers"], body)
    options = ReadOptions("cloudflare" if "format=cloudflare" in request["path"] else "auto")
    result = read_body(body, options) if found is None else read_events(found, options)
    check(f"wire/{name}", result)
    assert result.rejected == 0


def test_the_wire_samples_are_there():
    sample("wire/filebeat_bulk.body")
    assert len(WIRE) == 20


@pytest.mark.parametrize(
    ("name", "read"), [("otlp_logs.pb", otlp.read_protobuf), ("otlp_logs.json", otlp.read_json)]
)
def test_opentelemetry_records_give_their_logs(name, read):
    check(name, read_events(read(sample(name).read_bytes()), ReadOptions()))


def test_both_forms_of_opentelemetry_hold_the_same():
    protobuf = otlp.read_protobuf(sample("otlp_logs.pb").read_bytes())
    assert protobuf == otlp.read_json(sample("otlp_logs.json").read_bytes())


def test_the_lines_of_a_raw_body_are_its_events():
    body = sample("wire/splunk_hec_raw.body").read_bytes()
    assert splunk_hec.read_raw(body) == list(events_of(body))
