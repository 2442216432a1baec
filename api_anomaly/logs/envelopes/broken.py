"""The error of all envelopes, and how much one may hold: a few bytes can stand for millions."""

from collections.abc import Iterable, Iterator
from typing import Final, TypeVar

#: Events in one envelope. Shippers send some thousands.
MAX_EVENTS: Final = 400_000
#: Objects and arrays in one body of JSON.
MAX_VALUES: Final = 10 * MAX_EVENTS
T = TypeVar("T")


class EnvelopeBroken(ValueError):
    """A body that is not what its protocol says. The text is the reason, without values of the
    body."""


def bounded(items: Iterable[T]) -> Iterator[T]:
    """The items. Raises EnvelopeBroken behind MAX_EVENTS of them."""
    for count, item in enumerate(items):
        if count == MAX_EVENTS:
            raise EnvelopeBroken(f"more than {MAX_EVENTS} events")
        yield item


def check_text(body: bytes) -> None:
    """Raises EnvelopeBroken for lines or JSON that hold more than an envelope may, unread."""
    if body.count(b"\n") > 2 * MAX_EVENTS:  # bulk requests have two lines an event
        raise EnvelopeBroken(f"more than {2 * MAX_EVENTS} lines")
    if body.count(b"{") + body.count(b"[") > MAX_VALUES:
        raise EnvelopeBroken(f"more than {MAX_VALUES} objects and arrays")
