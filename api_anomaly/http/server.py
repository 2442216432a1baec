"""Runs the application under uvicorn, as `python main.py` does."""

import resource

import uvicorn
from fastapi import FastAPI

from api_anomaly.http.protocol import BoundedHttpProtocol
from api_anomaly.settings import Settings

#: Seconds for open requests after a SIGTERM. Then they are cancelled, so that the memory is on disk
#: before the usual 30 seconds of an orchestrator are over.
_GRACE_SECONDS = 20
#: Seconds a connection may be idle: longer than most log shippers pause between two batches, so
#: that the server does not close it while a request is on its way.
_KEEP_ALIVE_SECONDS = 75
#: Open files besides connections: models, journal, database, libraries.
_OTHER_FILES = 200


def serve(app: FastAPI, settings: Settings) -> None:
    """Serve until SIGTERM or SIGINT. uvicorn's access log is off: it contains addresses."""
    scheme = "https" if settings.ssl_certfile else "http"
    _raise_file_limit(settings.max_connections + _OTHER_FILES)
    print(f"Serving on {scheme}://{settings.host}:{settings.port}", flush=True)
    uvicorn.run(
        app,
        host=settings.host,
        port=settings.port,
        ssl_certfile=settings.ssl_certfile,
        ssl_keyfile=settings.ssl_keyfile,
        access_log=False,
        # Clients can cause its warnings at any rate.
        log_level="error",
        server_header=False,
        timeout_graceful_shutdown=_GRACE_SECONDS,
        timeout_keep_alive=_KEEP_ALIVE_SECONDS,
        http=BoundedHttpProtocol,
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=list(settings.trusted_proxies),
    )


def _raise_file_limit(count: int) -> None:
    """Raise the limit on open files to `count`, or as far as the process may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count if hard == resource.RLIM_INFINITY else min(count, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
