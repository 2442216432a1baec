"""After a restart: the logs of the journal that the memory snapshot does not have."""

import time
from collections.abc import Callable, Mapping

from api_anomaly.detector import Detections
from api_anomaly.runtime.feedback import RecentAnomalies
from api_anomaly.runtime.history import HistoryService
from api_anomaly.runtime.idempotency import IdempotencyStore, StoredResponse
from api_anomaly.runtime.registry import ServedModel
from api_anomaly.storage.history.entry import Entry

#: Encodes the response to a request of one kind, from its entry, the model's version and what was
#: detected (None: there is no model). None: this response needs a model.
Encode = Callable[[Entry, str, Detections | None], bytes | None]


class Recovery:
    """Scores and remembers logs of the journal again, in their order, and restores the responses to
    their requests, so that a retry is recognized."""

    def __init__(
        self,
        history: HistoryService,
        anomalies: RecentAnomalies,
        responses: IdempotencyStore,
        seconds: float,
        encoders: Mapping[str, Encode],
    ) -> None:
        """`seconds`: how long a response is kept."""
        self._history = history
        self._anomalies = anomalies
        self._responses = responses
        self._seconds = seconds
        self._encoders = encoders

    def replay(self, served: ServedModel, position: int) -> None:
        """Remember the logs after `position`, about 6 µs each. Holds the registry's lock."""
        for entry in self._history.read(position):
            threshold = entry.facts.get("threshold")
            detections = served.detector.detect(entry.columns, threshold, True, entry.received)
            if detections.anomalies:
                self._anomalies.add(detections.labels)
            self._restore(entry, served.version, detections)

    def restore_responses(self) -> None:
        """Restore the responses to recent requests where there is no model to score them with."""
        for entry in self._history.read(0):
            self._restore(entry, "", None)

    def _restore(self, entry: Entry, version: str, detections: Detections | None) -> None:
        expires = entry.received + self._seconds
        encode = self._encoders.get(entry.kind)
        if entry.key and encode is not None and expires > time.time():
            body = encode(entry, version, detections)
            if body is None:
                return
            self._responses.restore([StoredResponse(entry.key, entry.digest, expires, body)])
