"""Running the application under uvicorn, as main does."""

import uvicorn
from fastapi import FastAPI

from api_anomaly.service.settings import Settings

#: Seconds for open requests after a SIGTERM; then they are cancelled, so that the memory can be
#: kept before an orchestrator's usual 30 seconds are over.
_GRACE_SECONDS = 20


def serve(app: FastAPI, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. uvicorn's access log stays off: it would hold addresses."""
    scheme = "https" if settings.ssl_certfile else "http"
    print(f"Serving on {scheme}://{settings.host}:{settings.port}", flush=True)
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        ssl_certfile=settings.ssl_certfile,
        ssl_keyfile=settings.ssl_keyfile,
        access_log=False,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
    )
