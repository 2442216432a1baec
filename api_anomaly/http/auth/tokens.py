"""Tokens: several are accepted at once, each with an id and scopes.

Tokens are looked up by their SHA-256 digest. The time of a lookup depends on the digest only, so it
reveals nothing about an accepted token.
"""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from typing import NamedTuple

from api_anomaly.http.auth.scopes import ADMIN, METRICS

#: Tokens of at least this length cannot be found by trying.
MIN_STRONG_CHARACTERS = 20


class Caller(NamedTuple):
    """The holder of a token. `id` is named in the audit log. `owner` separates the idempotency
    keys of callers; it stays the same when a token is replaced under the same id."""

    id: str
    scopes: frozenset[str]
    owner: str


class Tokens:
    """The accepted tokens. Those from the environment have all scopes; those of the token file,
    which `replace_entries` changes while the service runs, have the scopes of their entry."""

    def __init__(
        self,
        tokens: Iterable[str],
        metrics_tokens: Iterable[str] = (),
        entries_follow: bool = False,
    ) -> None:
        """Raises ValueError without any token, unless `entries_follow` from a token file."""
        from_environment = _callers(tokens, "env", ADMIN)
        self._fixed = from_environment | _callers(metrics_tokens, "metrics", METRICS)
        self._callers = dict(self._fixed)
        if not self._fixed and not entries_follow:
            raise ValueError("At least one token is needed.")

    def replace_entries(self, entries: Mapping[bytes, Caller]) -> None:
        """Accept the callers in `entries`, by token digest, instead of the earlier entries."""
        self._callers = dict(entries) | self._fixed

    def caller(self, token: bytes) -> Caller | None:
        """The holder of `token`, or None if it is not accepted."""
        return self._callers.get(token_digest(token))


def token_digest(token: bytes) -> bytes:
    """SHA-256 of a token. Tokens are random, so a salt or a slow hash would add nothing."""
    return sha256(token).digest()


def _callers(tokens: Iterable[str], name: str, scope: str) -> dict[bytes, Caller]:
    """Ids are positions in the list, because nothing derived from a token may be logged."""
    scopes = frozenset((scope,))
    digests = [token_digest(token.encode()) for token in tokens]
    return {
        digest: Caller(f"{name}-{position}", scopes, f"{name}:{digest.hex()}")
        for position, digest in enumerate(digests, 1)
    }
