"""How independent tasks of a training are run: serially, or in threads that the caller has.

The package starts no threads. The caller of `fit` may pass another `Executor`; the result is the
same, because no task uses the result of another one.
"""

from collections.abc import Callable, Sequence
from typing import Any

Task = Callable[[], Any]
#: Runs all tasks, none of which needs the result of another, and returns their results in order.
#: A task may call it again. The first task takes longest.
Executor = Callable[[Sequence[Task]], list[Any]]


def serial(tasks: Sequence[Task]) -> list[Any]:
    """The results of `tasks`, run one after the other."""
    return [task() for task in tasks]
