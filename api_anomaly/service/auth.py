"""Who may call: bearer tokens, several at once, compared in constant time."""

import hmac
from collections.abc import Iterable
from hashlib import sha256

from api_anomaly.service.refusals import Unauthorized


class Tokens:
    """The accepted tokens. Compared as SHA-256 digests, so a token's length does not show in the
    time either."""

    def __init__(self, tokens: Iterable[str]) -> None:
        self._digests = [_digest(token.encode()) for token in tokens]
        if not self._digests:
            raise ValueError("At least one token is needed.")

    def accepts(self, token: bytes) -> bool:
        """Whether `token` is one of them; every one is compared, whichever fits."""
        given = _digest(token)
        accepted = False
        for digest in self._digests:
            accepted |= hmac.compare_digest(given, digest)
        return accepted

    def check(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        """Raises Unauthorized unless exactly one Authorization header holds an accepted token.

        Header names are lower-case, as ASGI gives them.
        """
        values = [value for name, value in headers if name == b"authorization"]
        scheme, _, token = (
            values[0].strip().partition(b" ") if len(values) == 1 else (b"", b"", b"")
        )
        if scheme.lower() != b"bearer" or not self.accepts(token.strip()):
            raise Unauthorized("A valid bearer token is needed: Authorization: Bearer <token>.")


def _digest(token: bytes) -> bytes:
    return sha256(token).digest()
