"""Beginning to wait, and finding that there is nothing to wait for."""

from collections.abc import Awaitable, Generator
from typing import Any, TypeVar

T = TypeVar("T")


class Begun(Generator[Any, Any, T]):
    """An awaitable that has been carried to its first pause, or to its end; then `waits` is false,
    and `result` is there. One that waits must be awaited by the task that began it, before that
    task pauses for anything else.
    """

    result: T

    def __init__(self, awaitable: Awaitable[T]) -> None:
        self._steps: Any = awaitable.__await__()
        self._met = False
        self._pause: Any = None
        self.waits = True
        try:
            self._pause = next(self._steps)
        except StopIteration as end:
            self.waits = False
            self.result = end.value

    def __await__(self) -> Generator[Any, Any, T]:
        return self

    def send(self, value: Any) -> Any:
        """Hand on the pause that was met first; then go on as the awaitable does."""
        if self._met:
            return self._steps.send(value)
        self._met = True
        return self._pause

    def throw(self, *error: Any) -> Any:
        """Let the awaitable, which stands at its pause, have the error."""
        return self._steps.throw(*error)
