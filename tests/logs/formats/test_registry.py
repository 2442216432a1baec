"""What holds for every log format of the registry."""

import pytest
from api_anomaly.logs.formats.read import FormatUnknown, ReadOptions, read_body
from api_anomaly.logs.formats.registry import FORMATS
from api_anomaly.logs.schema import Log
from hypothesis import given
from hypothesis import strategies as st

AUTO = ReadOptions()
every_format = pytest.mark.parametrize("row", FORMATS.values(), ids=FORMATS.keys())


@every_format
def test_the_example_is_a_log_that_the_service_accepts(row):
    records = read_body(row.example.encode(), ReadOptions(row.name)).records
    assert isinstance(records.log(0), Log)
    assert len(records.columns()) == 1


@every_format
@pytest.mark.parametrize("count", [1, 20])
def test_the_example_is_found_to_be_its_format(row, count):
    result = read_body((row.example + "\n").encode() * count, AUTO)
    assert (result.format, result.rejected) == (row.name, 0)
    assert result.records.count == count


@every_format
def test_other_lines_do_not_hide_a_format(row):
    result = read_body(("not a log\n" * 3 + row.example).encode(), AUTO)
    assert (result.format, result.rejected, result.records.count) == (row.name, 3, 1)
    assert result.records.position == [3 + len(row.example.splitlines())]


@every_format
def test_a_truncated_example_gives_a_log_or_an_error(row):
    for length in range(1, len(row.example)):
        result = read_body(row.example[:length].encode(), ReadOptions(row.name))
        assert result.records.count or result.skipped or result.errors[0].reason


@every_format
@given(line=st.text())
def test_any_text_is_no_log(row, line):
    result = read_body(line.encode("utf-8", "replace"), ReadOptions(row.name))
    assert result.records.count == 0


def test_access_logs_with_and_without_user_agents_are_read_together():
    body = "\n".join([FORMATS["common"].example, FORMATS["combined"].example] * 2)
    result = read_body(body.encode(), AUTO)
    assert (result.records.count, result.rejected) == (4, 0)


def test_lines_of_no_format_are_an_error_that_says_what_to_do():
    with pytest.raises(FormatUnknown, match="log_format"):
        read_body(b"Dear reader,\nhow are you?", AUTO)
    with pytest.raises(FormatUnknown, match="combined"):
        read_body(b"x", ReadOptions("unheard-of"))
