"""Watches the logs of all sources for wrong set-ups, and says once in the journal what it found."""

from collections import Counter
from datetime import UTC, datetime
from typing import Any

from api_anomaly.logs.columns import Columns
from api_anomaly.logs.setup_checks import CODES, SetupChecks, SetupWarning
from api_anomaly.telemetry.journal import Journal
from api_anomaly.telemetry.metrics import Metrics

#: The source that a history to train on counts as.
TRAINING = "training"


def warning_response(warning: SetupWarning) -> dict[str, Any]:
    """A warning as responses show it."""
    since = datetime.fromtimestamp(warning.since, UTC).isoformat()
    return warning._asdict() | {"since": since}


class SetupWatch:
    """The set-up warnings of this process. Only the event loop uses it."""

    def __init__(self, metrics: Metrics, journal: Journal) -> None:
        self._checks = SetupChecks()
        self._metrics = metrics
        self._journal = journal
        self._known: set[tuple[str, str]] = set()

    @property
    def warnings(self) -> list[SetupWarning]:
        """What is wrong now, the sources that were heard last first."""
        return self._checks.warnings

    def seen(self, source: str, columns: Columns, now: float) -> list[SetupWarning]:
        """Logs of `source`, a caller's id and a format, arrived at `now` (Unix seconds). Returns
        what is wrong with this source."""
        return self._tell(self._checks.seen(source, columns, now))

    def trained(self, columns: Columns, now: float) -> list[SetupWarning]:
        """A model is trained on this history. Returns what is wrong with it."""
        return self._tell(self._checks.seen_all(TRAINING, columns, now))

    def measure(self) -> None:
        """Update the metric, which is computed when it is read."""
        counts = Counter(warning.code for warning in self.warnings)
        for code in CODES:
            self._metrics.set("setup_warnings", counts[code], code)

    def _tell(self, warnings: list[SetupWarning]) -> list[SetupWarning]:
        """Log those that are new."""
        for warning in warnings:
            if (warning.code, warning.source) not in self._known:
                self._journal.warning(
                    "set-up looks wrong",
                    code=warning.code,
                    source=warning.source,
                    reason=warning.text,
                )
                current = {(each.code, each.source) for each in self.warnings}
                self._known = (self._known | {(warning.code, warning.source)}) & current
        return warnings
