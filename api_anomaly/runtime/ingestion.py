"""The use case of POST /ingest: keep the logs of a request, score them once there is a model."""

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import msgspec

from api_anomaly.detector import Detections
from api_anomaly.errors import BatchTooLarge, NothingReadable
from api_anomaly.logs.column_logs import ColumnLogs
from api_anomaly.logs.columns import Columns
from api_anomaly.logs.formats.read import ReadResult
from api_anomaly.logs.pseudonyms import Pseudonyms
from api_anomaly.logs.records import Records
from api_anomaly.runtime.detect_response import anomaly_response
from api_anomaly.runtime.detection import DetectionService
from api_anomaly.runtime.feedback import FeedbackService
from api_anomaly.runtime.history import HistoryService, Missing
from api_anomaly.runtime.idempotency import NO_RETRY, IdempotencyStore, Retry
from api_anomaly.runtime.registry import ModelRegistry
from api_anomaly.runtime.setup_watch import SetupWatch
from api_anomaly.runtime.threads import in_thread
from api_anomaly.storage.history.entry import Entry, other_methods
from api_anomaly.telemetry.metrics import Metrics

#: A log older than this when it arrives is late.
LATE_SECONDS = 3600.0
#: Batches of at least this many logs are converted in a thread.
_THREAD_LOGS = 512


class IngestOptions(NamedTuple):
    """`retry` identifies the request; `anomalies`: the response lists them; `source`: who sends,
    for the warnings about set-ups."""

    retry: Retry = NO_RETRY
    anomalies: bool = False
    source: str = ""


class IngestionService:
    """Takes in logs that were read from any format."""

    def __init__(
        self,
        registry: ModelRegistry,
        detection: DetectionService,
        feedback: FeedbackService,
        history: HistoryService,
        responses: IdempotencyStore,
        max_logs: int,
        metrics: Metrics,
        pseudonyms: Pseudonyms | None = None,
        missing: Callable[[], Missing | None] = lambda: None,
        setup_watch: SetupWatch | None = None,
    ) -> None:
        """`missing` returns what the first training still waits for."""
        self._registry = registry
        self._detection = detection
        self._feedback = feedback
        self._history = history
        self._responses = responses
        self._max_logs = max_logs
        self._metrics = metrics
        self._pseudonyms = pseudonyms
        self._missing = missing
        self._setup_watch = setup_watch

    async def ingest(self, read: ReadResult, options: IngestOptions) -> bytes:
        """The response, JSON with the fields of `IngestResponse`. When it returns, the logs are on
        disk and, with a model, scored and remembered.

        A retry gets the first response. A body of one log is taken for a retry only if the first
        response was lost in a restart: two equal requests in a second are written as equal lines.
        Raises NothingReadable, BatchTooLarge and StorageFailed.
        """
        logs = len(read.records.time)
        self._check(read, logs)
        retry = options.retry
        if not retry.key:
            return await self._ingest(read, options)
        if logs == 1 and options.retry.automatic:
            earlier = self._responses.take(retry)
            if earlier is None:
                return await self._ingest(read, options)
            self._metrics.count("ingest_retries_total")
            return earlier
        content, replayed = await self._responses.respond(
            retry, lambda: self._ingest(read, options)
        )
        self._metrics.count("ingest_retries_total", by=int(replayed))
        return content

    def _check(self, read: ReadResult, logs: int) -> None:
        if logs > self._max_logs:
            raise BatchTooLarge(f"At most {self._max_logs} logs fit into one request.")
        if logs == 0 and read.rejected:
            first = read.errors[0]
            raise NothingReadable(
                f"None of {read.rejected} lines could be read. Line {first.line}: {first.reason}"
            )

    async def _ingest(self, read: ReadResult, options: IngestOptions) -> bytes:
        await self._feedback.drop_expired()
        if len(read.records.time) < _THREAD_LOGS:
            columns = self._columns(read.records)
        else:
            columns = await in_thread(self._columns, read.records)
        warnings = [*read.warnings, *self._setup_warnings(columns, read.format, options.source)]
        entry = _entry(columns, read._replace(warnings=warnings), options)

        def keep() -> None:
            if len(columns):
                self._history.append(entry)

        found = await self._registry.observe_if_served(columns, keep)
        detections, version = None, ""
        if found is not None:
            version, detections = found[0].version, found[1]
            self._feedback.record(detections)
            self._detection.record(detections, version)
        self._metrics.count("logs_ingested_total", by=len(columns))
        self._metrics.count("log_lines_rejected_total", by=read.rejected)
        await self._history.flushed()
        if found is None:
            entry = entry._replace(facts=entry.facts | {"missing": self._missing()})
        return encode_response(entry, version, detections)

    def _setup_warnings(self, columns: Columns, format_name: str, source: str) -> list[str]:
        if self._setup_watch is None or not len(columns):
            return []
        found = self._setup_watch.seen(f"{source} {format_name}", columns, time.time())
        return [warning.text for warning in found]

    def _columns(self, records: Records) -> Columns:
        """The columns, in which pseudonyms replace users and addresses."""
        if self._pseudonyms is not None:
            records = records._replace(
                user_id=self._pseudonyms.users(records.user_id),
                ip_address=self._pseudonyms.addresses(records.ip_address),
            )
        columns: Columns = records.columns()
        return columns


def _entry(columns: Columns, read: ReadResult, options: IngestOptions) -> Entry:
    late = int((columns.time < time.time() - LATE_SECONDS).sum())
    facts: dict[str, Any] = {
        "rejected": read.rejected,
        "skipped": read.skipped,
        "no_status": read.no_status,
        "late": late,
        "errors": [error._asdict() for error in read.errors],
        "format": read.format,
        "warnings": list(read.warnings),
        "positions": read.records.position if options.anomalies else None,
    }
    methods = other_methods(columns, read.records.method)
    key, digest, _automatic = options.retry
    return Entry("ingest", time.time(), columns, key, digest, facts, methods)


def encode_response(entry: Entry, version: str, detections: Detections | None) -> bytes:
    """The response to the request of `entry`; without `detections` its logs were not scored."""
    facts, logs = entry.facts, len(entry.columns)
    anomalies = detections.anomalies if detections else ()
    response: dict[str, Any] = {
        "accepted": logs,
        "rejected": facts["rejected"],
        "skipped": facts["skipped"],
        "scored": logs if detections else 0,
        "late": facts["late"],
        "no_status": facts["no_status"],
        "errors": facts["errors"],
        "anomaly_count": len(anomalies),
        "incident_ids": [],
        "format": facts["format"],
        "model_version": version or None,
        "warnings": facts["warnings"],
    }
    if detections is None:
        missing = facts.get("missing")
        response["first_training"] = missing and missing.response()
    positions: Sequence[int] | None = facts["positions"]
    if positions is not None:
        shown = ColumnLogs(entry.columns, entry.methods)
        response["anomalies"] = [
            anomaly_response(shown[found.index], found) | {"line": positions[found.index]}
            for found in anomalies
        ]
    return msgspec.json.encode(response)
