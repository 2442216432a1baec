"""The lines of a file, as they are, to POST /ingest: in batches, in file order.

Log files are nearly in time order, and the service counts a late log at its own time, so nothing
is sorted here.
"""

import re
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from api_anomaly.client.label import Label, label_of
from api_anomaly.client.labels import LabelReport
from api_anomaly.client.lines import BadLine, Header, LineCount
from api_anomaly.client.progress import ReportProgress
from api_anomaly.client.service import Service, ServiceError, TooLarge
from api_anomaly.client.source import Line
from api_anomaly.client.summary import Summary
from api_anomaly.client.training import Training

#: How the service says that a batch holds no log at all.
_NOTHING_READ = frozenset({"nothing_readable", "format_unknown"})
_FIRST_ERROR = re.compile(r"Line (\d+): (.*)", re.DOTALL)


@dataclass
class Outcome:
    """The results of a replay."""

    summary: Summary
    label_report: LabelReport = field(default_factory=LabelReport)
    lines: LineCount = field(default_factory=LineCount)
    training: Training | None = None
    seconds: float = 0.0  # from the first batch to the last answer, with reading the file
    counts: Counter[str] = field(default_factory=Counter)  # the counts of the answers, by name
    formats: Counter[str] = field(default_factory=Counter)  # name -> batches
    warnings: dict[str, None] = field(default_factory=dict)  # a set in order
    model_version: str | None = None
    threshold: float | None = None

    @property
    def format(self) -> str:
        """The formats that were read, comma-separated, the most frequent first."""
        names: Counter[str] = Counter()
        for together, batches in self.formats.items():
            for name in filter(None, together.split(", ")):
                names[name] += batches
        return ", ".join(name for name, _ in names.most_common())


class IngestOptions(NamedTuple):
    """`format` and `log_format` as in the query of POST /ingest; `batch`: lines in one request."""

    format: str = "auto"
    log_format: str | None = None
    batch: int = 1000


class Ingestion:
    """Sends batches and sums up the answers. After a 413, this and later batches are halved.

    `header` has followed the lines before the first one that is sent.
    """

    def __init__(
        self, service: Service, options: IngestOptions, outcome: Outcome, header: Header
    ) -> None:
        self._service = service
        self._batch = options.batch
        self._query = {"anomalies": "true", "format": options.format}
        if options.log_format is not None:
            self._query["log_format"] = options.log_format
        self._header = header
        self._outcome = outcome

    def run(self, lines: Iterator[Line], report: ReportProgress) -> None:
        """Send all lines. Raises SourceError when more than half of them are no logs."""
        started = time.perf_counter()
        sent = 0
        while batch := list(islice(lines, self._batch)):
            self._send(batch)
            sent += len(batch)
            report(sent)
        self._outcome.seconds = time.perf_counter() - started
        self._outcome.lines.check()

    def _send(self, batch: Sequence[Line]) -> None:
        header = [] if "log_format" in self._query else self._header.lines
        try:
            answer = self._ask(b"\n".join([*header, *(line.text for line in batch)]))
        except TooLarge:
            if len(batch) == 1:
                raise
            self._batch = max(1, len(batch) // 2)
            self._send(batch[: self._batch])
            self._send(batch[self._batch :])
            return
        except ServiceError as error:
            if error.code not in _NOTHING_READ:
                raise
            self._outcome.lines.add(len(batch), len(batch), [_first(batch, len(header), error)])
        else:
            self._add(batch, len(header), answer)
        self._header.follow(batch)

    def _ask(self, body: bytes) -> dict[str, Any]:
        """One answer. Where the format cannot be told from this batch, it is that of the others."""
        try:
            return self._service.ingest(body, self._query)
        except ServiceError as error:
            if error.code != "format_ambiguous" or not self._outcome.formats:
                raise
        [(usual, _)] = self._outcome.formats.most_common(1)
        return self._service.ingest(body, {**self._query, "format": usual.split(", ")[0]})

    def _add(self, batch: Sequence[Line], header: int, answer: dict[str, Any]) -> None:
        outcome = self._outcome
        errors = [row for row in answer["errors"] if row["line"] > header]
        # Lines of the header that are no comments in this format.
        not_ours = len(answer["errors"]) - len(errors)
        bad = [BadLine(_number(batch, header, row["line"]), row["reason"]) for row in errors]
        outcome.lines.add(len(batch), answer["rejected"] - not_ours, bad)
        counts = {name: answer[name] for name in ("accepted", "scored", "late", "no_status")}
        outcome.counts.update(counts, skipped=answer["skipped"] - (header - not_ours))
        outcome.formats[answer["format"]] += 1
        outcome.warnings.update(dict.fromkeys(map(str, answer["warnings"])))
        outcome.model_version = answer["model_version"]
        labels = _labels(batch)
        anomalies = [
            {**row, "line": _number(batch, header, row["line"])} for row in answer["anomalies"]
        ]
        outcome.summary.add(answer["scored"], anomalies, labels)
        if answer["scored"]:
            for line in bad:
                labels.pop(line.number, None)
            outcome.label_report.add(labels, frozenset(row["line"] for row in anomalies))


def _labels(batch: Sequence[Line]) -> dict[int, Label]:
    """Line number -> label."""
    labels = {line.number: label_of(line.text) for line in batch}
    return {number: label for number, label in labels.items() if label is not None}


def _number(batch: Sequence[Line], header: int, line: int) -> int:
    """The number in the file of a line of the request. (A line that is a document of many events
    is counted by events when it is sent alone.)"""
    return batch[min(line - header, len(batch)) - 1].number


def _first(batch: Sequence[Line], header: int, error: ServiceError) -> BadLine:
    """The one line that the refusal of a whole batch names; else its first."""
    match = _FIRST_ERROR.search(error.detail)
    if not match or int(match[1]) <= header:
        return BadLine(batch[0].number, error.detail)
    return BadLine(_number(batch, header, int(match[1])), match[2])
