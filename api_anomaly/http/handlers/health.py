"""GET /health and GET /ready."""

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import Response

from api_anomaly import __version__
from api_anomaly.http.problems import json_response
from api_anomaly.http.responses import HealthResponse, ReadyResponse
from api_anomaly.http.state import HttpState


async def health(_request: Request, state: HttpState) -> Response:
    """Whether the process serves. Does not use the model and needs no token."""
    response: HealthResponse = {
        "status": "healthy",
        "timestamp": datetime.now(UTC).isoformat(),
        "version": __version__,
        "model_loaded": state.app.registry.served is not None,
    }
    return json_response(response)


async def ready(_request: Request, _state: HttpState) -> Response:
    """Whether the process may be given traffic. Needs no token."""
    response: ReadyResponse = {"status": "ready"}
    return json_response(response)
