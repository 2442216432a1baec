"""Which endpoints share a template, which user agents a family, and the shape of an endpoint."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_anomaly.features.extract import extract
from api_anomaly.features.table import NAMES, to_units
from api_anomaly.logs.columns import Texts
from api_anomaly.logs.templates import agent_family, join, mix, read_path, text_key
from api_anomaly.features.memory import Memory
from tests.support import reference_log_record as reference
from tests.support.streams import ENDPOINTS, columns, plain


def template(endpoint: str) -> int:
    data = Texts.of([endpoint]).data
    return int(read_path(data, 0, len(data))[0])


def family(agent: str) -> int:
    data = Texts.of([agent]).data
    return int(agent_family(data, 0, len(data)))


def shape(endpoint: str) -> dict[str, float]:
    row = to_units(extract(Memory.empty(16), columns([plain(endpoint=endpoint)])).rows[0])
    names = (
        "endpoint_length",
        "path_depth",
        "query_parameters",
        "unusual_characters",
        "longest_token",
    )
    return {name: round(float(row[NAMES.index(name)]), 3) for name in names}


UUID, OTHER_UUID = "123e4567-e89b-12d3-a456-426614174000", "0dab0a2f-4b1c-4e7e-9b2a-2e4c6a8b0d1f"

SAME_TEMPLATE = [
    ("/users/17/orders", "/users/42/orders"),
    ("/orders/9999999", "/orders/10000000"),
    ("/orders/1", "/orders/12345678901234567890"),
    ("/orders/1", "/orders/" + "7" * 400),
    (f"/files/{UUID}", f"/files/{OTHER_UUID}"),
    ("/files/deadbeef01", "/files/0123456789abcdef0123456789abcdef"),
    ("/files/DEADBEEF01", f"/files/{UUID}"),
    ("/t/AbC123dEf456GhI789jKl", "/t/zzzz_1111_yyyy_2222_x"),
    ("/2015/08/10/title", "/2016/2/3/title"),
    ("/log/2016-02-20", "/log/2017-11-01"),
    ("/a/b?x=1", "/a/b?y=2&z=3"),
    ("/a/b", "/a/b?"),
    ("/a/b", "/a/b/"),
    ("/a/b", "a//b"),
    ("/v1.2/x", "/v10.25/x"),
    ("/img-1024x768.png", "/img-1x2.png"),
]
DIFFERENT_TEMPLATES = [
    ("/users/17", "/users/17/orders"),
    ("/users/17", "/users/anne"),
    ("/users/anne", "/users/paul"),
    ("/a/b", "/b/a"),
    ("/ab", "/a/b"),
    ("/a", "/A"),
    ("/v1/x", "/w1/x"),
    ("/files/deadbeef", "/files/cafebabe"),  # words: an identifier holds a digit
    ("/files/a1b2c3", "/files/123456"),  # too short for a hexadecimal number
    ("/files/deadbeef01%", "/files/deadbeef02%!"),
    ("/the-ten-best-ways-to-cook", "/the-two-best-ways-to-cook"),
    ("/", "/a"),
    ("/é", "/e"),
]


@pytest.mark.parametrize(("one", "other"), SAME_TEMPLATE)
def test_same_template(one: str, other: str) -> None:
    assert template(one) == template(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT_TEMPLATES)
def test_different_templates(one: str, other: str) -> None:
    assert template(one) != template(other)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Mozilla/5.0 (X11; rv:109.0) Gecko", "Mozilla/5.1 (X11; rv:12) Gecko", True),
        ("Mac OS X 10_15_7", "Mac OS X 11_2", True),
        ("curl/8.1", "curl/", True),
        ("curl/8.1", "wget/8.1", False),
        ("Chrome", "chrome", False),
    ],
)
def test_the_family_of_a_user_agent_is_its_name_without_versions(
    one: str, other: str, same: bool
) -> None:
    assert (family(one) == family(other)) is same


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("/", (1, 0, 0, 0, 0)),
        ("", (0, 0, 0, 0, 0)),
        ("/a/bcd/", (7, 2, 0, 0, 3)),
        ("/a?x=1&long=12345", (17, 1, 2, 0, 5)),
        ("/a?x=1;y=2?z", (12, 1, 3, 0, 1)),
        ("/a;b/c", (6, 2, 0, 0, 1)),
        ("/%2e%2e/<x>", (11, 2, 0, 4, 6)),
        ("/é", (3, 1, 0, 2, 2)),
        ("/q?" + "k=1&" * 2_000, (8_003, 1, 2_001, 0, 1)),
    ],
)
def test_the_shape_of_an_endpoint(endpoint: str, expected: tuple[int, ...]) -> None:
    assert tuple(shape(endpoint).values()) == expected


@given(st.one_of(st.sampled_from(ENDPOINTS), st.text(max_size=60)))
def test_a_template_is_that_of_the_reference(endpoint: str) -> None:
    assert template(endpoint) == reference.template_key(reference.encoded(endpoint))


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_keys_are_joined_as_by_the_reference(first: int, second: int) -> None:
    assert int(mix(np.uint64(first))) == reference.mix(first)
    joined = int(join(np.uint64(first), np.uint64(second)))
    assert joined == reference.join(first, second)
    assert first == second or joined != reference.join(second, first)


def test_texts_of_different_kinds_have_different_keys() -> None:
    data = Texts.of(["ann"]).data
    assert text_key(data, 0, 3, 1) != text_key(data, 0, 3, 2)
