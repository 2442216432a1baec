"""Admission control and the sharing of the event loop, without a server."""

import asyncio
from typing import Any

import pytest

from api_anomaly.errors import Overloaded
from api_anomaly.http.admission import Admission, LoopScheduler
from api_anomaly.settings import Settings
from api_anomaly.telemetry.metrics import Metrics


def admission(**settings: Any) -> Admission:
    return Admission(Settings(**settings), Metrics())


def test_a_request_is_refused_before_it_is_read_if_too_much_work_is_queued() -> None:
    control = admission(max_wait_seconds=0.1)
    tickets = [control.ticket() for _ in range(3)]
    tickets[0].queue(5_000_000)  # about 0.8 s by the first estimate; it is being processed
    control.ticket()
    tickets[1].queue(5_000_000)
    with pytest.raises(Overloaded):
        control.ticket()
    with pytest.raises(Overloaded):
        tickets[2].queue(10)
    tickets[0].__exit__(None, None, None)
    control.ticket()


def test_a_single_request_is_admitted_however_large() -> None:
    control = admission(max_wait_seconds=1e-9, max_open_bytes=1)
    for _ in range(3):
        with control.ticket() as ticket:
            ticket.hold(10**9)
            ticket.queue(10**9)


def test_a_request_is_refused_if_its_bytes_do_not_fit_beside_the_others() -> None:
    control = admission(max_open_bytes=1_000)
    first, second = control.ticket(), control.ticket()
    first.hold(900)
    with pytest.raises(Overloaded):
        second.hold(200)
    second.__exit__(None, None, None)
    with control.ticket() as third:
        third.hold(100)


def test_the_estimated_wait_follows_the_measured_speed() -> None:
    control = admission()
    for _ in range(300):
        with control.ticket() as ticket:
            ticket.queue(1_000_000)
    with control.ticket() as head, control.ticket() as waiting:
        head.queue(1_000_000)
        waiting.queue(1_000_000)
        assert control.wait_seconds < 0.01  # the requests before took no time at all


def test_work_runs_in_order_and_other_tasks_run_in_between() -> None:
    async def test() -> None:
        scheduler, order = LoopScheduler(), []

        async def work(number: int) -> None:
            await scheduler.wait_turn()
            order.append(number)
            scheduler.finished(0.004)

        async def health() -> None:
            order.append(-1)

        tasks = [asyncio.create_task(work(number)) for number in range(20)]
        await asyncio.sleep(0)
        tasks[3].cancel()
        tasks.append(asyncio.create_task(health()))
        await asyncio.gather(*tasks, return_exceptions=True)
        works = [number for number in order if number >= 0]
        assert works == [number for number in range(20) if number != 3]
        assert order.index(-1) <= 3

    asyncio.run(test())
