"""Logs as arrays: unknown values, addresses, and that order and texts stay."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_anomaly.logs.columns import METHODS, Columns, Texts, address_words, joined
from tests.support.streams import columns, plain, streams


def texts(held: Texts) -> list[str]:
    rows = zip(held.offsets, held.offsets[1:], strict=False)
    return [bytes(held.data[a:b]).decode("utf-8", "surrogatepass") for a, b in rows]


def assert_equal(one: Columns, other: Columns) -> None:
    for name in Columns.__dataclass_fields__:
        mine, theirs = getattr(one, name), getattr(other, name)
        if isinstance(mine, Texts):
            assert texts(mine) == texts(theirs), name
        else:
            assert mine.dtype == theirs.dtype
            assert np.array_equal(mine, theirs, equal_nan=mine.dtype.kind == "f"), name


def test_none_is_unknown() -> None:
    log = plain(user_id=None, ip_address=None, user_agent=None, response_time=None)
    held = columns([log | {"request_size": None, "response_size": None}])
    assert texts(held.user) == texts(held.agent) == [""]
    assert held.address.tolist() == [[0, 0]]
    assert np.isnan([held.response_time, held.request_size, held.response_size]).all()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("192.0.2.1", (0, 0xFFFF_C000_0201)),
        ("::ffff:192.0.2.1", (0, 0xFFFF_C000_0201)),
        ("2001:db8::1", (0x2001_0DB8_0000_0000, 1)),
        ("fe80::1%eth0", (0xFE80_0000_0000_0000, 1)),
        ("::", (0, 0)),
        ("", (0, 0)),
        (None, (0, 0)),
    ],
)
def test_an_address_is_two_words(text: str | None, words: tuple[int, int]) -> None:
    assert address_words(text) == words


def test_an_invalid_address_is_refused() -> None:
    with pytest.raises(ValueError, match="nowhere"):
        columns([plain(ip_address="nowhere")])


def test_unknown_methods_share_a_code() -> None:
    held = columns([plain(method=name) for name in ("GET", "DELETE", "PURGE", "")])
    assert [METHODS[code] for code in held.method] == ["GET", "DELETE", "other", "other"]


@given(st.lists(st.none() | st.text(max_size=9), max_size=9), st.data())
def test_texts_stay_in_any_order(values: list[str | None], data: st.DataObject) -> None:
    rows = data.draw(st.lists(st.integers(0, len(values) - 1), max_size=9)) if values else []
    held = Texts.of(values)
    assert texts(held) == [value or "" for value in values]
    assert texts(held.take(np.array(rows, np.int64))) == [values[row] or "" for row in rows]


@given(streams(most=12), st.data())
@settings(max_examples=30)
def test_logs_taken_and_joined_are_the_same(logs: list[dict], data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(logs)))
    whole = columns(logs)
    assert len(whole) == len(logs)
    assert_equal(joined([columns(logs[:cut]), columns(logs[cut:])]), whole)
    order = data.draw(st.permutations(range(len(logs))))
    assert_equal(whole.take(np.array(order, np.int64)), columns([logs[row] for row in order]))


@given(streams(most=12).filter(len), st.data())
@settings(max_examples=30)
def test_adjacent_logs_are_not_copied(logs: list[dict], data: st.DataObject) -> None:
    whole = columns(logs)
    first = data.draw(st.integers(0, len(logs) - 1))
    end = data.draw(st.integers(first + 1, len(logs)))
    part = whole.take(np.arange(first, end))
    assert_equal(part, columns(logs[first:end]))
    assert_equal(joined([part, part]), columns(logs[first:end] * 2))
    assert np.shares_memory(part.time, whole.time)
    assert len(whole.between(end, end)) == 0


def test_logs_of_the_same_time_keep_their_order() -> None:
    held = columns([plain(2.0), plain(1.0), plain(2.0), plain(1.0)])
    assert held.in_time_order().tolist() == [1, 3, 0, 2]
