"""Who may call: bearer tokens, several at once, each with an id and scopes.

A token is looked up by its SHA-256 digest: how long that takes depends on the digest, which nobody
can steer towards a token's, and neither on the token nor on how much of it was guessed.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import NamedTuple

from api_anomaly.errors import Unauthorized
from api_anomaly.http.auth.scopes import ADMIN, METRICS


class Caller(NamedTuple):
    """Whoever holds a token: the id that the audit names, what it may do, and whose idempotency
    keys it uses, which stays when a token is replaced under the same id."""

    id: str
    scopes: frozenset[str]
    owner: str


class Tokens:
    """The accepted tokens. Those from the environment hold every scope; the entries of the token
    file, which `replace_entries` changes while the service runs, hold their own."""

    def __init__(
        self, tokens: Iterable[str], metrics: Iterable[str] = (), entries_follow: bool = False
    ) -> None:
        """`entries_follow`: no token now is no mistake, a file will bring some."""
        self._fixed = _numbered(tokens, "env", ADMIN) | _numbered(metrics, "metrics", METRICS)
        self._callers = dict(self._fixed)
        if not self._fixed and not entries_follow:
            raise ValueError("At least one token is needed.")

    def replace_entries(self, entries: Mapping[bytes, Caller]) -> None:
        """Accept `entries`, callers by the digest of their token, instead of those before."""
        self._callers = dict(entries) | self._fixed

    def caller(self, token: bytes) -> Caller | None:
        """Who holds `token`, if it is accepted."""
        return self._callers.get(token_digest(token))


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> bytes:
    """The token of the one Authorization header. Raises Unauthorized when there is none.

    Header names are lower-case, as ASGI gives them.
    """
    values = [value for name, value in headers if name == b"authorization"]
    scheme, _, token = values[0].strip().partition(b" ") if len(values) == 1 else (b"", b"", b"")
    if scheme.lower() != b"bearer" or not token.strip():
        raise unauthorized()
    return token.strip()


def unauthorized() -> Unauthorized:
    """The refusal of a caller without a valid token."""
    return Unauthorized("A valid bearer token is needed: Authorization: Bearer <token>.")


def token_digest(token: bytes) -> bytes:
    """What is kept of a token. Tokens are random, so there is nothing to salt or to slow down."""
    return sha256(token).digest()


def _numbered(tokens: Iterable[str], name: str, scope: str) -> dict[bytes, Caller]:
    """The id is the place in the list: nothing that is derived from a token belongs in a log."""
    held = frozenset((scope,))
    digests = [token_digest(token.encode()) for token in tokens]
    return {
        digest: Caller(f"{name}-{place}", held, f"{name}:{digest.hex()}")
        for place, digest in enumerate(digests, 1)
    }
