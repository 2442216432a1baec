"""Admission control: what exceeds the limits is refused at once, so that no backlog can grow.

Three limits, each for another resource: open requests (time of the event loop), bytes of bodies in
memory, and seconds of work in the queue (how long a client would wait). `LoopScheduler` shares the
event loop: after a few milliseconds of scoring it lets the loop serve its sockets, so that
`/health` answers under any load.
"""

import asyncio
import time
from collections import OrderedDict, deque
from types import TracebackType
from typing import NoReturn, Self

from api_anomaly.errors import Overloaded
from api_anomaly.http.problems import OVERLOADED_MESSAGE
from api_anomaly.settings import Settings
from api_anomaly.telemetry.metrics import Metrics

#: Cost of a request besides its body, in bytes: as much as a few logs take to be scored.
_REQUEST_BYTES = 2_000
#: Weight of earlier requests in the estimated speed when another one is finished.
_DECAY = 0.98
#: First estimate of the speed: 1,000 logs of 250 bytes in 40 ms. Measurements replace it.
_FIRST_BYTES, _FIRST_SECONDS = 1e6, 0.16
#: Seconds of work on the event loop between two passes over its sockets, at least and at most.
#: In between it is the time that all else took since the last pass: reading and refusing
#: requests may take half of the time, never all of it.
_MIN_SLICE_SECONDS, _MAX_SLICE_SECONDS = 0.004, 0.05
#: Seconds for which work is postponed while connections arrive. The loop accepts one connection
#: in each pass; with a batch between two passes the backlog would grow in the kernel, uncounted.
_POSTPONE_SECONDS = 0.02


class Admission:
    """Counts open requests, bytes in memory and queued work. Used by the event loop only."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._max_requests = settings.max_open_requests
        self._max_bytes = settings.max_open_bytes
        self._max_wait_seconds = settings.max_wait_seconds
        self._metrics = metrics
        self._held_bytes = 0
        #: Estimated cost in bytes by ticket, in the order of arrival; the first one is processed.
        self._queue: OrderedDict[int, int] = OrderedDict()
        self._queued_bytes = 0
        self._recent_bytes, self._recent_seconds = _FIRST_BYTES, _FIRST_SECONDS
        self._last_finished = 0.0
        #: Requests that are being answered, including /health.
        self.open_requests = 0

    @property
    def wait_seconds(self) -> float:
        """Estimated work behind the request at the head of the queue."""
        head = next(iter(self._queue.values()), 0)
        return (self._queued_bytes - head) * self._recent_seconds / self._recent_bytes

    @property
    def queue_full(self) -> bool:
        """Whether so much work is queued that more is refused."""
        return bool(self._queue) and self.wait_seconds > self._max_wait_seconds

    def check_open_requests(self) -> None:
        """Raises Overloaded if more requests are open than the limit."""
        if self.open_requests > self._max_requests:
            self._refuse("requests")

    def ticket(self) -> "AdmissionTicket":
        """A ticket for a request with a body. Raises Overloaded if the queue is full."""
        self._check_queue()
        return AdmissionTicket(self)

    def hold(self, size: int, total: int) -> None:
        """Count `size` more bytes of a request that then holds `total`. Raises Overloaded if they
        do not fit beside the other requests; a single request always fits."""
        self._held_bytes += size
        if self._held_bytes > self._max_bytes and self._held_bytes > total:
            self._refuse("bytes")

    def release(self, size: int) -> None:
        """Count `size` bytes as freed."""
        self._held_bytes -= size

    def queue(self, ticket: int, size: int) -> None:
        """Put a request with a body of `size` bytes into the queue. Raises Overloaded."""
        self._check_queue()
        self._queue[ticket] = size + _REQUEST_BYTES
        self._queued_bytes += size + _REQUEST_BYTES

    def finish(self, ticket: int, queued_at: float) -> None:
        """Remove a finished request that was queued at `queued_at` (time.perf_counter).

        Its cost is the time since the previous one finished, or since it was queued: this stays
        right when several requests are processed at the same time.
        """
        size = self._queue.pop(ticket)
        self._queued_bytes -= size
        now = time.perf_counter()
        seconds = now - max(self._last_finished, queued_at)
        self._recent_seconds = self._recent_seconds * _DECAY + seconds
        self._recent_bytes = self._recent_bytes * _DECAY + size
        self._last_finished = now

    def _check_queue(self) -> None:
        if self.queue_full:
            self._refuse("wait")

    def _refuse(self, reason: str) -> NoReturn:
        self._metrics.count("requests_shed_total", reason)
        raise Overloaded(OVERLOADED_MESSAGE)


class AdmissionTicket:
    """One request with a body, from before it is read until it is answered."""

    def __init__(self, admission: Admission) -> None:
        self._admission = admission
        self._held_bytes = 0
        self._queued_at = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._admission.release(self._held_bytes)
        if self._queued_at:
            self._admission.finish(id(self), self._queued_at)

    def hold(self, size: int) -> None:
        """`size` more bytes are in memory. Raises Overloaded."""
        self._held_bytes += size
        self._admission.hold(size, self._held_bytes)

    def queue(self, size: int) -> None:
        """The body is complete and waits to be processed. Raises Overloaded."""
        self._admission.queue(id(self), size)
        self._queued_at = time.perf_counter()


class LoopScheduler:
    """Distributes the time of the event loop to pieces of work, first come, first served."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()
        #: Seconds of work since the last pass over the sockets, and how many are allowed.
        self._worked, self._slice = 0.0, _MIN_SLICE_SECONDS
        self._average_seconds = _MIN_SLICE_SECONDS
        self._scheduled = False
        self._last_pass = self._last_release = 0.0
        self._connection_arrived = False

    def connection_arrived(self) -> None:
        """A client connected; more may be waiting in the kernel's queue."""
        self._connection_arrived = True

    async def wait_turn(self) -> None:
        """Wait until a piece of work may run; call `finished` afterwards."""
        if self._worked < self._slice and not self._waiting:
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        self._schedule()
        await turn

    def finished(self, seconds: float) -> None:
        """A piece of work took `seconds`."""
        self._worked += seconds
        self._average_seconds += 0.1 * (seconds - self._average_seconds)
        self._schedule()

    def _schedule(self) -> None:
        """`call_soon` runs after the loop's next pass over the sockets."""
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._release)

    def _release(self) -> None:
        now = time.perf_counter()
        others = now - self._last_pass - self._worked if self._waiting else 0.0
        self._slice = min(max(_MIN_SLICE_SECONDS, others), _MAX_SLICE_SECONDS)
        self._last_pass, self._worked, self._scheduled = now, 0.0, False
        postponed = now - self._last_release < _POSTPONE_SECONDS
        if self._connection_arrived and self._waiting and postponed:
            self._connection_arrived = False
            self._schedule()
            return
        self._last_release = now
        released = 0
        while self._waiting and released < max(1.0, self._slice / self._average_seconds):
            turn = self._waiting.popleft()
            if not turn.done():  # cancelled: its client disconnected
                turn.set_result(None)
                released += 1
        if self._waiting:
            self._schedule()
