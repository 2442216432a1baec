"""Doing what is independent: one after the other here, at once where the caller has threads.

This room has no threads. Whoever calls `detector.fit` may hand in another `Executor`, which does
tasks at once; what comes out is the same, because no task sees what another one does.
"""

from collections.abc import Callable, Sequence
from typing import Any

Task = Callable[[], Any]
#: Does all tasks, of which none needs another's result, and gives their results in order. A task
#: may call it in turn. The first one is the longest.
Executor = Callable[[Sequence[Task]], list[Any]]


def serial(tasks: Sequence[Task]) -> list[Any]:
    """The results of `tasks`, done one after the other."""
    return [task() for task in tasks]
