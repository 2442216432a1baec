"""An open loop: requests are sent when they are due, whether or not earlier ones were answered.

A closed loop slows down with the service and hides how long callers wait (coordinated omission).
Latencies count from the moment when a request was due. Plain sockets and one selector, because the
load shares the machine with the service.
"""

import heapq
import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

#: Largest number of connections; further requests wait for a free one.
CONNECTIONS = 300
_TIMEOUT = 60.0  # seconds for the last responses
_HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
_HEALTH_EVERY = 0.02


@dataclass
class Load:
    """The result of a load: latencies of responses 200, of other responses and of /health, statuses
    (0: no response), the lag with which each request was sent, and the time to the last response.
    All times are in seconds.
    """

    accepted: list[float] = field(default_factory=list)
    rejected: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    lags: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def max_lag(self) -> float:
        """The largest lag of the load itself, in seconds."""
        return max(self.lags, default=0.0)


@dataclass
class _Connection:
    """A connection, when its request was due, and what was received of the response."""

    socket: socket.socket
    health: bool = False
    due: float = 0.0
    received: bytes = b""
    missing: int = -1


class _Loop:
    def __init__(
        self, port: int, requests: Sequence[bytes], rate: float, seconds: float, probe: bool
    ) -> None:
        self._port = port
        self._requests = requests
        # epoll waits for whole milliseconds, select for microseconds; but select costs more with
        # every connection, so it is for loads that the service can handle.
        self._selector = selectors.DefaultSelector() if probe else selectors.SelectSelector()
        self._free: deque[_Connection] = deque()
        self._open = self._busy = 0
        self._blocked = 0.0
        self._load = Load()
        self._probe: _Connection | None = self._connect(health=True) if probe else None
        self._started = started = time.perf_counter()
        self._end = started + seconds
        # Health checks have their own schedule; a heap orders both.
        self._due = [(started + number / rate, number) for number in range(int(rate * seconds))]
        checks = int(seconds / _HEALTH_EVERY) if probe else 0
        self._due += [(started + _HEALTH_EVERY * number, -1) for number in range(checks)]
        heapq.heapify(self._due)

    def run(self) -> Load:
        """Run until all requests are answered."""
        while (self._due or self._busy) and time.perf_counter() < self._end + _TIMEOUT:
            blocked = self._send()
            # If blocked, only a response helps, and polling for it would take CPU from the service.
            idle = blocked or not self._due
            wait = 0.1 if idle else self._due[0][0] - time.perf_counter()
            for key, _ in self._selector.select(max(0.0, min(wait, 0.1))):
                self._read(key.data)
        missing = self._busy + sum(number >= 0 for _, number in self._due)
        if missing:
            self._load.statuses[0] += missing
        self._load.seconds = time.perf_counter() - self._started
        for key in list(self._selector.get_map().values()):
            key.data.socket.close()
        self._selector.close()
        return self._load

    def _send(self) -> bool:
        """Send what is due; return whether a request has to wait for a free connection."""
        while self._due and self._due[0][0] <= time.perf_counter():
            due, number = self._due[0]
            connection = self._probe if number < 0 else self._free_connection()
            if number < 0 and connection is None:  # the previous check is not answered yet
                heapq.heappop(self._due)
                continue
            if connection is None:  # all are waiting for the service
                self._blocked = time.perf_counter()
                return True
            heapq.heappop(self._due)
            if number < 0:
                self._probe, due = None, time.perf_counter()
            self._load.lags.append(time.perf_counter() - max(due, self._blocked))
            connection.due, connection.received, connection.missing = due, b"", -1
            self._busy += 1
            request = _HEALTH if number < 0 else self._requests[number % len(self._requests)]
            self._write(connection, request)
        return False

    def _write(self, connection: _Connection, request: bytes) -> None:
        try:
            connection.socket.setblocking(True)
            connection.socket.sendall(request)
            connection.socket.setblocking(False)
        except OSError:
            self._finish(connection, 0)

    def _free_connection(self) -> _Connection | None:
        if self._free:
            return self._free.pop()
        return self._connect() if self._open < CONNECTIONS else None

    def _connect(self, health: bool = False) -> _Connection:
        self._open += 1
        connection = _Connection(socket.create_connection(("127.0.0.1", self._port)), health)
        connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.socket.setblocking(False)
        self._selector.register(connection.socket, selectors.EVENT_READ, connection)
        return connection

    def _read(self, connection: _Connection) -> None:
        try:
            data = connection.socket.recv(262_144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._finish(connection, 0)
            return
        if connection.missing < 0:
            connection.received += data
            end = connection.received.find(b"\r\n\r\n")
            if end < 0:
                return
            head = connection.received[:end].lower()
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            connection.missing = end + 4 + length - len(connection.received)
        else:
            connection.missing -= len(data)
        if connection.missing <= 0:
            self._finish(connection, int(connection.received[9:12]))

    def _finish(self, connection: _Connection, status: int) -> None:
        latency = time.perf_counter() - connection.due
        self._busy -= 1
        if connection.health:
            self._load.health.append(latency)
            self._probe = connection
            return
        self._load.statuses[status] += 1
        (self._load.accepted if status == 200 else self._load.rejected).append(latency)
        if status:
            self._free.append(connection)
        else:
            self._open -= 1
            self._selector.unregister(connection.socket)
            connection.socket.close()


def load(
    port: int, requests: Sequence[bytes], rate: float, seconds: float, probe: bool = True
) -> Load:
    """`rate` requests a second for `seconds`, taken from `requests` in turn; with `probe` also
    /health 50 times a second beside them."""
    return _Loop(port, requests, rate, seconds, probe).run()
