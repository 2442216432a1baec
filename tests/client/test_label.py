"""Labels of labelled files."""

import json

import pytest
from api_anomaly.client.label import label_of

LABELLED = {"user_id": "u", "label": 1, "attack": "probe", "actor": "a-1", "case": None}


@pytest.mark.parametrize("value", [LABELLED, json.dumps(LABELLED)])
def test_a_label_is_read_from_a_record_and_from_a_line(value):
    assert label_of(value) == (True, "probe", "a-1", None)


@pytest.mark.parametrize("label", [None, 2, "1", 0.5, [1]])
def test_a_label_that_is_neither_0_nor_1_is_unknown(label):
    assert label_of({**LABELLED, "label": label}).is_attack is None


@pytest.mark.parametrize("value", [{"user_id": "u"}, "a line", '{"label"', "[1]", 7, None])
def test_a_record_without_a_label_has_none(value):
    assert label_of(value) is None


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
    assert label_of(fields).description == text
