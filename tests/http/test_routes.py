"""Endpoints are found by method and path."""

import pytest

from api_anomaly.http.endpoint import Endpoint
from api_anomaly.http.routes import Routes


async def answer(*_arguments):
    raise AssertionError


def row(method: str, path: str, **options) -> Endpoint:
    return Endpoint(method, path, answer, None, str, **options)


ROUTES = Routes(
    [
        row("GET", "/things/{thing}"),
        row("GET", "/things/special"),
        row("DELETE", "/things/{thing}"),
        row("PUT", "/a.b/{x}/c/{y}", also=("POST",)),
        row("GET", "/open", any_slash=True),
        row("GET", "/open/{x}", any_slash=True),
        row("GET", "/closed"),
    ]
)


@pytest.mark.parametrize(
    ("method", "path", "template", "parameters"),
    [
        ("GET", "/things/special", "/things/special", {}),
        ("GET", "/things/1", "/things/{thing}", {"thing": "1"}),
        ("GET", "/things/ü b", "/things/{thing}", {"thing": "ü b"}),
        ("DELETE", "/things/special", "/things/{thing}", {"thing": "special"}),
        ("PUT", "/a.b/1/c/2", "/a.b/{x}/c/{y}", {"x": "1", "y": "2"}),
        ("POST", "/a.b/1/c/2", "/a.b/{x}/c/{y}", {"x": "1", "y": "2"}),
        ("GET", "/open", "/open", {}),
        ("GET", "/open/", "/open", {}),
        ("GET", "/open/1", "/open/{x}", {"x": "1"}),
        ("GET", "/open/1/", "/open/{x}", {"x": "1"}),
    ],
)
def test_an_exact_path_beats_a_pattern(method, path, template, parameters) -> None:
    found = ROUTES.find(method, path)
    assert found is not None
    assert (found.endpoint.path, found.parameters) == (template, parameters)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        *(("PUT", "/things/1"), ("GET", "/things/"), ("GET", "/things/1/2"), ("GET", "/things/1/")),
        *(
            ("GET", "/things/1\n/"),
            ("PUT", "/aXb/1/c/2"),
            ("GET", "/closed/"),
            ("GET", "/closed\n"),
        ),
        ("GET", "/open//"),
    ],
)
def test_all_else_is_not_found(method, path) -> None:
    assert ROUTES.find(method, path) is None
