"""Files, standard input, gzip and JSON across lines as sources of lines."""

import gzip
import io
import json

import pytest
from api_anomaly.client.source import Line, Source, SourceError, read_lines
from api_anomaly.logs.formats.read import ReadOptions, read_body
from api_anomaly.logs.formats.registry import FORMATS
from hypothesis import given
from hypothesis import strategies as st

from tests.support.paths import DATA

EXAMPLE = FORMATS["combined"].example
LOG = json.loads(FORMATS["ndjson"].example)
TEXT = f"{EXAMPLE}\n" * 3
LINES = [Line(number, EXAMPLE.encode()) for number in (1, 2, 3)]


def write_source(tmp_path, content):
    path = tmp_path / "log"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Source(path)


def lines_of(source):
    with source.open() as stream:
        return list(read_lines(stream))


def lines_of_text(text):
    return list(read_lines(io.BufferedReader(io.BytesIO(text.encode()))))


@pytest.mark.parametrize("encode", [bytes, gzip.compress])
def test_lines_are_given_as_they_are(tmp_path, encode):
    content = encode(TEXT.encode())
    assert lines_of(write_source(tmp_path, content)) == LINES
    assert lines_of(Source(None, io.BytesIO(content))) == LINES


def test_standard_input_can_be_read_twice_from_a_copy():
    compressed = io.BytesIO(gzip.compress(TEXT.encode()))
    with Source(None, compressed).rereadable() as source:
        assert lines_of(source) == lines_of(source) == LINES


def test_blank_lines_are_left_out_and_the_others_keep_their_numbers():
    assert lines_of_text("\n a\r\n\n \t\nb") == [(2, b" a"), (5, b"b")]


def test_a_byte_order_mark_is_left_out_and_other_bytes_are_kept(tmp_path):
    source = write_source(tmp_path, b"\xef\xbb\xbfa \xff\n\xef\xbb\xbfb\n")
    assert lines_of(source) == [(1, b"a \xff"), (2, b"\xef\xbb\xbfb")]


DOCUMENTS = {
    "an array in one line": json.dumps([LOG] * 3),
    "an array over lines": json.dumps([LOG] * 3, indent=2),
    "an array of one log a line": "[\n" + ",\n".join([json.dumps(LOG)] * 3) + "\n]\n",
    "an array that opens with a log": "[" + ",\n".join([json.dumps(LOG)] * 3) + "]\n",
    "the body of a training": json.dumps({"logs": [LOG] * 3, "test_size": 0.2}),
    "records over lines": json.dumps({"records": [LOG] * 3}, indent=1),
    "objects over lines": "\n".join([json.dumps(LOG, indent=2)] * 3),
    "one log a line": "\n".join([json.dumps(LOG)] * 3),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_json_across_lines_becomes_one_log_a_line(name):
    lines = lines_of_text(DOCUMENTS[name])
    assert [json.loads(line.text) for line in lines] == [LOG] * 3
    assert [line.number for line in lines] == [1, 2, 3]


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_lines_read_as_the_document_does(name):
    text = DOCUMENTS[name].encode()
    together = b"\n".join(line.text for line in lines_of_text(DOCUMENTS[name]))
    whole, parts = read_body(text, ReadOptions()), read_body(together, ReadOptions())
    assert parts.records.as_dicts() == whole.records.as_dicts()
    assert (parts.format, parts.rejected) == (whole.format, 0)


def test_two_lines_of_arrays_stay_lines():
    line = json.dumps([LOG, LOG])
    assert lines_of_text(f"{line}\n{line}\n") == [(1, line.encode()), (2, line.encode())]


def test_a_broken_first_line_costs_no_other():
    good = json.dumps(LOG)
    lines = lines_of_text(f'{{"a":\n{good}\n{good}\n')
    assert lines == [(1, b'{"a":'), (2, good.encode()), (3, good.encode())]


def test_the_good_part_of_a_broken_array_is_read():
    lines = lines_of_text(json.dumps([LOG] * 3, indent=1)[:-60])
    assert [json.loads(line.text) for line in lines[:2]] == [LOG] * 2


@given(st.text())
def test_any_text_gives_lines_without_ends(text):
    for line in lines_of_text(text):
        assert line.text.strip() and b"\n" not in line.text


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x1f\x8b not gzip", "gzip data is damaged"),
        (gzip.compress(TEXT.encode())[:40], "gzip data"),
    ],
    ids=["no gzip data after its first bytes", "half a gzip"],
)
def test_broken_gzip_is_an_error(tmp_path, content, words):
    with pytest.raises(SourceError, match=words):
        lines_of(write_source(tmp_path, content))


def test_truncated_gzip_is_an_error(tmp_path):
    content = "".join(
        EXAMPLE.replace("127.0.0.1", f"10.0.0.{n % 250}") + f" {n * n}" + "\n"
        for n in range(60_000)
    ).encode()
    source = write_source(tmp_path, gzip.compress(content)[:-5_000])
    with pytest.raises(SourceError, match="breaks off before its end"):
        lines_of(source)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="No such file"):
        lines_of(Source(tmp_path / "absent"))


@pytest.mark.parametrize(
    ("name", "form", "logs"),
    [
        ("semicomplete_combined.log.gz", "combined", 10_000),
        ("erddap_api.ndjson.gz", "ndjson", 6_287),
        ("wordpress_blog_2016.ndjson.gz", "ndjson", 124_116),
    ],
)
def test_real_logs_are_read_without_a_bad_line(name, form, logs):
    if not (DATA / name).exists():
        pytest.skip(f"the real log {name} is not next to this project")
    lines = lines_of(Source(DATA / name))
    read = read_body(b"\n".join(line.text for line in lines), ReadOptions())
    assert (len(lines), read.records.count, read.rejected) == (logs, logs, 0)
    assert read.format == form
