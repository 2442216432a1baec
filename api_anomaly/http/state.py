"""What HTTP handlers use besides the request: created at start, passed in the lifespan's state."""

from dataclasses import dataclass

from starlette.types import Scope

from api_anomaly.http.admission import Admission, LoopScheduler
from api_anomaly.http.auth.authenticator import Authenticator
from api_anomaly.feedback.decode import FeedbackReader
from api_anomaly.runtime.state import AppState


@dataclass(frozen=True, slots=True)
class HttpState:
    """The running service, and what only HTTP needs."""

    app: AppState
    authenticator: Authenticator
    admission: Admission
    scheduler: LoopScheduler
    feedback_reader: FeedbackReader


def http_state(scope: Scope) -> HttpState:
    """The state of the service that received the request. Raises RuntimeError before the start."""
    state: HttpState | None = scope.get("state", {}).get("http")
    if state is None:
        raise RuntimeError("The service was not started. Serve the app with its lifespan on.")
    return state
