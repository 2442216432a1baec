"""``python -m benchmarks.speed.ingest``: /ingest and its siblings beside /detect, the same logs.

Each contender gets the same simulated logs, 1,000 in a request, over one connection, in turns; each
request has a key of its own, so that none is taken for a retry. The journal is on, on a real disk.
"""

import argparse
import http.client
import json
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

from api_anomaly.simulator.scenario import preset
from api_anomaly.simulator.simulation import simulate
from benchmarks.service import TOKEN, Service, encode_json
from benchmarks.speed.measures import ratios, spread
from benchmarks.speed.report import machine

_TRAINING, _BATCH, _BATCHES = 15_000, 1_000, 12
_Logs = Sequence[dict[str, Any]]


class Way(NamedTuple):
    """A way to send logs: its path, type, and body; `goal` is the least ratio to /detect."""

    name: str
    path: str
    media_type: str
    body: Callable[[_Logs], bytes]
    goal: float | None = None


def _lines(form: Callable[[dict[str, Any]], str]) -> Callable[[_Logs], bytes]:
    return lambda logs: "\n".join(map(form, logs)).encode()


def _at(log: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(str(log["timestamp"])).astimezone(UTC)


def combined_line(log: dict[str, Any]) -> str:
    """A log as a line of nginx."""
    return (
        f'{log["ip_address"] or "-"} - {log["user_id"] or "-"} [{_at(log):%d/%b/%Y:%H:%M:%S} +0000]'
        f' "{log["method"]} {log["endpoint"]} HTTP/1.1" {log["status_code"]}'
        f' {log["response_size"] or 0} "-" "{log["user_agent"] or "-"}"'
    )


def _nginx_json(log: dict[str, Any]) -> str:
    fields = {
        "time_iso8601": _at(log).isoformat(),
        "remote_addr": log["ip_address"] or "-",
        "remote_user": log["user_id"] or "",
        "request_method": log["method"],
        "request_uri": log["endpoint"],
        "status": str(log["status_code"]),
        "body_bytes_sent": str(log["response_size"] or 0),
        "request_length": str(log["request_size"] or 0),
        "request_time": f'{log["response_time"] or 0:.3f}',
        "http_user_agent": log["user_agent"] or "",
    }
    return json.dumps(fields)


def _bulk(logs: _Logs) -> bytes:
    create = json.dumps({"create": {"_index": "logs"}})
    pairs = (f'{create}\n{json.dumps({"message": combined_line(log)})}' for log in logs)
    return "\n".join(pairs).encode() + b"\n"


def _hec(logs: _Logs) -> bytes:
    return "".join(json.dumps({"event": combined_line(log)}) for log in logs).encode()


def _otlp(logs: _Logs) -> bytes:
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    request = ExportLogsServiceRequest()
    records = request.resource_logs.add().scope_logs.add().log_records
    for log in logs:
        record = records.add(time_unix_nano=int(_at(log).timestamp() * 1e9))
        texts = {
            "http.request.method": log["method"],
            "url.path": log["endpoint"],
            "client.address": log["ip_address"],
            "user_agent.original": log["user_agent"],
            "enduser.id": log["user_id"],
        }
        for key, text in texts.items():
            if text:
                record.attributes.add(key=key).value.string_value = text
        record.attributes.add(key="http.response.status_code").value.int_value = log["status_code"]
        seconds = record.attributes.add(key="http.server.request.duration").value
        seconds.double_value = log["response_time"] or 0.0
    return bytes(request.SerializeToString())


_JSON, _TEXT, _NDJSON = "application/json", "text/plain", "application/x-ndjson"
DETECT = "/detect"
WAYS = (
    Way(DETECT, "/detect", _JSON, lambda logs: encode_json({"logs": list(logs)})),
    Way("/ingest, nginx combined", "/ingest", _TEXT, _lines(combined_line), 0.7),
    Way("/ingest, JSON lines of the ten fields", "/ingest", _NDJSON, _lines(json.dumps), 0.7),
    Way("/ingest, nginx JSON lines", "/ingest", _NDJSON, _lines(_nginx_json), 0.7),
    Way("OTLP protobuf", "/v1/logs", "application/x-protobuf", _otlp, 0.5),
    Way("Elasticsearch bulk", "/elastic/_bulk", _NDJSON, _bulk, 0.5),
    Way("Splunk HEC", "/services/collector/event", _JSON, _hec, 0.5),
)


def main() -> int:
    """Measure and print; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(prog="benchmarks.speed.ingest", description=__doc__)
    parser.add_argument("--turns", type=int, default=5, help="turns of each way (default 5)")
    options = parser.parse_args()
    made_on = machine()
    print(f"{made_on['date']}, {made_on['processor']}, {made_on['cores']} cores")
    logs = list(simulate(preset("day", seed=1)).logs(labels=False))
    fresh = logs[_TRAINING : _TRAINING + _BATCH * _BATCHES]
    batches = [fresh[start : start + _BATCH] for start in range(0, len(fresh), _BATCH)]
    with tempfile.TemporaryDirectory(dir=Path.home()) as folder:
        with Service(Path(folder)) as service:
            service.post("/train", {"logs": logs[:_TRAINING]})
            return _report(_measure(service, batches, options.turns))


def _measure(service: Service, batches: Sequence[_Logs], turns: int) -> dict[str, list[float]]:
    """Logs a second of each way, turn by turn; the first turn is not counted."""
    bodies = {way.name: [way.body(batch) for batch in batches] for way in WAYS}
    keys = count()
    rates: dict[str, list[float]] = {way.name: [] for way in WAYS}
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=300)
    for turn in range(turns + 1):
        for way in WAYS:
            started = time.perf_counter()
            for body in bodies[way.name]:
                _post(connection, way, body, f"key-{next(keys)}")
            seconds = time.perf_counter() - started
            if turn:
                rates[way.name].append(sum(map(len, batches)) / seconds)
    return rates


def _post(connection: http.client.HTTPConnection, way: Way, body: bytes, key: str) -> None:
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": way.media_type}
    connection.request("POST", way.path, body, headers | {"Idempotency-Key": key})
    response = connection.getresponse()
    answer = response.read()
    if response.status != 200:
        raise RuntimeError(f"{way.name}: {response.status} {answer[:300]!r}")


def _report(rates: dict[str, list[float]]) -> int:
    missed = 0
    for way in WAYS:
        ratio = ratios(rates[way.name], rates[DETECT])
        text = f"{way.name:40} {spread(rates[way.name]).text()} logs/s, {ratio.text('.2f')}"
        if way.goal is not None:
            below = ratio.median < way.goal
            missed += below
            text += f" of /detect (goal {way.goal}{', MISSED' if below else ''})"
        print(text)
    return int(missed > 0)


if __name__ == "__main__":
    raise SystemExit(main())
