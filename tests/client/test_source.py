"""Files, standard input, gzip and arrays as sources of logs."""

import gzip
import io
import json

import pytest
from api_anomaly.logs.formats.registry import FORMATS
from api_anomaly.client.reading import Reader, counted, guessed
from api_anomaly.client.source import Source, SourceRefused, Unit, array_items
from hypothesis import given
from hypothesis import strategies as st
from tests.support.paths import DATA

COMBINED = '10.0.0.{} - - [01/Feb/2024:00:00:00 +0000] "GET /{} HTTP/1.1" 200 5 "-" "curl/8"'
COMMON = '10.0.0.{} - - [01/Feb/2024:00:00:00 +0000] "GET /{} HTTP/1.1" 200 5'
ALB = (
    "h2 2018-07-02T22:23:00.186641Z app/a/b 10.0.0.{}:2817 - 0.0 0.1 0.0 200 200 34 366"
    ' "GET https://a.example:443/{} HTTP/2.0" "curl/7.46.0" - -'
)


def record(number):
    return {
        "timestamp": 1715472017 + number,
        "ip_address": f"10.0.0.{number}",
        "endpoint": f"/{number}",
        "method": "GET",
        "status_code": 200,
    }


def text_of(line):
    return "".join(line.format(number, number) + "\n" for number in range(1, 4))


CONTENTS = {
    "combined": text_of(COMBINED),
    "common": text_of(COMMON),
    "alb": text_of(ALB),
    "ndjson": "".join(json.dumps(record(number)) + "\n" for number in range(1, 4)),
    "json": json.dumps([record(number) for number in range(1, 4)], indent=2),
}


def stored(tmp_path, content):
    path = tmp_path / "log"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return Source(path)


def endpoints(source, name):
    return [entry.log["endpoint"] for entry in Reader(source, name, None).entries()]


@pytest.mark.parametrize("name", CONTENTS)
def test_each_format_is_guessed_and_read(tmp_path, name):
    source = stored(tmp_path, CONTENTS[name])
    assert guessed(source) == name
    assert counted(source, name, None) == 3
    assert endpoints(source, name) == ["/1", "/2", "/3"]


@pytest.mark.parametrize("name", CONTENTS)
def test_gzip_is_known_by_its_first_bytes_not_by_its_name(tmp_path, name):
    source = stored(tmp_path, gzip.compress(CONTENTS[name].encode()))
    assert guessed(source) == name
    assert endpoints(source, name) == ["/1", "/2", "/3"]


@pytest.mark.parametrize("name", CONTENTS)
def test_standard_input_is_read_once_and_guessed_on_the_way(name):
    source = Source(None, io.BytesIO(CONTENTS[name].encode()))
    assert guessed(source) == name
    assert endpoints(source, name) == ["/1", "/2", "/3"]


def test_standard_input_can_be_made_readable_again():
    with Source(
        None, io.BytesIO(gzip.compress(CONTENTS["combined"].encode()))
    ).rereadable() as source:
        assert counted(source, "combined", None) == 3
        assert endpoints(source, "combined") == ["/1", "/2", "/3"]


def test_a_training_body_is_read_as_an_array(tmp_path):
    source = stored(tmp_path, json.dumps({"logs": [record(1), record(2)], "test_size": 0.2}))
    assert guessed(source) == "json"
    assert endpoints(source, "json") == ["/1", "/2"]


def test_bad_lines_are_counted_and_shown_with_their_numbers(tmp_path):
    lines = [COMBINED.format(number, number) for number in range(1, 11)]
    lines[3:3] = ["", "not a log", ""]
    reader = Reader(stored(tmp_path, "\n".join(lines)), "combined", None)
    assert len(list(reader.entries())) == 10
    assert (reader.read, reader.bad) == (11, 1)
    assert reader.complaints[0].number == 5


def test_an_input_of_mostly_bad_lines_is_given_up(tmp_path):
    reader = Reader(stored(tmp_path, CONTENTS["ndjson"] * 1000), "combined", None)
    with pytest.raises(SourceRefused, match="1,000 of the first 1,000 lines are not in the format"):
        list(reader.entries())


def test_the_limit_is_in_lines(tmp_path):
    source = stored(tmp_path, CONTENTS["combined"])
    assert counted(source, "combined", 2) == 2
    assert [entry.number for entry in Reader(source, "combined", 2).entries()] == [1, 2]


def test_a_line_with_bytes_that_are_no_utf8_is_kept(tmp_path):
    line = COMBINED.format(1, 1).encode().replace(b"curl/8", b"curl \xff")
    source = stored(tmp_path, b"\xef\xbb\xbf" + line)
    [entry] = Reader(source, guessed(source), None).entries()
    assert entry.log["user_agent"] == r"curl \xff"


REFUSED = [
    ("nothing in it", b"", "is empty"),
    ("blank lines only", b"\n\n \n", "is empty"),
    ("another text", b"Dear reader,\nhow are you?\n", "none of the known formats"),
    ("a picture", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "none of the known formats"),
    ("no gzip behind its mark", b"\x1f\x8b not gzip", "gzip data is damaged"),
    ("half a gzip", gzip.compress(CONTENTS["json"].encode())[:40], "gzip data"),
]


@pytest.mark.parametrize(
    ("content", "words"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_what_is_no_access_log_is_refused_in_a_sentence(tmp_path, content, words):
    with pytest.raises(SourceRefused, match=words):
        guessed(stored(tmp_path, content))


def test_gzip_that_breaks_off_behind_its_first_part_is_refused(tmp_path):
    content = "".join(COMBINED.format(n % 250, n * n) + "\n" for n in range(60_000)).encode()
    source = stored(tmp_path, gzip.compress(content)[:-5_000])
    with pytest.raises(SourceRefused, match="breaks off before its end"):
        endpoints(source, guessed(source))


def test_a_file_that_is_not_there_is_refused_in_a_sentence(tmp_path):
    with pytest.raises(SourceRefused, match="No such file"):
        guessed(Source(tmp_path / "absent"))


BROKEN_ARRAYS = [
    ("no closing bracket", '[{"a":1},{"a":2}', "closing bracket is missing"),
    ("half an item", '[{"a":1},{"a":', "breaks at item 2"),
    ("no JSON inside", '[{"a":1},{a}]', "breaks at item 2"),
    ("a number of endless digits", "[" + "9" * 5000 + "]", "breaks at item 1"),
    ("a tower of brackets", "[" * 100_000, "breaks at item 1"),
]


@pytest.mark.parametrize(
    ("text", "words"), [b[1:] for b in BROKEN_ARRAYS], ids=[b[0] for b in BROKEN_ARRAYS]
)
def test_a_broken_array_is_refused_with_the_place(text, words):
    with pytest.raises(SourceRefused, match=words):
        list(array_items(io.BufferedReader(io.BytesIO(text.encode()))))


@given(
    st.lists(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(),
            lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
        )
    ),
    st.sampled_from([None, 1]),
)
def test_an_array_is_read_item_by_item_as_json_reads_it_whole(items, indent):
    stream = io.BufferedReader(io.BytesIO(json.dumps(items, indent=indent).encode()))
    assert list(array_items(stream)) == [Unit(n, item) for n, item in enumerate(items, start=1)]


def test_items_across_the_edge_of_what_is_read_at_once_are_whole():
    items = [{"n": number, "text": "x" * (number % 5000)} for number in range(500)] + [10**9]
    stream = io.BufferedReader(io.BytesIO(json.dumps(items).encode()))
    assert [unit.value for unit in array_items(stream)] == items


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
        pytest.skip(f"the real log {name} is not beside this project")
    source = Source(DATA / name)
    assert guessed(source) == form
    reader = Reader(source, form, None)
    assert sum(1 for _ in reader.entries()) == logs
    assert reader.bad == 0


def test_every_format_has_a_title():
    assert all(form.title for form in FORMATS.values())
