"""The one server of the tests: an application under a real uvicorn on a free loopback port."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import uvicorn

from api_anomaly.http.protocol import BoundedHttpProtocol

TOKEN = "a-token-of-the-tests"
#: Seconds. Shorter, and a connection may be closed just when a slow test uses it again.
KEEP_ALIVE_SECONDS = 300


class Announced(uvicorn.Server):
    """A server that says when it has started."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.tried = threading.Event()

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        try:
            await super().startup(sockets)
        finally:
            self.tried.set()


@contextmanager
def running(app: Any, http: Any = BoundedHttpProtocol) -> Iterator[str]:
    """`app` under a real uvicorn on a free loopback port: its address. Stopped as by SIGTERM.
    `http`: uvicorn's protocol class, or "auto" for its own."""
    listener = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(
        app,
        http=http,
        access_log=False,
        log_level="warning",
        log_config=None,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
    )
    server = Announced(config)
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
    thread.start()
    try:
        assert server.tried.wait(300) and server.started, "the server did not start"
        yield "http://127.0.0.1:%d" % listener.getsockname()[1]
    finally:
        server.should_exit = True
        thread.join()
        listener.close()


@contextmanager
def calling(
    app: Any, http: Any = BoundedHttpProtocol, token: str = TOKEN
) -> Iterator[httpx.Client]:
    """A client with `token` for a running `app`."""
    with running(app, http) as address:
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=address, headers=headers, timeout=300) as client:
            yield client
