"""Files, standard input, gzip and arrays as sources of logs."""

import gzip
import io
import json

import pytest
from api_anomaly.logs.formats.read import ReadOptions, read_body
from api_anomaly.logs.formats.registry import FORMATS
from api_anomaly.client.input_formats import INPUT_FORMATS
from api_anomaly.client.reader import Reader, detect_input_format
from api_anomaly.client.source import Record, Source, SourceError, read_array
from hypothesis import given
from hypothesis import strategies as st
from tests.support.paths import DATA

EXAMPLES = {name: row.example for name, row in FORMATS.items()}
EXAMPLE = EXAMPLES["combined"]
LINES = {name: f"{example}\n" * 3 for name, example in EXAMPLES.items()}
#: Three logs in every format that can be read.
CONTENTS = {**LINES, "json": json.dumps([json.loads(EXAMPLES["ndjson"])] * 3, indent=2)}


def write_source(tmp_path, content):
    path = tmp_path / "log"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Source(path)


def read_logs(source, name):
    return [entry.log for entry in Reader(source, name, None).entries()]


def expected_logs(name):
    example = EXAMPLES.get(name, EXAMPLES["ndjson"])
    return read_body(example.encode(), ReadOptions()).records.as_dicts() * 3


@pytest.mark.parametrize("name", CONTENTS)
def test_each_format_is_detected_and_read(tmp_path, name):
    source = write_source(tmp_path, CONTENTS[name])
    assert detect_input_format(source) == name
    lines = len(EXAMPLES.get(name, "").splitlines()) or 1  # a W3C log has its header before it
    assert Reader(source, name, None).count_records() == 3 * lines
    assert read_logs(source, name) == expected_logs(name)


@pytest.mark.parametrize("name", CONTENTS)
def test_gzip_is_recognised_by_its_first_bytes(tmp_path, name):
    source = write_source(tmp_path, gzip.compress(CONTENTS[name].encode()))
    assert detect_input_format(source) == name
    assert read_logs(source, name) == expected_logs(name)


@pytest.mark.parametrize("name", CONTENTS)
def test_standard_input_is_read_once_also_for_detection(name):
    source = Source(None, io.BytesIO(CONTENTS[name].encode()))
    assert detect_input_format(source) == name
    assert read_logs(source, name) == expected_logs(name)


def test_standard_input_can_be_read_twice_from_a_copy():
    with Source(
        None, io.BytesIO(gzip.compress(CONTENTS["combined"].encode()))
    ).rereadable() as source:
        assert Reader(source, "combined", None).count_records() == 3
        assert read_logs(source, "combined") == expected_logs("combined")


def test_a_training_body_is_read_as_an_array(tmp_path):
    source = write_source(
        tmp_path, json.dumps({"logs": [json.loads(EXAMPLES["ndjson"])] * 3, "test_size": 0.2})
    )
    assert detect_input_format(source) == "json"
    assert read_logs(source, "json") == expected_logs("json")


def test_bad_lines_are_counted_and_keep_their_numbers(tmp_path):
    lines = [EXAMPLE] * 10
    lines[3:3] = ["", "not a log", ""]
    reader = Reader(write_source(tmp_path, "\n".join(lines)), "combined", None)
    assert len(list(reader.entries())) == 10
    assert (reader.read, reader.bad) == (11, 1)
    assert reader.bad_lines[0].number == 5


def test_an_input_of_mostly_bad_lines_is_an_error(tmp_path):
    reader = Reader(write_source(tmp_path, CONTENTS["ndjson"] * 1000), "combined", None)
    with pytest.raises(SourceError, match="1,000 of the first 1,000 lines are not in the format"):
        list(reader.entries())


def test_the_limit_is_in_lines(tmp_path):
    source = write_source(tmp_path, CONTENTS["combined"])
    assert Reader(source, "combined", 2).count_records() == 2
    assert [entry.number for entry in Reader(source, "combined", 2).entries()] == [1, 2]


def test_bytes_that_are_not_utf8_are_escaped(tmp_path):
    line = EXAMPLE.encode().replace(b"Mozilla/4.08", b"Mozilla \xff")
    source = write_source(tmp_path, b"\xef\xbb\xbf" + line)
    [entry] = Reader(source, detect_input_format(source), None).entries()
    assert entry.log["user_agent"].startswith(r"Mozilla \xff")


NO_LOGS = [
    ("nothing in it", b"", "is empty"),
    ("blank lines only", b"\n\n \n", "is empty"),
    ("another text", b"Dear reader,\nhow are you?\n", "none of the known formats"),
    ("a picture", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "none of the known formats"),
    ("no gzip data after its first bytes", b"\x1f\x8b not gzip", "gzip data is damaged"),
    ("half a gzip", gzip.compress(CONTENTS["json"].encode())[:40], "gzip data"),
]


@pytest.mark.parametrize(
    ("content", "words"), [r[1:] for r in NO_LOGS], ids=[r[0] for r in NO_LOGS]
)
def test_an_input_without_logs_is_an_error(tmp_path, content, words):
    with pytest.raises(SourceError, match=words):
        detect_input_format(write_source(tmp_path, content))


def test_truncated_gzip_is_an_error(tmp_path):
    content = "".join(
        EXAMPLE.replace("127.0.0.1", f"10.0.0.{n % 250}") + f" {n * n}" + "\n"
        for n in range(60_000)
    ).encode()
    source = write_source(tmp_path, gzip.compress(content)[:-5_000])
    with pytest.raises(SourceError, match="breaks off before its end"):
        read_logs(source, detect_input_format(source))


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(SourceError, match="No such file"):
        detect_input_format(Source(tmp_path / "absent"))


BROKEN_ARRAYS = [
    ("no closing bracket", '[{"a":1},{"a":2}', "closing bracket is missing"),
    ("half an item", '[{"a":1},{"a":', "breaks at item 2"),
    ("no JSON inside", '[{"a":1},{a}]', "breaks at item 2"),
    ("a number of 5,000 digits", "[" + "9" * 5000 + "]", "breaks at item 1"),
    ("100,000 nested arrays", "[" * 100_000, "breaks at item 1"),
]


@pytest.mark.parametrize(
    ("text", "words"), [b[1:] for b in BROKEN_ARRAYS], ids=[b[0] for b in BROKEN_ARRAYS]
)
def test_a_broken_array_is_an_error_with_the_item_number(text, words):
    with pytest.raises(SourceError, match=words):
        list(read_array(io.BufferedReader(io.BytesIO(text.encode()))))


@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        )
    ),
    st.sampled_from([None, 1]),
)
def test_an_array_read_item_by_item_equals_the_array_read_at_once(items, indent):
    stream = io.BufferedReader(io.BytesIO(json.dumps(items, indent=indent).encode()))
    assert list(read_array(stream)) == [Record(n, item) for n, item in enumerate(items, start=1)]


def test_items_across_the_end_of_a_chunk_are_complete():
    items = [{"n": number, "text": "x" * (number % 5000)} for number in range(500)] + [10**9]
    stream = io.BufferedReader(io.BytesIO(json.dumps(items).encode()))
    assert [unit.value for unit in read_array(stream)] == items


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
    source = Source(DATA / name)
    assert detect_input_format(source) == form
    reader = Reader(source, form, None)
    assert sum(1 for _ in reader.entries()) == logs
    assert reader.bad == 0


def test_every_format_has_a_title():
    assert all(row.title for row in INPUT_FORMATS.values())
