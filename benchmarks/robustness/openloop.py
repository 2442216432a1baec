"""An open loop: requests leave when they are due, whether or not the ones before were answered.

A closed loop slows down with the service and so hides how long callers wait (coordinated
omission). Latencies count from the moment a request was due. Bare sockets and one selector, because
the load shares the machine with what it loads.
"""

import heapq
import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

#: Connections at most: as many callers as wait at once. More wait for a free one.
CONNECTIONS = 300
_PATIENCE = 60.0  # seconds for the last answers
_HEALTH = b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n"
_HEALTH_EVERY = 0.02


@dataclass
class Load:
    """What came of a load: latencies in seconds of the answers 200, of the refusals and of /health
    meanwhile, the statuses (0: no answer), by how many seconds the load let each request leave
    too late, and how many seconds it took to the last answer."""

    accepted: list[float] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    health: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    lags: list[float] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def late(self) -> float:
        """How late the load itself was at most, in seconds."""
        return max(self.lags, default=0.0)


@dataclass
class _Caller:
    """A connection, since when its request is due, and what came of the answer."""

    socket: socket.socket
    health: bool = False
    due: float = 0.0
    answer: bytes = b""
    missing: int = -1


class _Loop:
    def __init__(
        self, port: int, requests: Sequence[bytes], rate: float, seconds: float, probe: bool
    ) -> None:
        self._port = port
        self._requests = requests
        # epoll waits for whole milliseconds, select for microseconds, but select costs the more
        # the more connections there are: it is for loads that the service can bear.
        self._selector = selectors.DefaultSelector() if probe else selectors.SelectSelector()
        self._free: deque[_Caller] = deque()
        self._made = self._busy = 0
        self._blocked = 0.0
        self._load = Load()
        self._prober: _Caller | None = self._connected(health=True) if probe else None
        self._started = started = time.perf_counter()
        self._end = started + seconds
        # The health checks are due on their own clock; a heap keeps both in order.
        self._due = [(started + number / rate, number) for number in range(int(rate * seconds))]
        checks = int(seconds / _HEALTH_EVERY) if probe else 0
        self._due += [(started + _HEALTH_EVERY * number, -1) for number in range(checks)]
        heapq.heapify(self._due)

    def run(self) -> Load:
        """Until all is answered."""
        while (self._due or self._busy) and time.perf_counter() < self._end + _PATIENCE:
            blocked = self._send()
            # Blocked, only an answer helps: to look for one without rest would take the service's
            # processor.
            late = blocked or not self._due
            wait = 0.1 if late else self._due[0][0] - time.perf_counter()
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
        """Send what is due; whether something has to wait for a free connection."""
        while self._due and self._due[0][0] <= time.perf_counter():
            due, number = self._due[0]
            caller = self._prober if number < 0 else self._caller()
            if number < 0 and caller is None:  # the check before is not answered yet
                heapq.heappop(self._due)
                continue
            if caller is None:  # the service keeps all of them waiting: not the load's fault
                self._blocked = time.perf_counter()
                return True
            heapq.heappop(self._due)
            if number < 0:
                self._prober, due = None, time.perf_counter()
            self._load.lags.append(time.perf_counter() - max(due, self._blocked))
            caller.due, caller.answer, caller.missing = due, b"", -1
            self._busy += 1
            request = _HEALTH if number < 0 else self._requests[number % len(self._requests)]
            self._write(caller, request)
        return False

    def _write(self, caller: _Caller, request: bytes) -> None:
        try:
            caller.socket.setblocking(True)
            caller.socket.sendall(request)
            caller.socket.setblocking(False)
        except OSError:
            self._done(caller, 0)

    def _caller(self) -> _Caller | None:
        if self._free:
            return self._free.pop()
        return self._connected() if self._made < CONNECTIONS else None

    def _connected(self, health: bool = False) -> _Caller:
        self._made += 1
        caller = _Caller(socket.create_connection(("127.0.0.1", self._port)), health)
        caller.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        caller.socket.setblocking(False)
        self._selector.register(caller.socket, selectors.EVENT_READ, caller)
        return caller

    def _read(self, caller: _Caller) -> None:
        try:
            data = caller.socket.recv(262_144)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._done(caller, 0)
            return
        if caller.missing < 0:
            caller.answer += data
            end = caller.answer.find(b"\r\n\r\n")
            if end < 0:
                return
            head = caller.answer[:end].lower()
            length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
            caller.missing = end + 4 + length - len(caller.answer)
        else:
            caller.missing -= len(data)
        if caller.missing <= 0:
            self._done(caller, int(caller.answer[9:12]))

    def _done(self, caller: _Caller, status: int) -> None:
        took = time.perf_counter() - caller.due
        self._busy -= 1
        if caller.health:
            self._load.health.append(took)
            self._prober = caller
            return
        self._load.statuses[status] += 1
        (self._load.accepted if status == 200 else self._load.refused).append(took)
        if status:
            self._free.append(caller)
        else:
            self._made -= 1
            self._selector.unregister(caller.socket)
            caller.socket.close()


def load(
    port: int, requests: Sequence[bytes], rate: float, seconds: float, probe: bool = True
) -> Load:
    """`rate` requests a second for `seconds`, taken from `requests` in turn; with `probe` also
    /health 50 times a second beside them."""
    return _Loop(port, requests, rate, seconds, probe).run()
