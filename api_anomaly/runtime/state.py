"""The parts of one running service, wired once at start and passed on in the lifespan's state."""

from dataclasses import dataclass

from starlette.requests import Request

from api_anomaly.http.admission import Admission, LoopScheduler
from api_anomaly.logs.decode import Decoder
from api_anomaly.http.auth.authenticator import Authenticator
from api_anomaly.telemetry.journal import Journal
from api_anomaly.http.feedback_body import FeedbackReader
from api_anomaly.telemetry.metrics import Metrics
from api_anomaly.runtime.rule_comparison import RuleComparison
from api_anomaly.runtime.idempotency import IdempotencyStore
from api_anomaly.runtime.detection import DetectionService
from api_anomaly.settings import Settings
from api_anomaly.runtime.snapshots import SnapshotService
from api_anomaly.runtime.feedback import FeedbackService
from api_anomaly.http.auth.token_watch import TokenFileWatcher
from api_anomaly.runtime.training import TrainingService
from api_anomaly.storage.models import ModelStore


@dataclass(frozen=True, slots=True)
class AppState:
    """Everything a route may use."""

    settings: Settings
    guard: Authenticator
    token_watch: TokenFileWatcher | None
    admission: Admission
    pace: LoopScheduler
    decoder: Decoder
    judged: FeedbackReader
    vault: ModelStore
    serving: DetectionService
    opinion: RuleComparison
    training: TrainingService
    feedback_service: FeedbackService
    snapshots: SnapshotService
    retries: IdempotencyStore
    metrics: Metrics
    journal: Journal

    def stop(self) -> None:
        """Tell whatever runs beside the requests to end."""
        self.snapshots.stop()
        if self.token_watch is not None:
            self.token_watch.stop()


def state_of(request: Request) -> AppState:
    """The parts of the service that got `request`."""
    parts: AppState = request.scope["state"]["parts"]
    return parts


def authorized_state(request: Request) -> AppState:
    """The same, for a caller whose token is for this endpoint. Raises Unauthorized,
    TooManyAttempts and Forbidden."""
    parts = state_of(request)
    parts.guard.admit(request.scope)
    return parts
