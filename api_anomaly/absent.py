"""Keeping a package away that another one would import without need."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def absent(package: str) -> Iterator[None]:
    """While inside, importing `package` fails as if it were not installed; unless it has been
    imported before: then it stays. For all threads, so only where no other one imports anything.
    """
    if package in sys.modules:
        yield
        return
    modules: dict[str, object] = sys.modules  # type: ignore[assignment]  # None: "not to be found"
    modules[package] = None
    try:
        yield
    finally:
        del modules[package]
