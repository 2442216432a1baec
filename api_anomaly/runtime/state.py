"""The parts of one running service, wired once at start and passed on in the lifespan's state."""

from dataclasses import dataclass

from starlette.requests import Request

from api_anomaly.http.admission import Admission, Pace
from api_anomaly.logs.decode import Decoder
from api_anomaly.http.auth.authenticator import Guard
from api_anomaly.telemetry.journal import Journal
from api_anomaly.http.feedback_body import JudgedReader
from api_anomaly.telemetry.metrics import Metrics
from api_anomaly.runtime.rule_comparison import Opinion
from api_anomaly.runtime.idempotency import Retries
from api_anomaly.runtime.detection import Serving
from api_anomaly.settings import Settings
from api_anomaly.runtime.snapshots import Snapshots
from api_anomaly.runtime.feedback import Teaching
from api_anomaly.http.auth.token_watch import TokenWatch
from api_anomaly.runtime.training import Training
from api_anomaly.storage.models import Vault


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything a route may use."""

    settings: Settings
    guard: Guard
    token_watch: TokenWatch | None
    admission: Admission
    pace: Pace
    decoder: Decoder
    judged: JudgedReader
    vault: Vault
    serving: Serving
    opinion: Opinion
    training: Training
    teaching: Teaching
    snapshots: Snapshots
    retries: Retries
    metrics: Metrics
    journal: Journal

    def stop(self) -> None:
        """Tell whatever runs beside the requests to end."""
        self.snapshots.stop()
        if self.token_watch is not None:
            self.token_watch.stop()


def parts_of(request: Request) -> Parts:
    """The parts of the service that got `request`."""
    parts: Parts = request.scope["state"]["parts"]
    return parts


def parts_for(request: Request) -> Parts:
    """The same, for a caller whose token is for this endpoint. Raises Unauthorized,
    TooManyAttempts and Forbidden."""
    parts = parts_of(request)
    parts.guard.admit(request.scope)
    return parts
