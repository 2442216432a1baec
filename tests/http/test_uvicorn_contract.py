"""Everything that `http/protocol.py` relies on in uvicorn, so that an upgrade that changes it fails
here first."""

import asyncio
import inspect
from typing import Any

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from api_anomaly.http.protocol import BoundedHttpProtocol

#: Methods that the subclass overrides, with their parameters.
OVERRIDDEN = {
    "__init__": ["self", "config", "server_state", "app_state", "_loop"],
    "connection_made": ["self", "transport"],
    "connection_lost": ["self", "exc"],
    "data_received": ["self", "data"],
    "on_message_begin": ["self"],
    "on_url": ["self", "url"],
    "on_header": ["self", "name", "value"],
    "on_headers_complete": ["self"],
    "on_message_complete": ["self"],
    "on_response_complete": ["self"],
    "send_400_response": ["self", "msg"],
    "_start_asgi_task": ["self", "cycle", "app"],
}
#: Attributes that it reads or sets, with their types on a new connection.
CONNECTION: dict[str, Any] = {
    "loop": asyncio.AbstractEventLoop,
    "connections": set,
    "tasks": set,
    "timeout_keep_alive": int,
    "timeout_keep_alive_task": type(None),
    "server_state": ServerState,
    "transport": type(None),
    "cycle": type(None),
}
#: The same of a request's cycle.
CYCLE: dict[str, Any] = {
    "scope": dict,
    "keep_alive": bool,
    "more_body": bool,
    "response_started": bool,
    "response_complete": bool,
}


@pytest.fixture()
def connection() -> HttpToolsProtocol:
    loop = asyncio.new_event_loop()
    try:
        config = uvicorn.Config(lambda: None, log_config=None)
        return HttpToolsProtocol(config, ServerState(), {}, loop)
    finally:
        loop.close()


@pytest.mark.parametrize("name", OVERRIDDEN)
def test_an_overridden_method_exists_with_the_same_parameters(name: str) -> None:
    for class_ in (HttpToolsProtocol, BoundedHttpProtocol):
        assert list(inspect.signature(getattr(class_, name)).parameters) == OVERRIDDEN[name]


def test_every_overridden_method_is_listed_here() -> None:
    own = {name for name in vars(BoundedHttpProtocol) if hasattr(HttpToolsProtocol, name)}
    assert own - {"__doc__", "__module__"} == set(OVERRIDDEN)


@pytest.mark.parametrize("name", CONNECTION)
def test_an_attribute_of_a_connection_has_its_type(
    connection: HttpToolsProtocol, name: str
) -> None:
    assert isinstance(getattr(connection, name), CONNECTION[name])


def test_a_connection_has_a_pipeline_and_a_keep_alive_handler(
    connection: HttpToolsProtocol,
) -> None:
    assert len(connection.pipeline) == 0
    assert callable(connection.timeout_keep_alive_handler)
    assert connection.server_state.default_headers == []


def test_a_cycle_has_the_attributes(connection: HttpToolsProtocol) -> None:
    cycle = RequestResponseCycle(
        scope={"type": "http"},  # type: ignore[typeddict-item]
        transport=connection.transport,
        flow=connection.flow,
        logger=connection.logger,
        access_logger=connection.access_logger,
        access_log=False,
        default_headers=[],
        message_event=asyncio.Event(),
        expect_100_continue=False,
        keep_alive=True,
        on_response=lambda: None,
    )
    for name, kind in CYCLE.items():
        assert isinstance(getattr(cycle, name), kind), name
    assert cycle.more_body and not cycle.response_started and not cycle.response_complete


def test_parser_callbacks_may_raise(connection: HttpToolsProtocol) -> None:
    """An exception in a callback ends in `send_400_response`: how large headers are refused."""
    answered = []

    class Raising(HttpToolsProtocol):
        def on_url(self, url: bytes) -> None:
            raise ValueError

        def send_400_response(self, msg: str) -> None:
            answered.append(msg)

    protocol = Raising(connection.config, ServerState(), {}, connection.loop)
    protocol.data_received(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert len(answered) == 1
