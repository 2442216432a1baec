"""Lines of a file -> logs -> one training request.

The lines are read by the code with which the service reads them.

The service trains on one request body, so the logs are kept as JSON texts until it is sent. Where
the service accepts less, the most recent logs that fit are used.
"""

import json
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from api_anomaly.client.lines import BadLine, Header, LineCount
from api_anomaly.client.progress import ReportProgress
from api_anomaly.client.service import LogsRefused, Service, TooLarge
from api_anomaly.client.source import Line, SourceError
from api_anomaly.logs.formats.format import FormatAmbiguous, FormatUnknown, ReadOptions
from api_anomaly.logs.formats.read import ReadResult, StreamReader
from api_anomaly.logs.records import LogFields

#: Lines that are read at once.
_CHUNK = 1_000

# About 150 MB as JSON texts.
MAX_TRAINING_LOGS = 500_000
MIN_TRAINING_LOGS = 10  # of the HTTP contract
# The client sends normalised logs, so even one round of leaving out invalid ones is rare.
_MAX_ROUNDS = 10


@dataclass(frozen=True)
class Training:
    """What was sent for training, and the answer of the service."""

    offered: int  # logs in the file
    used: int
    refused: int  # invalid logs that the service named and that were left out
    answer: dict[str, Any]
    seconds: float  # from the first request to the last answer


class Trainer:
    """Collects logs, then trains. Beyond `max_logs` the oldest logs are dropped."""

    def __init__(self, max_logs: int = MAX_TRAINING_LOGS) -> None:
        self._texts: deque[bytes] = deque(maxlen=max_logs)
        self._offered = 0

    def add(self, log: LogFields) -> None:
        self._texts.append(json.dumps(log, separators=(",", ":")).encode())
        self._offered += 1

    def __len__(self) -> int:
        return len(self._texts)

    def train(self, service: Service) -> Training:
        """Train once. Raises ServiceError when the service refuses it for more than its size."""
        texts = list(self._texts)
        self._texts.clear()
        refused = 0
        started = time.perf_counter()
        while True:
            try:
                answer = service.train(texts)
            except TooLarge:
                if len(texts) <= MIN_TRAINING_LOGS:
                    raise
                # A quarter less each time, so that little of what would fit is lost.
                texts = texts[-max(MIN_TRAINING_LOGS, len(texts) * 3 // 4) :]
            except LogsRefused as error:
                kept = [text for index, text in enumerate(texts) if index not in error.reasons]
                refused += len(texts) - len(kept)
                too_many = refused > _MAX_ROUNDS * max(1, len(error.reasons))
                if too_many or len(kept) in (0, len(texts)):
                    raise
                texts = kept
            else:
                seconds = time.perf_counter() - started
                return Training(self._offered, len(texts), refused, answer, seconds)


class LineReader:
    """Reads the lines for a training. `header` follows them, `formats` names what was found."""

    def __init__(self, options: ReadOptions, lines: LineCount, header: Header) -> None:
        try:
            self._reader = StreamReader(options)
        except FormatUnknown as error:
            raise SourceError(f"{error} (--format NAME)") from error
        self._options = options
        self._lines = lines
        self._header = header
        self.formats: dict[str, None] = {}

    def read(self, lines: Iterator[Line], trainer: Trainer, report: ReportProgress) -> None:
        """Give the logs of all lines to `trainer`. Raises SourceError when most are no logs."""
        done = 0
        while chunk := list(islice(lines, _CHUNK)):
            body = b"\n".join(line.text for line in chunk)
            try:
                result = self._read(body)
            except FormatUnknown as error:
                first = BadLine(chunk[0].number, str(error))
                self._lines.add(len(chunk), len(chunk), [first])
            else:
                for log in result.records.as_dicts():
                    trainer.add(log)
                last = len(chunk) - 1
                bad = [
                    BadLine(chunk[min(row.line - 1, last)].number, row.reason)
                    for row in result.errors
                ]
                self._lines.add(len(chunk), result.rejected, bad)
                self.formats |= dict.fromkeys(filter(None, result.format.split(", ")))
            self._header.follow(chunk)
            done += len(chunk)
            report(done)

    def _read(self, body: bytes) -> ReadResult:
        """Where the format cannot be told from these lines, it is that of the earlier ones."""
        try:
            return self._reader.read_body(body)
        except FormatAmbiguous as error:
            if not self.formats:
                raise SourceError(f"{error} (--format NAME)") from error
        usual = next(iter(self.formats))
        return StreamReader(self._options._replace(format=usual)).read_body(body)
