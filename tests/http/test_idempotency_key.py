"""The Idempotency-Key header."""

import pytest

from api_anomaly.errors import IdempotencyKeyInvalid
from api_anomaly.http.handlers.batch import idempotency_key


@pytest.mark.parametrize("value", [b"", b"x" * 256])
def test_an_empty_or_long_key_is_refused(value: bytes) -> None:
    with pytest.raises(IdempotencyKeyInvalid):
        idempotency_key([(b"idempotency-key", value)])


def test_the_key_is_read_from_the_headers() -> None:
    assert idempotency_key([(b"host", b"x"), (b"idempotency-key", b"k")]) == b"k"
    assert idempotency_key([(b"host", b"x")]) is None
