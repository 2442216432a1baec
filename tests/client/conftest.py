"""The real service on loopback, in this process."""

from typing import NamedTuple

import pytest


class Served(NamedTuple):
    """Where the service answers, and its token."""

    url: str
    token: str


@pytest.fixture
def service(serve):
    """A service of its own for each test, with the trees and the memory of a real one."""
    with serve(max_batch_logs=700, forest_trees=100, memory_entities=100_000) as client:
        token = client.headers["Authorization"].removeprefix("Bearer ")
        yield Served(str(client.base_url), token)
