"""Prometheus metrics: one table, and the registry made from it.

Label values are bounded: route templates, known methods and codes, severities. Never a path, a
user or an address.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from api_anomaly.telemetry.histogram import HistogramFamily

#: Media type of `Metrics.text`.
CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4
_LATENCIES = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600)
_OUTCOMES = ("success", "failed")
_VERDICTS = ("false_positive", "true_positive")
#: Narrow where thresholds lie: in the last tenth below 1.
_SCORES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 1.0)
_BATCHES = (1, 2, 5, 10, 20, 50, 100, 256, 500, 1_000, 5_000, 10_000, 50_000, 100_000)


class Row(NamedTuple):
    """One metric: its name, type, labels and meaning; `buckets` for a histogram. The `values` of a
    single label that are known beforehand start at 0, so that the first event is a rise."""

    name: str
    type: str
    labels: tuple[str, ...]
    meaning: str
    buckets: tuple[float, ...] = ()
    values: tuple[str, ...] = ()


METRICS = (
    Row(
        "api_requests_total",
        "counter",
        ("method", "endpoint", "status"),
        "Requests answered, by method, route template and status.",
    ),
    Row(
        "api_request_duration_seconds",
        "histogram",
        ("method", "endpoint"),
        "Seconds from the arrival of a request's headers to the end of its answer.",
        _LATENCIES,
    ),
    Row(
        "anomalies_detected_total",
        "counter",
        ("severity",),
        "Logs that were found anomalous, by severity: low, medium, high or critical.",
        values=("low", "medium", "high", "critical"),
    ),
    Row("logs_scored_total", "counter", (), "Logs that were scored."),
    Row(
        "logs_with_history_total",
        "counter",
        (),
        "Logs that were scored and whose user or address had enough history to be compared with.",
    ),
    Row(
        "log_anomaly_score",
        "histogram",
        (),
        "Minus the anomaly_score of each scored log: 0.5 is ordinary, 1 the most anomalous.",
        _SCORES,
    ),
    Row("detect_batch_logs", "histogram", (), "Logs in one POST /detect.", _BATCHES),
    Row("rejected_requests_total", "counter", ("code",), "Requests refused, by error code."),
    Row(
        "feedback_total",
        "counter",
        ("verdict",),
        "Verdicts taken, by false_positive or true_positive.",
        values=_VERDICTS,
    ),
    Row(
        "feedback_active",
        "gauge",
        ("verdict",),
        "Verdicts that count now, by false_positive or true_positive.",
        values=_VERDICTS,
    ),
    Row(
        "feedback_moved_logs_total",
        "counter",
        ("direction",),
        "Logs that are anomalies (raised), or are none (quieted), because of verdicts.",
        values=("raised", "quieted"),
    ),
    Row(
        "auth_failures_total",
        "counter",
        ("reason",),
        "Callers refused: missing (no token), wrong, limited (wrong, too often from one"
        " address) or scope (a valid token for other things).",
        values=("missing", "wrong", "limited", "scope"),
    ),
    Row("token_entries", "gauge", (), "Entries of the token file that are accepted now."),
    Row(
        "requests_shed_total",
        "counter",
        ("reason",),
        "Requests answered 503 because of overload: requests (too many open), bytes (of their"
        " bodies) or wait (too much work before them).",
        values=("requests", "bytes", "wait"),
    ),
    Row(
        "connections_closed_total",
        "counter",
        ("reason",),
        "Connections the service closed: headers (slow or too large), unread (the client did not"
        " take its answer or send the rest of its body), room (closed for a new one), malformed (no"
        " HTTP).",
        values=("headers", "unread", "room", "malformed"),
    ),
    Row("open_connections", "gauge", (), "Connections that are open."),
    Row("open_requests", "gauge", (), "Requests that are being answered."),
    Row(
        "storage_failures_total",
        "counter",
        ("what",),
        "Failures to read from or write to the disk: model, memory, tokens, verdicts or history.",
        values=("model", "memory", "tokens", "verdicts", "history"),
    ),
    Row(
        "setup_warnings",
        "gauge",
        ("code",),
        "Sources of logs whose set-up looks wrong, by what: see `warnings` of GET /status.",
    ),
    Row("model_loaded", "gauge", (), "1 when a model is served, else 0."),
    Row(
        "model_trained_timestamp_seconds",
        "gauge",
        (),
        "When the served model was trained, in Unix seconds; 0 without one.",
    ),
    Row(
        "model_threshold",
        "gauge",
        (),
        "Score of the served model below which a log is anomalous; NaN without one.",
    ),
    Row(
        "model_alert_budget",
        "gauge",
        (),
        "Share of ordinary logs that the served model was calibrated to flag; NaN without one.",
    ),
    Row(
        "model_training_logs",
        "gauge",
        (),
        "Logs that the served model was trained on; 0 without one.",
    ),
    Row("model_info", "gauge", ("version",), "1, with the version of the served model."),
    Row("service_info", "gauge", ("version",), "1, with the version of the service."),
    Row("training_running", "gauge", (), "1 while a training runs, else 0."),
    Row("training_duration_seconds", "gauge", (), "Seconds that the last training took."),
    Row(
        "trainings_total",
        "counter",
        ("outcome",),
        "Trainings ended, by success or failed.",
        values=_OUTCOMES,
    ),
    Row(
        "memory_entities",
        "gauge",
        ("kind",),
        "What is remembered: actors (users and addresses) and endpoints.",
    ),
    Row("memory_capacity_entities", "gauge", (), "Actors that fit in the memory."),
    Row(
        "memory_evictions_total",
        "counter",
        (),
        "Actors and endpoints that were forgotten because the memory was full.",
    ),
    Row(
        "snapshot_copy_seconds",
        "gauge",
        (),
        "Seconds for which the last snapshot held up scoring to copy the memory.",
    ),
    Row("logs_ingested_total", "counter", (), "Logs taken in by POST /ingest and its siblings."),
    Row(
        "log_lines_rejected_total",
        "counter",
        (),
        "Lines and records that could not be read as logs.",
    ),
    Row("ingest_retries_total", "counter", (), "Requests recognized as retries."),
    Row("history_logs", "gauge", (), "Logs in the history."),
    Row("history_journal_bytes", "gauge", (), "Bytes in the open segment of the journal."),
    Row(
        "snapshots_total",
        "counter",
        ("outcome",),
        "Memory snapshots, by success or failed.",
        values=_OUTCOMES,
    ),
    Row(
        "snapshot_last_success_timestamp_seconds",
        "gauge",
        (),
        "When the memory was last kept on disk, in Unix seconds; 0 when never.",
    ),
    Row(
        "snapshot_age_seconds",
        "gauge",
        (),
        "Seconds since the memory was last kept on disk; NaN when never.",
    ),
)


class Metrics:
    """The METRICS of one service, in a registry of its own. Only the event loop uses it."""

    def __init__(self) -> None:
        # Else each counter has a second series, which no query here uses.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = CollectorRegistry()
        self._metrics: dict[str, Counter | Gauge] = {}
        self._histograms: dict[str, HistogramFamily] = {}
        #: By name and label values: prometheus_client's look-up costs more than an increment.
        self._children: dict[tuple[str, ...], Counter | Gauge] = {}
        for row in METRICS:
            self._register(row)
        ProcessCollector(registry=self._registry)
        self.set("model_threshold", float("nan"))
        self.set("model_alert_budget", float("nan"))
        self.set("snapshot_age_seconds", float("nan"))

    def _register(self, row: Row) -> None:
        """Add a row to the registry; label values that are known beforehand start at 0."""
        if row.type == "histogram":
            family = HistogramFamily(row.name, row.meaning, row.labels, row.buckets)
            self._histograms[row.name] = family
            self._registry.register(family)
            return
        kind = Gauge if row.type == "gauge" else Counter
        self._metrics[row.name] = kind(row.name, row.meaning, row.labels, registry=self._registry)
        for value in row.values:
            self._child(row.name, value)

    def count(self, name: str, *labels: str, by: float = 1) -> None:
        """Add to a counter."""
        self._child(name, *labels).inc(by)

    def set(self, name: str, value: float, *labels: str) -> None:
        """Set a gauge."""
        gauge = self._child(name, *labels)
        assert isinstance(gauge, Gauge), name
        gauge.set(value)

    def mark(self, name: str, *labels: str) -> None:
        """Set a gauge to 1 under `labels` and remove its series under other labels."""
        gauge = self._metrics[name]
        assert isinstance(gauge, Gauge), name
        gauge.clear()
        gauge.labels(*labels).set(1)

    def observe(self, name: str, value: float, *labels: str) -> None:
        """Add an observation to a histogram."""
        self._histograms[name].child(labels).observe(value)

    def observe_all(self, name: str, values: NDArray[np.float64]) -> None:
        """Add an array of observations to a histogram without labels."""
        self._histograms[name].child(()).observe_all(values)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format; its media type is CONTENT_TYPE."""
        return generate_latest(self._registry)

    def _child(self, *key: str) -> Counter | Gauge:
        child = self._children.get(key)
        if child is None:
            metric = self._metrics[key[0]]
            child = self._children[key] = metric.labels(*key[1:]) if len(key) > 1 else metric
        return child


def table() -> str:
    """The table of metrics in docs/operations.md, in Markdown."""
    rows = ["| metric | type | labels | meaning |", "|---|---|---|---|"]
    for row in METRICS:
        labels = ", ".join(f"`{label}`" for label in row.labels)
        rows.append(f"| `{row.name}` | {row.type} | {labels} | {row.meaning} |")
    return "\n".join(rows)


if __name__ == "__main__":
    print(table())
