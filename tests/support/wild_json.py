"""Request bodies for property tests: ordinary, at the limits of what is valid, and invalid."""

from hypothesis import strategies as st


def quoted(texts: list[str]) -> list[str]:
    """JSON strings of texts that need no escapes."""
    return [f'"{text}"' for text in texts]


UNUSUAL_NUMBERS = [
    *"0 -0 -0.0 0.0 1.0 1e0 01 1. .5 +1 - 1e 1e+ 0x1 1e400 -1e400 5e-324 1e22 1e23".split(),
    *"9007199254740993 NaN Infinity -Infinity 9007199254740992.5 2e2 -1.25 1_0 200.0".split(),
    *"1749199389.99999996 1749199389.9999996 -62135596801 253402300800 8799999999.5".split(),
    *"8800000000 -8800000000 199.99999999999999".split(),
    *("1" + "0" * 400, "0." + "0" * 400 + "1"),
]
UNUSUAL_TIMESTAMPS = quoted(
    [
        *"2024-02-29T00:00:00Z 2023-02-29T00:00:00Z 1900-02-29T00:00:00Z".split(),
        *"2000-02-29T23:59:59.9999999Z 2024-01-31T24:00:00Z 2016-12-31T23:59:60Z".split(),
        *"0000-01-01T00:00:00Z 9999-12-31T23:59:59Z 9999-12-31T23:59:59.9999999Z".split(),
        *"0001-01-01T00:00:00+14:00 9999-12-31T23:59:59-14:00 2024-01-31 0".split(),
        *"1700-01-01T00:00:00Z 1699-12-31T23:59:59Z 2249-12-31T23:59:59.999999".split(),
        *"2024-01-31t13:45:00z 2024-01-31_13:45:00Z 2024-01-31T13:45:00-00:00".split(),
        *"2024-01-31T13:45:00+24:00 2024-01-31T13:45:00+23:60 2024-W05-3T13:45:00".split(),
        *"2024-01-31T13:45:00,5Z 2024-01-31T13:45:00.Z 20240131T134500Z 2024-01-31T13:45".split(),
        *("2024-01-31T13:45:00 Z", "2024-01-31T13:45:00\\u005a", "2024-01-31T13:45:0\u0660Z"),
        " 2024-01-31T00:00:00",
    ]
)
CHARACTERS = [
    *("a", "/", "é", "€", "\U0001f600", "\x7f", "\x00", "\x1f", "\n", "\ud800", "%"),
    *r"\" \\ \/ \b \f \n \r \t \x \ \u0000 \u00e9 \uD83D\uDE00".split(),
    *r"\uD83D \uDE00 \ud83dx \u12 \uD83D\u0041".split(),
]
UNUSUAL_ADDRESSES = quoted(
    [
        *"0.0.0.0 255.255.255.255 256.1.1.1 01.2.3.4 1.2.3 1.2.3.4:5 1.2.3.\u0664".split(),
        *":: ::: : 1:: ::1 1:2:3:4:5:6:7:: ::2:3:4:5:6:7:8 1:2:3:4:5:6:7:8:9 1::2::3".split(),
        *"::ffff:1.2.3.4 1:2:3:4:5:6:1.2.3.4 1:2:3:4:5:6:7:1.2.3.4 fe80::1%eth0 ::1.2.3".split(),
        *"1.2.3.4:: 12345:: g:: 1:2:3:4:5:6:7:8: ::01.2.3.4".split(),
        "1.2.3.4 ",
    ]
)
UNUSUAL_METHODS = quoted(
    [
        *"GET get PURGE other DELETE OPTIONS CONNECT TRACE HEAD PATCH PO\u017fT \u00df".split(),
        *(" Post ", "", "  ", "G\\u0045T", "\\tGET", "\u00a0GET", "GET\x7f", "\x1fGET"),
        *("x" * 64, "x" * 65, " " + "x" * 64 + " "),
    ]
)

SPACES = st.sampled_from(["", "", "", " ", "\n", "\t\r "])
NUMBERS = st.one_of(
    st.integers(-(10**20), 10**20).map(str),
    st.integers(0, 600).map(str),
    st.floats().map(repr),
    st.floats(0, 4e9).map(repr),
    st.decimals(allow_nan=False, allow_infinity=False, places=7).map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,20})(\.[0-9]{1,24})?([eE][+-]?[0-9]{1,4})?", fullmatch=True),
    st.sampled_from(UNUSUAL_NUMBERS),
)
TIMESTAMPS = st.one_of(
    st.datetimes().map(lambda moment: f'"{moment.isoformat()}Z"'),
    st.from_regex(
        r'"[0-2][0-9]{3}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-6][0-9]:[0-6][0-9](\.[0-9]{0,9})?'
        r'(Z|[+-][0-2][0-9]:[0-6][0-9])?"',
        fullmatch=True,
    ),
    st.sampled_from(UNUSUAL_TIMESTAMPS),
)
TEXTS = st.one_of(
    st.text(max_size=20).map(
        lambda text: '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'
    ),
    st.from_regex(r'"[a-zA-Z0-9/_?=&%. -]{0,40}"', fullmatch=True),
    st.lists(
        st.sampled_from(CHARACTERS),
        max_size=12,
    ).map(lambda parts: '"' + "".join(parts) + '"'),
    st.sampled_from([256, 257, 1023, 1024, 1025, 8192, 8193]).flatmap(
        lambda count: st.sampled_from(["x", "é", "\U0001f600", "\\u00e9", "\\n"]).map(
            lambda character: f'"{character * count}"'
        )
    ),
)
ADDRESSES = st.one_of(
    st.ip_addresses().map(lambda address: f'"{address}"'),
    st.ip_addresses(v=6).map(lambda address: f'"{address.exploded}"'),
    st.from_regex(r'"[0-9]{1,3}(\.[0-9]{1,3}){2,4}"', fullmatch=True),
    st.from_regex(r'"[0-9a-fA-F:.]{0,45}"', fullmatch=True),
    st.from_regex(
        r'"([0-9a-f]{1,4}:){0,7}:?([0-9a-f]{1,4}:){0,3}(1\.2\.3\.4|[0-9a-f]{0,4})"', fullmatch=True
    ),
    st.sampled_from(UNUSUAL_ADDRESSES),
)
METHODS = st.sampled_from(UNUSUAL_METHODS)
STATUSES = st.one_of(
    st.integers(90, 610).map(str),
    st.sampled_from(
        ['"200"', '"099"', '"600"', '"20"', '"2000"', '"2_0"', '" 200"', '"\u0662\u0660\u0660"']
    ),
)
OTHERS = st.sampled_from(
    ["null", "true", "false", "nul", "nulls", "{}", "[]", "[[1]]", '{"a": {"b": "}"}}', "", "'x'"]
)
ANY = st.one_of(NUMBERS, TEXTS, TIMESTAMPS, ADDRESSES, METHODS, OTHERS)
FIELDS = {
    '"timestamp"': st.one_of(TIMESTAMPS, NUMBERS),
    '"user_id"': TEXTS,
    '"endpoint"': TEXTS,
    '"method"': METHODS,
    '"status_code"': STATUSES,
    '"ip_address"': ADDRESSES,
    '"user_agent"': TEXTS,
    '"response_time"': NUMBERS,
    '"request_size"': NUMBERS,
    '"response_size"': NUMBERS,
    '"label"': st.one_of(st.sampled_from(["0", "1", "1.0", "2", "0.5"]), NUMBERS),
}
VALID = {
    '"timestamp"': st.sampled_from(
        ['"2025-06-05T22:24:14.924Z"', "1749199389", "1749199389.7234821"]
    ),
    '"endpoint"': st.sampled_from(['"/api/v1/me"', '"/caf\u00e9?q=\\"\\u20ac"']),
    '"method"': st.sampled_from(['"GET"', '" post"']),
    '"status_code"': st.sampled_from(["200", '"404"']),
    '"user_id"': st.sampled_from(['"usr_1"', "null"]),
    '"ip_address"': st.sampled_from(['"192.0.2.1"', '"2001:db8::1"']),
}
UNKNOWN = st.one_of(
    TEXTS, st.sampled_from(['"x"', '"logs"', '"labels"', '"\\u0075ser_id"', '"use\\r_id"'])
)


@st.composite
def objects(draw: st.DrawFn, members: list[tuple[str, str]]) -> str:
    """The members as an object, with any white space."""
    parts = [
        draw(SPACES) + name + draw(SPACES) + ":" + draw(SPACES) + value for name, value in members
    ]
    return "{" + (draw(SPACES) + ",").join(parts) + draw(SPACES) + "}"


@st.composite
def logs(draw: st.DrawFn) -> str:
    """A log: valid fields, of which some are replaced, left out, duplicated or joined by others."""
    members = {name: draw(values) for name, values in VALID.items()}
    for name in draw(st.lists(st.sampled_from(list(FIELDS)), max_size=2)):
        members[name] = draw(st.one_of(FIELDS[name], FIELDS[name], FIELDS[name], ANY))
    pairs = list(members.items())
    if draw(st.integers(0, 9)) == 0:
        pairs.pop(draw(st.integers(0, len(pairs) - 1)))
    if draw(st.integers(0, 9)) == 0:
        name = draw(st.sampled_from(list(FIELDS)))
        pairs.append((name, draw(FIELDS[name])))
    if draw(st.integers(0, 4)) == 0:
        pairs.append((draw(UNKNOWN), draw(ANY)))
    return draw(objects(draw(st.permutations(pairs))))


OPTIONS = {
    '"threshold"': st.one_of(st.floats(-1, 0).map(repr), ANY),
    '"test_size"': st.one_of(st.floats(0, 1).map(repr), ANY),
    '"include_scores"': OTHERS,
    '"include_rules"': OTHERS,
    '"update_state"': OTHERS,
}


@st.composite
def body_texts(draw: st.DrawFn) -> str:
    """A body with a few logs and options."""
    given = draw(st.lists(logs(), max_size=3))
    if draw(st.integers(0, 19)) == 0:
        given.append(draw(st.one_of(ANY, logs())))
    pairs = [('"logs"', draw(SPACES) + "[" + draw(SPACES) + ",".join(given) + draw(SPACES) + "]")]
    for name in draw(st.lists(st.sampled_from(list(OPTIONS)), max_size=2, unique=True)):
        pairs.append((name, draw(OPTIONS[name])))
    if draw(st.integers(0, 9)) == 0:
        pairs.append(draw(st.sampled_from([*pairs, ('"logs"', "[]"), (draw(UNKNOWN), draw(ANY))])))
    return draw(SPACES) + draw(objects(draw(st.permutations(pairs)))) + draw(SPACES)


INSERTED = st.sampled_from([b"", b'"', b"\\", b",", b"}", b"\xef\xbb\xbf", b"\x0b"])


@st.composite
def bodies(draw: st.DrawFn) -> bytes:
    """A body as bytes, sometimes with bytes replaced, inserted, removed, or truncated."""
    body = draw(body_texts()).encode("utf-8", "surrogatepass")
    for _ in range(draw(st.sampled_from([0, 0, 0, 1, 2]))):
        at = draw(st.integers(0, len(body)))
        inserted = draw(st.one_of(st.binary(max_size=2), INSERTED))
        removed = draw(st.sampled_from([0, 1, len(inserted), len(body)]))
        body = body[:at] + inserted + body[at + removed :]
    return body
