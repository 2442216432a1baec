"""Running things beside the event loop."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of `function` from a thread. When the caller is cancelled, the thread goes on."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, partial(function, *args, **kwargs))


async def to_the_end(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Like `in_thread`, but a cancelled caller first waits for the thread to end.

    For work under a lock: whoever holds it next must not meet a thread that is still at work.
    """
    loop = asyncio.get_running_loop()
    work = loop.run_in_executor(None, partial(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


class ThreadExecutor:
    """An `api_anomaly.model.executor.Executor` that does tasks in the calling thread and in so many
    `helpers` of an executor of its own.

    The caller takes tasks from the front and helpers from the back, until none is left. It waits
    for no helper that has not begun, so a task may ask for hands in turn, even when there are none.
    """

    def __init__(self, executor: Executor, helpers: int) -> None:
        self._executor, self._helpers = executor, helpers

    def __call__(self, tasks: Sequence[Callable[[], Any]]) -> list[Any]:
        """The results of `tasks`, in their order. Raises what a task raises, when all rest."""
        left = deque(enumerate(tasks))
        found: list[Any] = [None] * len(left)
        mine = [left.popleft()] if left else []  # the first, before a helper can come to it
        helpers = [
            self._executor.submit(_do, left, left.pop, found)
            for _ in range(min(self._helpers, len(left)))
        ]
        try:
            for place, task in mine:
                found[place] = task()
            _do(left, left.popleft, found)
        finally:
            left.clear()
            begun = [helper for helper in helpers if not helper.cancel()]
            failures = [helper.exception() for helper in begun]
        for failure in filter(None, failures):
            raise failure
        return found


def _do(left: deque[Any], next_: Callable[[], Any], found: list[Any]) -> None:
    """Do tasks until none is left; a failure leaves none to the others either."""
    try:
        while left:
            try:
                place, task = next_()
            except IndexError:  # another hand was faster
                return
            found[place] = task()
    except BaseException:
        left.clear()
        raise
