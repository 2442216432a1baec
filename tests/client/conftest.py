"""The real service, in this process on loopback."""

from typing import NamedTuple

import pytest


class Served(NamedTuple):
    url: str
    token: str


@pytest.fixture
def service(serve):
    """A service for one test, with the trees and the memory of the default settings."""
    with serve(max_batch_logs=700, forest_trees=100, memory_entities=100_000) as client:
        token = client.headers["Authorization"].removeprefix("Bearer ")
        yield Served(str(client.base_url), token)
