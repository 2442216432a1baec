"""Request bodies in gzip are decompressed up to a limit."""

import gzip

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_anomaly.errors import BodyTooLarge, EncodingBroken
from api_anomaly.http.body import decompress


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=2_000), max_size=5))
def test_gzip_in_one_or_several_parts_is_decompressed(parts: list[bytes]) -> None:
    sent = b"".join(gzip.compress(part) for part in parts) or gzip.compress(b"")
    assert decompress(sent, 100_000) == b"".join(parts)


@settings(max_examples=100)
@given(st.binary(min_size=1, max_size=500), st.data())
def test_truncated_gzip_is_rejected(body: bytes, data: st.DataObject) -> None:
    sent = gzip.compress(body)
    cut = data.draw(st.integers(0, len(sent) - 1))
    with pytest.raises(EncodingBroken):
        decompress(sent[:cut], 100_000)


@pytest.mark.parametrize("junk", [b"", b"{}", b"\x1f\x8b", gzip.compress(b"x", mtime=0) + b"junk"])
def test_what_is_not_gzip_is_rejected(junk: bytes) -> None:
    with pytest.raises(EncodingBroken):
        decompress(junk, 1_000)


def test_decompressing_stops_at_the_limit() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    with pytest.raises(BodyTooLarge):
        decompress(bomb, 1_000_000)
    assert decompress(gzip.compress(b"x" * 1_000), 1_000) == b"x" * 1_000
    with pytest.raises(BodyTooLarge):
        decompress(gzip.compress(b"x" * 1_001), 1_000)


def test_a_body_of_many_empty_gzip_parts_is_rejected() -> None:
    with pytest.raises(EncodingBroken, match="too many"):
        decompress(gzip.compress(b"") * 10_000, 1_000)
