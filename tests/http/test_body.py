"""Compressed request bodies are decompressed up to a limit."""

import gzip
import zlib
from collections.abc import Callable

import cramjam
import pytest
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from api_anomaly.errors import BodyTooLarge, EncodingBroken
from api_anomaly.http.encodings import ENCODINGS, decompress


@settings(max_examples=100)
@given(st.lists(st.binary(max_size=2_000), max_size=5))
def test_gzip_in_one_or_several_parts_is_decompressed(parts: list[bytes]) -> None:
    sent = b"".join(gzip.compress(part) for part in parts) or gzip.compress(b"")
    assert decompress(sent, b"gzip", 100_000) == b"".join(parts)


@settings(max_examples=100)
@given(st.binary(min_size=1, max_size=500), st.data())
def test_truncated_gzip_is_rejected(body: bytes, data: st.DataObject) -> None:
    sent = gzip.compress(body)
    cut = data.draw(st.integers(0, len(sent) - 1))
    with pytest.raises(EncodingBroken):
        decompress(sent[:cut], b"gzip", 100_000)


@pytest.mark.parametrize("junk", [b"", b"{}", b"\x1f\x8b", gzip.compress(b"x", mtime=0) + b"junk"])
def test_what_is_not_gzip_is_rejected(junk: bytes) -> None:
    with pytest.raises(EncodingBroken):
        decompress(junk, b"gzip", 1_000)


def test_decompressing_stops_at_the_limit() -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)
    with pytest.raises(BodyTooLarge):
        decompress(bomb, b"gzip", 1_000_000)
    assert decompress(gzip.compress(b"x" * 1_000), b"gzip", 1_000) == b"x" * 1_000
    with pytest.raises(BodyTooLarge):
        decompress(gzip.compress(b"x" * 1_001), b"gzip", 1_000)


def test_a_body_of_many_empty_gzip_parts_is_rejected() -> None:
    with pytest.raises(EncodingBroken, match="too many"):
        decompress(gzip.compress(b"") * 10_000, b"gzip", 1_000)


def bare_deflate(body: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-15)
    return compressor.compress(body) + compressor.flush()


def zstd_with_checksum(body: bytes) -> bytes:
    return zstandard.ZstdCompressor(write_checksum=True).compress(body)


def zstd_stream(body: bytes) -> bytes:
    """Several blocks, and no length in front."""
    compressor = zstandard.ZstdCompressor().compressobj()
    parts = [
        compressor.compress(part) + compressor.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK)
        for part in (body[:100], body[100:])
    ]
    return b"".join(parts) + compressor.flush()


def framed_snappy(body: bytes) -> bytes:
    return bytes(cramjam.snappy.compress(body))


ENCODERS: list[tuple[bytes, Callable[[bytes], bytes]]] = [
    (b"gzip", gzip.compress),
    (b"x-gzip", gzip.compress),
    (b"deflate", zlib.compress),
    (b"deflate", bare_deflate),
    (b"zlib", zlib.compress),
    (b"zstd", zstandard.compress),
    (b"zstd", zstd_with_checksum),
    (b"zstd", zstd_stream),
    (b"snappy", lambda body: bytes(cramjam.snappy.compress_raw(body))),
    (b"snappy", framed_snappy),
    (b"x-snappy-framed", framed_snappy),
    (b"lz4", lambda body: bytes(cramjam.lz4.compress(body))),
]
each_encoder = pytest.mark.parametrize(("encoding", "encode"), ENCODERS)


def test_every_encoding_is_tried() -> None:
    assert {encoding for encoding, _ in ENCODERS} == ENCODINGS


@each_encoder
@settings(max_examples=30)
@given(body=st.binary(min_size=1, max_size=3_000))
def test_every_encoding_is_decoded(encoding, encode, body: bytes) -> None:
    assert decompress(encode(body * 100), encoding, 1_000_000) == body * 100


@each_encoder
def test_every_encoding_stops_at_the_limit(encoding, encode) -> None:
    assert decompress(encode(b"x" * 100_000), encoding, 100_000) == b"x" * 100_000
    for size in (100_001, 50_000_000):
        with pytest.raises(BodyTooLarge):
            decompress(encode(b"x" * size), encoding, 100_000)


@each_encoder
@settings(max_examples=30)
@given(data=st.data())
def test_every_truncated_encoding_is_refused(encoding, encode, data: st.DataObject) -> None:
    sent = encode(bytes(range(256)) * 50)
    with pytest.raises(EncodingBroken):
        decompress(sent[: data.draw(st.integers(0, len(sent) - 1))], encoding, 100_000)


@pytest.mark.parametrize("encoding", sorted(ENCODINGS))
@settings(max_examples=200)
@given(junk=st.binary(max_size=200))
def test_junk_is_decoded_or_refused_and_never_another_error(encoding, junk: bytes) -> None:
    for sent in (junk, b"\x28\xb5\x2f\xfd" + junk, b"\x04\x22\x4d\x18" + junk):
        try:
            assert len(decompress(sent, encoding, 1_000)) <= 1_000
        except (EncodingBroken, BodyTooLarge):
            pass


def test_zstd_windows_are_bounded_and_empty_frames_skipped() -> None:
    parameters = zstandard.ZstdCompressionParameters.from_level(3, window_log=27)
    wide = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    sent = wide.compress(b"x" * 100) + wide.flush()
    with pytest.raises(EncodingBroken):
        decompress(sent, b"zstd", 1_000)
    skippable = b"\x50\x2a\x4d\x18\x02\x00\x00\x00ab"
    whole = skippable + zstandard.compress(b"one") + zstandard.compress(b"two")
    assert decompress(whole, b"zstd", 1_000) == b"onetwo"
    with pytest.raises(EncodingBroken):
        decompress(zstandard.compress(b"one") + b"junk", b"zstd", 1_000)


def test_a_snappy_length_that_cannot_be_true_is_refused_before_memory_is_taken() -> None:
    with pytest.raises(EncodingBroken):
        decompress(b"\xff\xff\xff\x07\x00a", b"snappy", 1 << 30)
    with pytest.raises(BodyTooLarge):
        decompress(b"\xff\xff\xff\x07\x00a", b"snappy", 1_000)
