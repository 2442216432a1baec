"""Detection on the logs of a file, in batches, in file order.

Log files are nearly in time order, and the service counts a late log at its own time, so nothing
is sorted here.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from api_anomaly.client.labels import LabelReport
from api_anomaly.client.progress import ReportProgress
from api_anomaly.client.reader import MAX_BAD_LINES_SHOWN, BadLine, Entry
from api_anomaly.client.service import LogsRefused, Service, TooLarge
from api_anomaly.client.summary import Summary
from api_anomaly.client.training import Training


@dataclass
class Outcome:
    """The results of a replay."""

    summary: Summary
    label_report: LabelReport = field(default_factory=LabelReport)
    training: Training | None = None
    detect_seconds: float = 0.0
    refused: int = 0  # logs that the service called invalid
    refused_lines: list[BadLine] = field(default_factory=list)  # the first few of them
    model_version: str | None = None
    threshold: float | None = None
    confidence: float = 0.0  # mean over the logs


class Detection:
    """Sends batches and sums up the answers. After a 413, this and later batches are halved."""

    def __init__(self, service: Service, batch: int, threshold: float | None, top: int) -> None:
        self._service = service
        self._batch = batch
        self._options: dict[str, Any] = {} if threshold is None else {"threshold": threshold}
        self.outcome = Outcome(Summary(top))

    def run(self, entries: Iterator[Entry], report: ReportProgress) -> Outcome:
        """Detect on all entries. The time includes reading the file and waiting for the service."""
        started = time.perf_counter()
        while batch := list(islice(entries, self._batch)):
            self._send(batch)
            report(self.outcome.summary.logs + self.outcome.refused)
        self.outcome.detect_seconds = time.perf_counter() - started
        return self.outcome

    def _send(self, batch: Sequence[Entry]) -> None:
        if not batch:
            return
        try:
            answer = self._service.detect([entry.log for entry in batch], self._options)
        except TooLarge:
            if len(batch) == 1:
                raise
            self._batch = max(1, len(batch) // 2)
            self._send(batch[: self._batch])
            self._send(batch[self._batch :])
        except LogsRefused as error:
            if not any(index < len(batch) for index in error.reasons):
                raise
            self._add_refused(batch, error)
            self._send([entry for i, entry in enumerate(batch) if i not in error.reasons])
        else:
            self._add_answer(batch, answer)

    def _add_refused(self, batch: Sequence[Entry], error: LogsRefused) -> None:
        for index, reason in error.reasons.items():
            if index < len(batch):
                self.outcome.refused += 1
                if len(self.outcome.refused_lines) < MAX_BAD_LINES_SHOWN:
                    self.outcome.refused_lines.append(BadLine(batch[index].number, reason))

    def _add_answer(self, batch: Sequence[Entry], answer: dict[str, Any]) -> None:
        outcome = self.outcome
        outcome.summary.add(batch, answer["anomalies"])
        flagged = frozenset(anomaly["log_index"] for anomaly in answer["anomalies"])
        outcome.label_report.add(batch, flagged)
        outcome.model_version = answer["model_version"]
        outcome.threshold = answer["threshold"]
        weight = len(batch) / outcome.summary.logs
        outcome.confidence += (answer["model_confidence"] - outcome.confidence) * weight
