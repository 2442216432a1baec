"""Tokens, and the schemes that present them."""

from base64 import b64encode

import pytest

from api_anomaly.errors import Unauthorized
from api_anomaly.http.auth.schemes import presented_tokens
from api_anomaly.http.auth.tokens import Tokens

tokens = Tokens(["the first token", "the-second-token"])


@pytest.mark.parametrize(
    "value",
    [
        *(b"Bearer the first token", b"bearer the-second-token", b"BEARER  the-second-token "),
        b"  Bearer the-second-token",
    ],
)
def test_each_valid_token_is_accepted(value: bytes) -> None:
    (token,) = presented_tokens([(b"host", b"x"), (b"authorization", value)])
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
        (token,) = presented_tokens([(b"authorization", value)])
    except Unauthorized:
        return
    assert tokens.caller(token) is None


def test_a_missing_or_doubled_header_is_refused() -> None:
    valid = (b"authorization", b"Bearer the-second-token")
    for headers in ([], [(b"host", b"x")], [valid, valid]):
        with pytest.raises(Unauthorized):
            presented_tokens(headers)


def test_no_token_at_all_cannot_be_configured() -> None:
    with pytest.raises(ValueError, match="At least one"):
        Tokens([])


T = b"the-second-token"
SHIPPERS = [
    (b"authorization", b"Splunk " + T),
    (b"authorization", b"splunk " + T),
    (b"authorization", b"Basic " + b64encode(b"anybody:" + T)),
    (b"authorization", b"Basic " + b64encode(b":" + T)),
    (b"authorization", b"ApiKey " + T),
    (b"authorization", b"ApiKey " + b64encode(b"id:" + T)),
    (b"x-amz-firehose-access-key", T),
]


@pytest.mark.parametrize("header", SHIPPERS)
def test_the_schemes_of_shippers_count_only_where_logs_come_in(header: tuple[bytes, bytes]) -> None:
    accepted = [tokens.caller(token) for token in presented_tokens([header], shippers=True)]
    assert any(accepted)
    with pytest.raises(Unauthorized):
        presented_tokens([header])


@pytest.mark.parametrize(
    "value",
    [
        *(b"Basic", b"Basic " + T, b"Basic " + b64encode(T), b"Basic " + b64encode(b"user:")),
        *(b"Splunk ", b"Digest " + T, b"Basic \xff", b"Token " + T),
    ],
)
def test_what_holds_no_token_is_refused(value: bytes) -> None:
    with pytest.raises(Unauthorized):
        presented_tokens([(b"authorization", value)], shippers=True)


def test_a_token_that_looks_like_an_id_with_a_token_is_accepted_as_it_is() -> None:
    token = b64encode(b"looks:like-one")
    found = presented_tokens([(b"authorization", b"ApiKey " + token)], shippers=True)
    assert found == (token, b"like-one")


def test_the_authorization_header_beats_the_key_of_firehose() -> None:
    headers = [(b"x-amz-firehose-access-key", b"other"), (b"authorization", b"Bearer " + T)]
    assert presented_tokens(headers, shippers=True) == (T,)
