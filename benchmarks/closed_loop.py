"""A closed loop over a few kept-alive connections, on plain sockets so that it costs little."""

import socket
import time
from collections.abc import Sequence

CONNECTIONS = 4


def request_bytes(body: bytes, token: str, path: str = "/detect") -> bytes:
    """One POST, ready to send."""
    head = (
        f"POST {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


def rate(
    port: int,
    requests: Sequence[bytes],
    seconds: float,
    connections: int = CONNECTIONS,
    first: int = 0,
) -> tuple[float, int]:
    """Requests a second with status 200, and their number. The requests are sent in turn, from
    number `first` on. Raises RuntimeError for any other status.
    """
    sockets = [socket.create_connection(("127.0.0.1", port)) for _ in range(connections)]
    try:
        for connection in sockets:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        done, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            for i, connection in enumerate(sockets):
                connection.sendall(requests[(first + done + i) % len(requests)])
            for connection in sockets:
                _read_response(connection)
            done += len(sockets)
        return done / (time.perf_counter() - started), done
    finally:
        for connection in sockets:
            connection.close()


def _read_response(connection: socket.socket) -> None:
    data = connection.recv(65_536)
    while (end := data.find(b"\r\n\r\n")) < 0:
        data += connection.recv(65_536)
    head = data[:end].lower()
    if not head.startswith(b"http/1.1 200"):
        raise RuntimeError(data[:300].decode("latin-1"))
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    missing = end + 4 + length - len(data)
    while missing > 0:
        missing -= len(connection.recv(min(missing, 65_536)))
