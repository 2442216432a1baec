"""Labels of labelled files."""

import json

import pytest
from api_anomaly.client.label import label_of

LABELLED = {"user_id": "u", "label": 1, "attack": "probe", "actor": "a-1", "case": None}


def label(record):
    return label_of(json.dumps(record).encode())


def test_a_label_is_read_from_a_line():
    assert label(LABELLED) == (True, "probe", "a-1", None)


@pytest.mark.parametrize(
    ("fields", "actor"),
    [
        ({"user_id": "u", "ip_address": "10.0.0.1"}, "u"),
        ({"user_id": None, "ip_address": "10.0.0.1"}, "10.0.0.1"),
        ({}, "-"),
    ],
)
def test_without_an_actor_it_is_the_user_or_the_address(fields, actor):
    assert label({"label": 0, **fields}).actor == actor


@pytest.mark.parametrize("value", [None, 2, "1", 0.5, [1]])
def test_a_label_that_is_neither_0_nor_1_is_unknown(value):
    assert label({**LABELLED, "label": value}).is_attack is None


@pytest.mark.parametrize(
    "line", [b'{"user_id":"u"}', b"a line", b'{"label"', b'["label"]', b"\xff"]
)
def test_a_line_without_a_label_has_none(line):
    assert label_of(line) is None


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"label": 1, "attack": "probe"}, "attack: probe"),
        ({"label": 1}, "attack: unnamed"),
        ({"label": 0, "case": "traveller"}, "benign: traveller"),
        ({"label": 0}, "benign"),
        ({"label": None, "attack": "probe"}, "unknown"),
    ],
)
def test_a_label_has_a_description(fields, text):
    assert label(fields).description == text
