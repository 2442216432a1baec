"""Authentication and authorization of a request, and the limit on failed attempts."""

import time

from starlette.types import Scope

from api_anomaly.errors import Forbidden, TooManyAttempts, Unauthorized
from api_anomaly.http.auth.rate_limit import LoginRateLimiter
from api_anomaly.http.auth.schemes import presented_tokens, unauthorized
from api_anomaly.http.auth.scopes import INGEST, METRICS, allows
from api_anomaly.http.auth.tokens import MIN_STRONG_CHARACTERS, Caller, Tokens
from api_anomaly.telemetry.metrics import Metrics


class Authenticator:
    """Compares tokens with the accepted ones and counts failures."""

    def __init__(
        self, tokens: Tokens, rate_limiter: LoginRateLimiter, metrics_public: bool, metrics: Metrics
    ) -> None:
        """`metrics_public`: the scope `metrics` needs no token."""
        self._tokens = tokens
        self._rate_limiter = rate_limiter
        self._metrics_public = metrics_public
        self._metrics = metrics

    def authorize(self, scope: Scope, needed: str) -> None:
        """Check that the caller holds the scope `needed`, and keep the caller in the state.

        Raises Unauthorized, TooManyAttempts, or Forbidden.
        """
        if needed == METRICS and self._metrics_public:
            return
        caller = self._authenticate(scope, shippers=needed == INGEST)
        scope["state"]["caller"] = caller
        if not allows(caller.scopes, needed):
            self._metrics.count("auth_failures_total", "scope")
            raise Forbidden(f"This token is not for that: it lacks the scope {needed!r}.")

    def _authenticate(self, scope: Scope, shippers: bool) -> Caller:
        try:
            candidates = presented_tokens(scope["headers"], shippers)
        except Unauthorized:
            # Without a token there was no attempt, so the address is not charged with one.
            self._metrics.count("auth_failures_total", "missing")
            raise
        address, now = (scope.get("client") or ("", 0))[0], time.monotonic()
        exhausted = self._rate_limiter.exhausted(address, now)
        # A short token could be found by trying, so it is no longer compared. A long one is: no
        # number of attempts finds it, and one outdated client must not lock out all others
        # behind the same address.
        for token in candidates:
            guessable = len(token) < MIN_STRONG_CHARACTERS
            caller = None if exhausted and guessable else self._tokens.caller(token)
            if caller is not None:
                return caller
        self._rate_limiter.failed(address, now)
        self._metrics.count("auth_failures_total", "limited" if exhausted else "wrong")
        if exhausted:
            raise TooManyAttempts("Too many wrong tokens came from this address. Wait a minute.")
        raise unauthorized()
