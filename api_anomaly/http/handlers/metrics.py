"""GET /metrics."""

from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.http.state import HttpState
from api_anomaly.telemetry.metrics import CONTENT_TYPE


async def metrics(_request: Request, state: HttpState) -> Response:
    """Metrics in Prometheus' text format. Needs a token only where `METRICS_TOKEN` is set."""
    app = state.app
    app.metrics.set("open_requests", state.admission.open_requests)
    app.measure()
    return Response(app.metrics.text(), media_type=CONTENT_TYPE)
