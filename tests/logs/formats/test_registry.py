"""What holds for every log format of the registry."""

import dataclasses

import pytest
from api_anomaly.logs.formats.format import ParseError
from api_anomaly.logs.formats.registry import FORMATS, detect_format
from api_anomaly.logs.schema import Log
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

every_format = pytest.mark.parametrize("row", FORMATS.values(), ids=FORMATS.keys())


@every_format
def test_the_example_is_a_log_that_the_service_accepts(row):
    log = row.parse(row.example).log
    assert set(log) == {field.name for field in dataclasses.fields(Log)} - {"label"}
    TypeAdapter(Log).validate_python(log)


@every_format
@pytest.mark.parametrize("count", [1, 20])
def test_the_example_is_detected_as_its_format(row, count):
    assert detect_format([row.example] * count) is row


@every_format
def test_a_format_is_detected_when_most_of_the_lines_fit(row):
    assert detect_format([row.example] * 3 + ["not a log"] * 2) is row
    assert detect_format([row.example] * 2 + ["not a log"] * 2) is None


@every_format
def test_a_truncated_example_gives_a_log_or_a_parse_error(row):
    for length in range(len(row.example)):
        try:
            row.parse(row.example[:length])
        except ParseError as error:
            assert str(error)


@every_format
@given(line=st.text())
def test_any_text_gives_a_log_or_a_parse_error(row, line):
    with pytest.raises(ParseError):
        row.parse(line)


def test_access_logs_with_and_without_user_agents_are_combined():
    lines = [FORMATS["common"].example, FORMATS["combined"].example]
    assert detect_format(lines) is FORMATS["combined"]
