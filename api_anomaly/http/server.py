"""Running the application under uvicorn, as main does."""

import resource

import uvicorn
from fastapi import FastAPI

from api_anomaly.settings import Settings
from api_anomaly.http.protocol import BoundedHttpProtocol

#: Seconds for open requests after a SIGTERM; then they are cancelled, so that the memory can be
#: kept before an orchestrator's usual 30 seconds are over.
_GRACE_SECONDS = 20
#: Seconds a connection may rest between two requests: longer than most shippers wait between two
#: batches, so that the server is not the one that ends it under a request's way.
_KEEP_ALIVE_SECONDS = 75
#: Open files besides the connections: models, journal, database, libraries.
_OTHER_FILES = 200


def serve(app: FastAPI, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. uvicorn's access log stays off: it would hold addresses."""
    scheme = "https" if settings.ssl_certfile else "http"
    _allow_files(settings.max_connections + _OTHER_FILES)
    print(f"Serving on {scheme}://{settings.host}:{settings.port}", flush=True)
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        ssl_certfile=settings.ssl_certfile,
        ssl_keyfile=settings.ssl_keyfile,
        access_log=False,
        # What uvicorn warns of, callers can make it say as often as they like.
        log_level="error",
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        http=BoundedHttpProtocol,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
    )


def _allow_files(count: int) -> None:
    """Let the process have so many open files, or as many as it may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
