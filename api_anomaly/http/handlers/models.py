"""POST /load-model."""

from starlette.requests import Request
from starlette.responses import Response

from api_anomaly.http.problems import json_response
from api_anomaly.http.responses import LoadResponse
from api_anomaly.http.state import HttpState


async def load_model(_request: Request, state: HttpState) -> Response:
    """Serve the model that is on disk. Its signature is verified before it is opened."""
    app = state.app
    version = (await app.registry.load()).version
    app.journal.info("model loaded", version=version)
    response: LoadResponse = {
        "status": "success",
        "message": f"Model {version} is served.",
        "model_version": version,
    }
    return json_response(response)
