"""Pseudonyms: one for each user and address; networks stay networks; only the key links them."""

import ipaddress
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_anomaly.feedback.decode import FeedbackReader
from api_anomaly.logs.columns import address_words
from api_anomaly.logs.decode import Decoder
from api_anomaly.logs.pseudonyms import Pseudonyms

KEY = b"a secret of the tests, long enough for anybody"
pseudonyms = Pseudonyms(KEY)
SPECIAL = ("::", "::1", "::ffff:0:0", "::fffe:102:304", "::ff:102:304", "::ffff:0:102:304")
V4 = st.ip_addresses(v=4)
V6 = st.one_of(st.ip_addresses(v=6), st.sampled_from(SPECIAL).map(ipaddress.ip_address))


def packed(address: object) -> bytes:
    return ipaddress.ip_address(pseudonyms.address(str(address))).packed


def shared(first: bytes, second: bytes) -> int:
    """How many leading bytes are equal."""
    differences = (i for i in range(len(first)) if first[i] != second[i])
    return next(differences, len(first))


def neighbours(family: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, Any]]:
    """Two addresses that may share leading bytes."""

    def joined(first: Any, second: Any, count: int) -> tuple[Any, Any]:
        mixed = first.packed[:count] + second.packed[count:]
        return first, ipaddress.ip_address(mixed)

    return st.builds(joined, family, family, st.integers(0, 16))


@given(st.one_of(neighbours(V4), neighbours(V6)))
def test_two_addresses_share_as_many_leading_bytes_as_before(pair: tuple[Any, Any]) -> None:
    first, second = pair
    if getattr(first, "ipv4_mapped", None) is None and getattr(second, "ipv4_mapped", None) is None:
        assert shared(packed(first), packed(second)) == shared(first.packed, second.packed)


@given(st.one_of(neighbours(V4), neighbours(V6)))
def test_two_addresses_are_one_exactly_if_they_were(pair: tuple[Any, Any]) -> None:
    words = [address_words(str(address)) for address in pair]
    replaced = [address_words(pseudonyms.address(str(address))) for address in pair]
    assert (replaced[0] == replaced[1]) == (words[0] == words[1])


@pytest.mark.parametrize("network", ["", "10.", "10.20.", "10.20.30."])
def test_every_byte_is_permuted(network: str) -> None:
    depth = network.count(".")
    rest = ".0" * (3 - depth)
    replaced = [packed(f"{network}{byte}{rest}") for byte in range(256)]
    assert {address[depth] for address in replaced} == set(range(256))
    assert [address[depth] for address in replaced] != list(range(256))
    assert len({address[:depth] for address in replaced}) == 1


@pytest.mark.parametrize("depth", range(16))
@pytest.mark.parametrize("prefix", ["::", "::ffff:0:0", "2001:db8::"])
def test_every_byte_of_an_ipv6_address_is_permuted(prefix: str, depth: int) -> None:
    start = ipaddress.ip_address(prefix).packed
    ends = {
        address_words(str(ipaddress.ip_address(start[:depth] + bytes([byte]) + bytes(15 - depth))))
        for byte in range(256)
    }
    texts = {
        str(ipaddress.ip_address(start[:depth] + bytes([byte]) + bytes(15 - depth)))
        for byte in range(256)
    }
    assert len({address_words(pseudonyms.address(text)) for text in texts}) == len(ends) == 256


@given(V6)
def test_an_address_stays_unknown_or_known_and_in_its_family(address: Any) -> None:
    before = address_words(str(address))
    after = address_words(pseudonyms.address(str(address)))
    assert (before == (0, 0)) == (after == (0, 0))
    assert is_ipv4(before) == is_ipv4(after)


def is_ipv4(words: tuple[int, int]) -> bool:
    return words[0] == 0 and words[1] >> 32 == 0xFFFF


@given(V4)
def test_all_forms_of_an_address_have_one_pseudonym(address: Any) -> None:
    assert pseudonyms.address(f"::ffff:{address}") == pseudonyms.address(str(address))
    assert ipaddress.ip_address(pseudonyms.address(str(address))).version == 4


def test_spelling_does_not_matter() -> None:
    forms = "2001:db8::1", "2001:0DB8:0:0::0001", "2001:db8::1%eth0"
    assert len({pseudonyms.address(form) for form in forms}) == 1


def test_an_invalid_address_is_an_error() -> None:
    with pytest.raises(ValueError):
        pseudonyms.address("10.0.0")
    with pytest.raises(ValueError):
        pseudonyms.addresses(["10.0.0.1", "gateway"])


def test_a_user_becomes_a_token() -> None:
    users = ["alice", "bob", "10.0.0.1", "\ud800", "u" * 256]
    tokens = pseudonyms.users(users)
    assert len(set(tokens)) == len(users)
    assert all(re.fullmatch("u_[a-z2-7]{16}", token or "") for token in tokens)
    assert Pseudonyms(KEY).users(users) == tokens


def test_what_is_unknown_stays_unknown() -> None:
    assert pseudonyms.users([None, "", "a"])[:2] == [None, ""]
    assert pseudonyms.addresses([None, "", "10.0.0.1"])[:2] == [None, ""]


def test_another_key_gives_other_pseudonyms() -> None:
    other = Pseudonyms(b"another secret")
    addresses = [f"10.{i}.{i}.{i}" for i in range(50)]
    assert other.user("alice") != pseudonyms.user("alice")
    assert set(other.addresses(addresses)).isdisjoint(pseudonyms.addresses(addresses))


# What decoders replace

LOG = {
    "timestamp": 1_700_000_000,
    "endpoint": "/",
    "method": "GET",
    "status_code": 200,
    "user_id": "alice",
    "ip_address": "192.0.2.1",
}
LOGS = [
    LOG,
    LOG | {"user_id": None},
    {name: value for name, value in LOG.items() if name != "ip_address"},
    LOG | {"user_id": "bob", "ip_address": "2001:DB8::1"},
]
TOKEN, ADDRESS = pseudonyms.user("alice"), pseudonyms.address("192.0.2.1")
PAIRS = [
    (TOKEN, ADDRESS),
    (None, ADDRESS),
    (TOKEN, None),
    (pseudonyms.user("bob"), pseudonyms.address("2001:db8::1")),
]
#: An unusual status is read by Pydantic only.
UNUSUAL = LOG | {"status_code": "200", "timestamp": "20240131T134500Z"}
each_path = pytest.mark.parametrize("fast_path", [True, False])


def texts_of(columns: Any) -> list[str | None]:
    user = columns.user
    ends = zip(user.offsets, user.offsets[1:], strict=False)
    return [user.data[start:stop].tobytes().decode() or None for start, stop in ends]


def pairs_of(columns: Any) -> list[tuple[Any, Any]]:
    return list(zip(texts_of(columns), map(tuple, columns.address.tolist()), strict=True))


def expected_pairs(pairs: list[tuple[str | None, str | None]]) -> list[tuple[Any, Any]]:
    return [(user, address_words(address)) for user, address in pairs]


@each_path
@pytest.mark.parametrize("extra", [[], [UNUSUAL]])
def test_a_decoded_batch_names_nobody(fast_path: bool, extra: list[Any]) -> None:
    decoder = Decoder(100, 100, fast_path, pseudonyms)
    request = decoder.decode_detect(json.dumps({"logs": LOGS + extra}).encode())
    expected = PAIRS + [(TOKEN, ADDRESS)] * len(extra)
    assert [(log.user_id, log.ip_address) for log in request.logs] == expected
    assert pairs_of(request.columns) == expected_pairs(expected)


@each_path
def test_a_decoded_history_names_nobody(fast_path: bool) -> None:
    decoder = Decoder(100, 10_000, fast_path, pseudonyms)
    logs = LOGS * 1_025 + [UNUSUAL] + LOGS  # two chunks; Pydantic reads the second one
    history = decoder.decode_train(json.dumps({"logs": logs}).encode())
    expected = expected_pairs(PAIRS * 1_025 + [(TOKEN, ADDRESS)] + PAIRS)
    assert pairs_of(history.columns) == expected


def test_decoded_verdicts_name_nobody() -> None:
    items = [{"log": log, "verdict": "true_positive"} for log in LOGS]
    items.insert(1, {"anomaly_id": "a", "verdict": "true_positive"})
    request = FeedbackReader(10, pseudonyms).read(json.dumps({"items": items}).encode())
    assert pairs_of(request.columns) == expected_pairs(PAIRS)
