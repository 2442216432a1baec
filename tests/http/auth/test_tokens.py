"""Bearer tokens."""

import pytest

from api_anomaly.http.auth.tokens import Tokens, bearer_token
from api_anomaly.errors import Unauthorized

tokens = Tokens(["the first token", "the-second-token"])


@pytest.mark.parametrize(
    "value",
    [
        *(b"Bearer the first token", b"bearer the-second-token", b"BEARER  the-second-token "),
        b"  Bearer the-second-token",
    ],
)
def test_each_valid_token_is_accepted(value: bytes) -> None:
    token = bearer_token([(b"host", b"x"), (b"authorization", value)])
    assert tokens.caller(token) is not None


@pytest.mark.parametrize(
    "value",
    [
        *(b"", b"Bearer", b"Bearer ", b"Bearer the-third-token", b"Bearer the-second-toke"),
        *(b"Bearer the-second-tokenx", b"Basic the-second-token", b"the-second-token"),
        *(b"Bearer the first token,the-second-token", b"Bearer \xff\xfe", b"Bearer\tx"),
    ],
)
def test_anything_else_is_refused(value: bytes) -> None:
    try:
        token = bearer_token([(b"authorization", value)])
    except Unauthorized:
        return
    assert tokens.caller(token) is None


def test_a_missing_or_doubled_header_is_refused() -> None:
    valid = (b"authorization", b"Bearer the-second-token")
    for headers in ([], [(b"host", b"x")], [valid, valid]):
        with pytest.raises(Unauthorized):
            bearer_token(headers)


def test_no_token_at_all_cannot_be_configured() -> None:
    with pytest.raises(ValueError, match="At least one"):
        Tokens([])
