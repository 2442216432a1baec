"""The door: who calls, may they, and how often may they try."""

import time

from starlette.types import Scope

from api_anomaly.http.auth.rate_limit import LoginRateLimiter
from api_anomaly.http.auth.tokens import Caller, Tokens, bearer_token, unauthorized
from api_anomaly.telemetry.metrics import Metrics
from api_anomaly.errors import Forbidden, TooManyAttempts, Unauthorized
from api_anomaly.http.auth.scopes import allows, needed

#: Tokens shorter than this could be guessed by trying. An address that failed too often is not
#: even asked for one of them; a longer token is still compared, because no number of tries finds
#: it, and one forgotten shipper must not lock out all others behind the same address.
GUESSABLE_CHARACTERS = 20


class Authenticator:
    """Knows the tokens and counts what fails."""

    def __init__(self, tokens: Tokens, attempts: LoginRateLimiter, metrics: Metrics) -> None:
        self._tokens = tokens
        self._attempts = attempts
        self._metrics = metrics

    def admit(self, scope: Scope) -> Caller:
        """Whoever made the request, noted in its state.

        Raises Unauthorized, TooManyAttempts, or Forbidden when the token lacks the scope.
        """
        caller = self._caller(scope)
        scope["state"]["caller"] = caller
        wanted = needed(scope["route"].path)
        if not allows(caller.scopes, wanted):
            self._metrics.count("auth_failures_total", "scope")
            raise Forbidden(f"This token is not for that: it lacks the scope {wanted!r}.")
        return caller

    def _caller(self, scope: Scope) -> Caller:
        try:
            token = bearer_token(scope["headers"])
        except Unauthorized:
            # Nothing was tried, so nothing is counted against the address.
            self._metrics.count("auth_failures_total", "missing")
            raise
        address, now = (scope.get("client") or ("", 0))[0], time.monotonic()
        exhausted = self._attempts.exhausted(address, now)
        guessable = exhausted and len(token) < GUESSABLE_CHARACTERS
        caller = None if guessable else self._tokens.caller(token)
        if caller is not None:
            return caller
        self._attempts.failed(address, now)
        self._metrics.count("auth_failures_total", "limited" if exhausted else "wrong")
        if exhausted:
            raise TooManyAttempts("Too many wrong tokens came from this address. Wait a minute.")
        raise unauthorized()
