"""How a request presents its token: a bearer token, and where logs come in what shippers can set.

A token in the query is never read: addresses end up in the logs of every proxy on the way.
"""

from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Callable, Iterable
from typing import Final

from api_anomaly.errors import Unauthorized

#: The header of Amazon Data Firehose, used where there is no Authorization header.
_FIREHOSE_HEADER: Final = b"x-amz-firehose-access-key"
Candidates = tuple[bytes, ...]


def _itself(credentials: bytes) -> Candidates:
    return (credentials,)


def _basic(credentials: bytes) -> Candidates:
    """The password of `Basic base64(user:password)`; the user does not matter."""
    return _behind_colon(credentials)


def _api_key(credentials: bytes) -> Candidates:
    """`ApiKey T`, or `ApiKey base64(id:T)` as Elasticsearch's clients send it. A token may by
    chance look like the second, so both are tried."""
    return (credentials, *_behind_colon(credentials))


def _behind_colon(encoded: bytes) -> Candidates:
    try:
        _, colon, token = b64decode(encoded, validate=True).partition(b":")
    except (Base64Error, ValueError):
        return ()
    return (token,) if colon and token else ()


_Schemes = dict[bytes, Callable[[bytes], Candidates]]
_BEARER: Final[_Schemes] = {b"bearer": _itself}
_SHIPPERS: Final[_Schemes] = _BEARER | {
    b"basic": _basic,
    b"splunk": _itself,
    b"apikey": _api_key,
}


def presented_tokens(headers: Iterable[tuple[bytes, bytes]], shippers: bool = False) -> Candidates:
    """What the request presents as its token: usually one, never none. `shippers`: the schemes of
    log shippers are read too. Browsers send `Basic` by themselves, so it is not read elsewhere.

    Raises Unauthorized without a token, or with two Authorization headers. Header names are
    lower-case, as in ASGI.
    """
    found: dict[bytes, list[bytes]] = {b"authorization": [], _FIREHOSE_HEADER: []}
    for name, value in headers:
        if name in found:
            found[name].append(value.strip())
    values, firehose = found.values()
    if shippers and not values and len(firehose) == 1 and firehose[0]:
        return (firehose[0],)
    scheme, _, credentials = values[0].partition(b" ") if len(values) == 1 else (b"", b"", b"")
    read = (_SHIPPERS if shippers else _BEARER).get(scheme.lower())
    candidates = read(credentials.strip()) if read and credentials.strip() else ()
    if not candidates:
        raise unauthorized()
    return candidates


def unauthorized() -> Unauthorized:
    """The error for a caller without a valid token."""
    return Unauthorized("A valid bearer token is needed: Authorization: Bearer <token>.")
