"""How much is let in: what is turned away is turned away at once, so no backlog can grow.

Three bounds, each for another scarce thing: open requests (the loop's turns), bytes of bodies held
(room), and seconds of work that wait (a caller's patience). `LoopScheduler` shares the event
loop: a few
milliseconds of scoring, then a look at the sockets, so `/health` answers whatever else goes on.
"""

import asyncio
import time
from collections import OrderedDict, deque
from types import TracebackType
from typing import NoReturn, Self

from api_anomaly.telemetry.metrics import Metrics
from api_anomaly.errors import Overloaded
from api_anomaly.settings import Settings

#: What a request costs besides its bytes, in bytes: as much as a log or ten take to be scored.
_REQUEST_BYTES = 2_000
#: Share of the reckoning that each finished request leaves to those before it.
_KEPT = 0.98
#: First reckoning: a thousand logs of 250 bytes in 40 ms. It gives way to what is measured.
_FIRST_BYTES, _FIRST_SECONDS = 1e6, 0.16
#: Seconds of work on the event loop before it looks at its sockets again, at least and at most. In
#: between it is what everything else took since the last look: reading and refusing may take half
#: of the time, never all of it.
_SLICE, _LONGEST_SLICE = 0.004, 0.05
#: Seconds for which work stands back while callers arrive: the loop accepts one at each look, so
#: that with a batch between two looks the backlog would grow where nobody counts it, in the kernel.
_ARRIVING = 0.02


class Admission:
    """Counts what is open, held and waiting. The event loop alone uses it."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._most_requests = settings.max_open_requests
        self._most_bytes = settings.max_open_bytes
        self._most_wait = settings.max_wait_seconds
        self._metrics = metrics
        self._held = 0
        self._working: OrderedDict[int, int] = OrderedDict()
        self._work = 0
        self._bytes, self._seconds = _FIRST_BYTES, _FIRST_SECONDS
        self._left = 0.0
        #: Requests being answered, /health and all.
        self.open = 0

    @property
    def wait(self) -> float:
        """Seconds of work that wait behind the request at the head of the queue."""
        head = next(iter(self._working.values()), 0)
        return (self._work - head) * self._seconds / self._bytes

    @property
    def late(self) -> bool:
        """Whether too much work waits for more to be let in."""
        return bool(self._working) and self.wait > self._most_wait

    def check_open(self) -> None:
        """Raises Overloaded when more requests are open than are answered at once."""
        if self.open > self._most_requests:
            self._refuse("requests")

    def visit(self) -> "AdmissionTicket":
        """For one request with a body. Raises Overloaded when too much work waits already."""
        self._check_wait()
        return AdmissionTicket(self)

    def hold(self, size: int, own: int) -> None:
        """Account for `size` more bytes of a request that then holds `own`."""
        self._held += size
        if self._held > self._most_bytes and self._held > own:
            self._refuse("bytes")

    def release(self, size: int) -> None:
        """`size` bytes are no longer held."""
        self._held -= size

    def queue(self, visit: int, size: int) -> None:
        """Put a request of `size` bytes into the queue of work. Raises Overloaded."""
        self._check_wait()
        self._working[visit] = size + _REQUEST_BYTES
        self._work += size + _REQUEST_BYTES

    def leave(self, visit: int, queued: float) -> None:
        """A request that was queued at `queued` (of time.perf_counter) is finished.

        The time since the one before it left, or since it came, is what it really took, however
        much of it went on beside others.
        """
        size = self._working.pop(visit)
        self._work -= size
        now = time.perf_counter()
        self._seconds = self._seconds * _KEPT + now - max(self._left, queued)
        self._bytes = self._bytes * _KEPT + size
        self._left = now

    def _check_wait(self) -> None:
        if self.late:
            self._refuse("wait")

    def _refuse(self, reason: str) -> NoReturn:
        self._metrics.count("requests_shed_total", reason)
        raise Overloaded("The service has as much to do as it can. Nothing was done; try again.")


class AdmissionTicket:
    """One request with a body, from before it is read until it is answered."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._bytes = 0
        self._queued = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._admission.release(self._bytes)
        if self._queued:
            self._admission.leave(id(self), self._queued)

    def hold(self, size: int) -> None:
        """`size` more bytes came. Raises Overloaded when there is no room beside the others."""
        self._bytes += size
        self._admission.hold(size, self._bytes)

    def queue(self, size: int) -> None:
        """The body is complete and waits to be worked on. Raises Overloaded."""
        self._admission.queue(id(self), size)
        self._queued = time.perf_counter()


class LoopScheduler:
    """Gives work on the event loop its turns, first come, first served."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._spent = 0.0
        self._slice = self._usual = _SLICE
        self._scheduled = False
        self._last = self._released = 0.0
        self._arrived = False

    def arrived(self) -> None:
        """Another caller has connected, and more may be waiting behind it."""
        self._arrived = True

    async def turn(self) -> None:
        """Wait until a piece of work may run; say `worked` afterwards."""
        if self._spent < self._slice and not self._waiting:
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._schedule()
        await turn

    def worked(self, seconds: float) -> None:
        """A piece of work took so long."""
        self._spent += seconds
        self._usual += 0.1 * (seconds - self._usual)
        self._schedule()

    def _schedule(self) -> None:
        """What is called soon runs after the loop's next look at the sockets."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._next_pass)

    def _next_pass(self) -> None:
        now = time.perf_counter()
        others = now - self._last - self._spent if self._waiting else 0.0
        self._slice = min(max(_SLICE, others), _LONGEST_SLICE)
        self._last, self._spent, self._scheduled = now, 0.0, False
        if self._arrived and self._waiting and now - self._released < _ARRIVING:
            self._arrived = False
            self._schedule()
            return
        self._released = now
        released = 0
        while self._waiting and released < max(1.0, self._slice / self._usual):
            turn = self._waiting.popleft()
            if not turn.done():  # its caller may have left
                turn.set_result(None)
                released += 1
        if self._waiting:
            self._schedule()
