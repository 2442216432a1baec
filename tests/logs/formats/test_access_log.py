"""Access logs of Apache and nginx."""

import pytest
from api_anomaly.logs.formats.read import ReadOptions, read_body
from api_anomaly.logs.formats.quoting import unescape
from hypothesis import given
from hypothesis import strategies as st

COMBINED = ReadOptions("combined")


def read(line):
    """The log of a line, or None and the reason why it is none."""
    result = read_body(line.encode("utf-8", "surrogatepass"), COMBINED)
    return result.records.as_dicts()[0] if result.records.count else None


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"

# (case, line, expected fields)
SHAPES = [
    (
        "combined",
        "178.151.82.188 - - [17/May/2015:10:05:03 +0000]"
        f' "GET /images/k.png?x=1 HTTP/1.1" 200 203023 "http://a.example/" "{FIREFOX}"',
        {
            "timestamp": "2015-05-17T10:05:03Z",
            "user_id": None,
            "endpoint": "/images/k.png?x=1",
            "method": "GET",
            "status_code": 200,
            "response_time": None,
            "ip_address": "178.151.82.188",
            "user_agent": FIREFOX,
            "request_size": None,
            "response_size": 203023,
        },
    ),
    (
        "common, a user, no bytes, a time zone",
        '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 304 -',
        {
            "timestamp": "2000-10-10T20:55:36Z",
            "user_id": "frank",
            "response_size": 0,
            "user_agent": None,
        },
    ),
    (
        "IPv6, HTTP/2",
        '2001:db8:0:0::17 - - [01/Feb/2024:00:00:00 +0000] "POST /a HTTP/2.0" 201 5 "-" "-"',
        {"ip_address": "2001:db8::17", "method": "POST", "endpoint": "/a", "user_agent": None},
    ),
    (
        "a user with spaces and a bracket",
        '10.0.0.1 - John [x] Doe [01/Feb/2024:00:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "c"',
        {"user_id": "John [x] Doe", "ip_address": "10.0.0.1"},
    ),
    (
        "an empty user, as Apache writes it",
        '10.0.0.1 - "" [01/Feb/2024:00:00:00 +0000] "GET / HTTP/1.1" 401 5 "-" "c"',
        {"user_id": None, "status_code": 401},
    ),
    (
        "the virtual host first",
        'a.example:443 10.0.0.1 - - [01/Feb/2024:00:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "c"',
        {"user_id": None, "ip_address": "10.0.0.1"},
    ),
    (
        "a host name instead of an address",
        'crawl-66.example.net - - [01/Feb/2024:00:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "c"',
        {"user_id": "crawl-66.example.net", "ip_address": None},
    ),
    (
        "quotes in the user agent, as Apache escapes them",
        r'10.0.0.1 - - [01/Feb/2024:00:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "a \"b\" c\\d"',
        {"user_agent": r'a "b" c\d'},
    ),
    (
        "quotes and umlauts, as nginx escapes them",
        r'10.0.0.1 - - [01/Feb/2024:00:00:00 +0000] "GET /\xC3\xBC HTTP/1.1" 200 5 "-" "\x22b\x22"',
        {"user_agent": '"b"', "endpoint": "/ü"},
    ),
    (
        "a user agent cut in the middle",
        '10.0.0.1 - - [01/Feb/2024:00:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "Mozilla/5.0 (comp',
        {"user_agent": "Mozilla/5.0 (comp"},
    ),
    (
        "a TLS handshake on the plain port",
        r'10.0.0.1 - - [01/Feb/2024:00:00:00 +0000] "\x16\x03\x01\x02" 400 157 "-" "-"',
        {"method": "-", "endpoint": r"\x16\x03\x01\x02", "status_code": 400},
    ),
    (
        "a connection that sent nothing",
        '10.0.0.1 - - [01/Feb/2024:00:00:00 +0000] "-" 408 - "-" "-"',
        {"method": "-", "endpoint": "-", "status_code": 408},
    ),
    (
        "a path with spaces and a full URL",
        '10.0.0.1 - - [01/Feb/2024:00:00:00 +0000] "get http://h.example/a b?c d HTTP/1.1" 200 5',
        {"method": "GET", "endpoint": "/a b?c d"},
    ),
    (
        "HTTP/0.9 names no protocol",
        '10.0.0.1 - - [01/Feb/2024:00:00:00 +0000] "GET /old" 200 5',
        {"method": "GET", "endpoint": "/old"},
    ),
    (
        "nginx with the request time at the end",
        '10.0.0.1 - - [01/Feb/2024:00:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "c" rt=0.125 x="0"',
        {"response_time": 0.125},
    ),
    (
        "Traefik with milliseconds at the end",
        '10.0.0.1 - - [01/Feb/2024:00:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "-" 7 "r" "b" 12ms',
        {"response_time": 0.012},
    ),
    (
        "a whole number at the end may be seconds or microseconds: unknown",
        '10.0.0.1 - - [01/Feb/2024:00:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "c" 1250',
        {"response_time": None},
    ),
    (
        "a forwarded address at the end is not a duration",
        '10.0.0.1 - - [01/Feb/2024:00:00:00 +0000] "GET / HTTP/1.1" 200 5 "-" "c" "192.0.2.7"',
        {"response_time": None, "ip_address": "10.0.0.1"},
    ),
]


@pytest.mark.parametrize(("line", "fields"), [s[1:] for s in SHAPES], ids=[s[0] for s in SHAPES])
def test_an_access_line_gives_the_ten_fields(line, fields):
    log = read(line)
    assert {name: log[name] for name in fields} == fields


BAD = [
    ("nothing like a log", "hello world"),
    ("no status", '10.0.0.1 - - [01/Feb/2024:00:00:00 +0000] "GET / HTTP/1.1" x 5'),
    ("a status out of range", '10.0.0.1 - - [01/Feb/2024:00:00:00 +0000] "GET / HTTP/1.1" 600 5'),
    ("words in front", 'a b c: 10.0.0.1 - - [01/Feb/2024:00:00:00 +0000] "GET / HTTP/1.1" 200 5'),
    ("no such month", '10.0.0.1 - - [01/Foo/2024:00:00:00 +0000] "GET / HTTP/1.1" 200 5'),
    ("no such day", '10.0.0.1 - - [32/Feb/2024:00:00:00 +0000] "GET / HTTP/1.1" 200 5'),
    ("neither user nor address", '- - - [01/Feb/2024:00:00:00 +0000] "GET / HTTP/1.1" 200 5'),
]


@pytest.mark.parametrize("line", [line for _, line in BAD], ids=[name for name, _ in BAD])
def test_a_line_without_the_required_fields_is_rejected(line):
    result = read_body(line.encode(), COMBINED)
    assert (result.records.count, result.rejected) == (0, 1)
    assert result.errors[0].reason


def test_a_user_name_cannot_forge_the_rest_of_the_line():
    forged = r"eve [01/Jan/1999:00:00:00 +0000] \x22GET /innocent HTTP/1.1\x22 200 1"
    line = f'10.0.0.1 - {forged} [01/Feb/2024:00:00:00 +0000] "GET /evil HTTP/1.1" 403 5 "-" "c"'
    log = read(line)
    assert (log["endpoint"], log["status_code"]) == ("/evil", 403)


# Characters that clients may send; control characters have a test of their own.
words = st.text(
    st.characters(blacklist_categories=["Cc", "Cs", "Zs", "Zl", "Zp", "Cn", "Co", "Cf"])
)


def apache_escaped(text: str) -> str:
    """As httpd writes a logged header: backslash and quote with a backslash, other bytes as hex."""
    plain = text.replace("\\", "\\\\").replace('"', '\\"')
    return "".join(c if c.isascii() else "".join(f"\\x{b:02x}" for b in c.encode()) for c in plain)


@given(
    path=words.filter(lambda text: not text.startswith("//")),
    agent=words.filter(lambda text: text not in ("", "-", "--")),
    user=words.filter(lambda text: text not in ("", "-", "--")),
    address=st.ip_addresses(),
    when=st.datetimes(),
    status=st.integers(100, 599),
    sent=st.integers(0, 10**12),
)
def test_an_escaped_line_is_read_back(path, agent, user, address, when, status, sent):
    when = when.replace(microsecond=0)
    months = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
    stamp = f"{when.day:02}/{months[when.month - 1]}/{when.year:04}:{when:%H:%M:%S} +0000"
    line = (
        f"{address} - {apache_escaped(user)} [{stamp}]"
        f' "PUT /{apache_escaped(path)} HTTP/1.1" {status} {sent} "-" "{apache_escaped(agent)}"'
    )
    log = read(line)
    assert log == {
        "timestamp": when.isoformat() + "Z",
        "user_id": user[:256],
        "endpoint": "/" + path,
        "method": "PUT",
        "status_code": status,
        "response_time": None,
        "ip_address": str(getattr(address, "ipv4_mapped", None) or address),
        "user_agent": agent[:1024],
        "request_size": None,
        "response_size": sent,
    }


@given(st.text(), st.text(), st.text())
def test_any_text_inside_a_line_gives_a_log_or_an_error(request, status, agent):
    line = f'10.0.0.1 - - [01/Feb/2024:00:00:00 +0000] "{request}" {status} 5 "-" "{agent}"'
    log = read(line.replace("\n", " "))
    assert log is None or log["endpoint"] and log["method"]


def test_control_characters_stay_escaped():
    assert unescape(r"\x1b[31m\x00 \t") == r"\x1b[31m\x00 \t"
