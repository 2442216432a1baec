"""Work in threads, beside the event loop."""

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from functools import partial
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


async def in_thread(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The result of `function` from a thread. If the caller is cancelled, the thread continues."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(None, partial(function, *args, **kwargs))


async def in_thread_uncancelled(function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Like `in_thread`, but a cancelled caller waits for the thread before it raises.

    For work under a lock: the next owner of the lock must not run beside the thread.
    """
    loop = asyncio.get_running_loop()
    work = loop.run_in_executor(None, partial(function, *args, **kwargs))
    try:
        return await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait([work])
        raise


class ThreadExecutor:
    """An `api_anomaly.model.executor.Executor` that runs tasks in the calling thread and in up to
    `helpers` threads of `pool`.

    The caller takes tasks from the front and helpers from the back. It does not wait for a helper
    that has not started, so a task may itself run tasks even if all threads are busy.
    """

    def __init__(self, pool: Executor, helpers: int) -> None:
        self._pool, self._helpers = pool, helpers

    def __call__(self, tasks: Sequence[Callable[[], Any]]) -> list[Any]:
        """Results in the order of `tasks`. Raises what a task raises, once all tasks have ended."""
        remaining = deque(enumerate(tasks))
        results: list[Any] = [None] * len(remaining)
        first = [remaining.popleft()] if remaining else []  # before a helper can take it
        helpers = [
            self._pool.submit(_run, remaining, remaining.pop, results)
            for _ in range(min(self._helpers, len(remaining)))
        ]
        try:
            for index, task in first:
                results[index] = task()
            _run(remaining, remaining.popleft, results)
        finally:
            remaining.clear()
            started = [helper for helper in helpers if not helper.cancel()]
            errors = [helper.exception() for helper in started]
        for error in filter(None, errors):
            raise error
        return results


def _run(remaining: deque[Any], take: Callable[[], Any], results: list[Any]) -> None:
    """Run tasks until none remain; after an error the others get none either."""
    try:
        while remaining:
            try:
                index, task = take()
            except IndexError:  # another thread took the last one
                return
            results[index] = task()
    except BaseException:
        remaining.clear()
        raise
