"""Independent tasks run in several threads; each runs once, and results keep their order."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Barrier, current_thread
from typing import Any

import pytest

from api_anomaly.runtime.threads import ThreadExecutor


@pytest.fixture(params=[0, 1, 3])
def executor(request: pytest.FixtureRequest) -> Iterator[ThreadExecutor]:
    with ThreadPoolExecutor(max(1, request.param)) as executor:
        yield ThreadExecutor(executor, request.param)


def test_results_are_in_the_order_of_the_tasks(executor: ThreadExecutor) -> None:
    assert executor([partial(pow, number, 2) for number in range(50)]) == [n * n for n in range(50)]
    assert executor([]) == []


def test_a_task_may_run_tasks_itself(executor: ThreadExecutor) -> None:
    def tree(depth: int) -> int:
        return 1 if depth == 0 else sum(executor([partial(tree, depth - 1)] * 3))

    assert tree(5) == 3**5


def test_two_tasks_run_at_once_and_the_first_in_the_calling_thread() -> None:
    both = Barrier(2, timeout=30.0)

    def thread_name() -> str:
        both.wait()
        return current_thread().name

    with ThreadPoolExecutor(1) as executor:
        caller, helper = ThreadExecutor(executor, 1)([thread_name, thread_name])
    assert caller == current_thread().name != helper


@pytest.mark.parametrize("index", [0, 1, 9])
def test_an_exception_of_a_task_is_raised_after_all_threads_have_ended(
    executor: ThreadExecutor, index: int
) -> None:
    def broken() -> Any:
        raise ValueError("broken")

    tasks: list[Callable[[], Any]] = [int] * 10
    tasks[index] = broken
    with pytest.raises(ValueError, match="broken"):
        executor(tasks)
    assert executor([int]) == [0]
