"""The earlier part of a log file -> one training request.

The contract trains from one body, so the logs of the training share are kept (as JSON texts) until
it is sent. When the service accepts less than that, the most recent logs that fit are used: they
are closest to what is detected next.
"""

import json
from collections import deque
from dataclasses import dataclass
from typing import Any

from api_anomaly.logs.formats.fields import Log
from api_anomaly.client.service import LogsRefused, Service, TooLarge

# Logs kept for training at most: about 150 MB as JSON texts.
TRAINING_MOST = 500_000
LEAST = 10  # what the contract asks for
# Rounds of leaving out faulty logs. The client sends clean logs, so even one round is rare.
_ROUNDS = 10


@dataclass(frozen=True)
class Training:
    """What was sent for training and what the service answered."""

    offered: int  # logs in the training share
    used: int
    refused: int  # faulty logs that the service named and that were left out
    answer: dict[str, Any]


class Trainer:
    """Collects the logs of the training share, then trains."""

    def __init__(self, most: int = TRAINING_MOST) -> None:
        self._texts: deque[bytes] = deque(maxlen=most)
        self._offered = 0

    def add(self, log: Log) -> None:
        """Keep one log; beyond the limit the oldest gives way."""
        self._texts.append(json.dumps(log, separators=(",", ":")).encode())
        self._offered += 1

    def __len__(self) -> int:
        return len(self._texts)

    def train(self, service: Service, timeout: float) -> Training:
        """One training. `ServiceFailed` when the service refuses it for more than its size."""
        texts = list(self._texts)
        self._texts.clear()
        refused = 0
        while True:
            try:
                answer = service.train(texts, timeout)
            except TooLarge:
                if len(texts) <= LEAST:
                    raise
                # A quarter less each time, so that little of what would fit is given away.
                texts = texts[-max(LEAST, len(texts) * 3 // 4) :]
            except LogsRefused as error:
                kept = [text for place, text in enumerate(texts) if place not in error.places]
                refused += len(texts) - len(kept)
                if refused > _ROUNDS * max(1, len(error.places)) or len(kept) in (0, len(texts)):
                    raise
                texts = kept
            else:
                return Training(self._offered, len(texts), refused, answer)
