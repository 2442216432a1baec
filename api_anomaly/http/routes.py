"""Finds the endpoint of a request by method and path: an exact path first, then the patterns.

A path may have parameters, `/elastic/{index}/_bulk`; each stands for one part without a slash,
unless the row says otherwise. Rows with the same path and other methods are one resource.
"""

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from api_anomaly.http.endpoint import Endpoint

_PARAMETER = re.compile(r"{(\w+)}")


class Found(NamedTuple):
    """An endpoint and the values of its path's parameters."""

    endpoint: Endpoint
    parameters: dict[str, str]


class Routes:
    """The endpoints by method and path."""

    def __init__(self, endpoints: Sequence[Endpoint]) -> None:
        self._exact: dict[tuple[str, str], Found] = {}
        self._patterns: list[tuple[str, re.Pattern[str], Endpoint]] = []
        for endpoint in endpoints:
            for method in endpoint.methods:
                self._add(method, endpoint)

    def find(self, method: str, path: str) -> Found | None:
        """The endpoint that serves `method` at `path`."""
        found = self._exact.get((method, path))
        return found or next(self._matching(method, path), None)

    def _add(self, method: str, endpoint: Endpoint) -> None:
        path = endpoint.path
        if endpoint.path_parameters:
            self._patterns.append((method, _pattern(endpoint), endpoint))
            return
        paths = (path.rstrip("/"), path.rstrip("/") + "/") if endpoint.any_slash else (path,)
        for each in paths:
            self._exact[method, each] = Found(endpoint, {})

    def _matching(self, method: str, path: str) -> Iterator[Found]:
        for served, pattern, endpoint in self._patterns:
            if served == method and (match := pattern.fullmatch(path)):
                yield Found(endpoint, match.groupdict())


def _pattern(endpoint: Endpoint) -> re.Pattern[str]:
    """A pattern of the paths that the path of `endpoint`, with parameters, stands for."""
    parts = _PARAMETER.split(endpoint.path)  # texts and names in turn
    value = ".+" if endpoint.slashes else "[^/]+"
    for i, part in enumerate(parts):
        parts[i] = f"(?P<{part}>{value})" if i % 2 else re.escape(part)
    return re.compile("".join(parts) + ("/?" if endpoint.any_slash else ""), re.DOTALL)
