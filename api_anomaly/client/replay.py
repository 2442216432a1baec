"""The replay: train on the earlier part of a log file, detect on the rest in batches.

Logs are sent in file order. Log files are nearly in time order, and the service counts a late log
in its own time, so nothing is sorted here.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any

from api_anomaly.client.service import LogsRefused, Service, TooLarge
from api_anomaly.client.reading import SHOWN_BAD_LINES, ParseError, Entry, Reader
from api_anomaly.client.summary import Summary
from api_anomaly.client.training import Trainer, Training
from api_anomaly.client.labels import LabelReport

# Told after each step: logs done so far.
Progress = Callable[[int], None]


@dataclass
class Outcome:
    """Everything that a replay found out."""

    tally: Summary
    label_report: LabelReport = field(default_factory=LabelReport)
    training: Training | None = None
    train_seconds: float = 0.0
    detect_seconds: float = 0.0
    refused: int = 0  # logs that the service called faulty
    complaints: list[ParseError] = field(default_factory=list)
    model_version: str | None = None
    threshold: float | None = None
    confidence: float = 0.0  # mean over the logs


class Detection:
    """Sends batches, counts answers. A batch that is too large is halved, with all later ones."""

    def __init__(self, service: Service, batch: int, threshold: float | None, top: int) -> None:
        self._service = service
        self._batch = batch
        self._options: dict[str, Any] = {} if threshold is None else {"threshold": threshold}
        self.outcome = Outcome(Summary(top))

    def run(self, entries: Iterator[Entry], progress: Progress) -> Outcome:
        """Detect on all entries. The time includes reading the file and waiting for the service."""
        started = time.perf_counter()
        while batch := list(islice(entries, self._batch)):
            self._send(batch)
            progress(self.outcome.tally.logs + self.outcome.refused)
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
            if not any(place < len(batch) for place in error.places):
                raise
            self._refuse(batch, error)
            self._send([entry for place, entry in enumerate(batch) if place not in error.places])
        else:
            self._count(batch, answer)

    def _refuse(self, batch: Sequence[Entry], error: LogsRefused) -> None:
        for place, reason in error.places.items():
            if place < len(batch):
                self.outcome.refused += 1
                if len(self.outcome.complaints) < SHOWN_BAD_LINES:
                    self.outcome.complaints.append(ParseError(batch[place].number, reason))

    def _count(self, batch: Sequence[Entry], answer: dict[str, Any]) -> None:
        found = self.outcome
        found.tally.add(batch, answer["anomalies"])
        found.label_report.add(
            batch, frozenset(anomaly["log_index"] for anomaly in answer["anomalies"])
        )
        found.model_version = answer["model_version"]
        found.threshold = answer["threshold"]
        found.confidence += (
            (answer["model_confidence"] - found.confidence) * len(batch) / found.tally.logs
        )


def collect(
    trainer: Trainer, reader: Reader, entries: Iterator[Entry], units: int, progress: Progress
) -> Iterator[Entry]:
    """Give the logs of the first `units` lines to the trainer; gives the entries after them."""
    for entry in entries:
        if reader.read > units:
            return chain([entry], entries)
        trainer.add(entry.log)
        progress(reader.read)
    return entries
