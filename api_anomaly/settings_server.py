"""The settings of the door: where the service listens, who may come in, and how many at once.

They come first in `settings.Settings`, which says how all of them are read.
"""

from dataclasses import dataclass
from pathlib import Path

from api_anomaly.environment import (
    Secrets,
    SettingsError,
    between,
    networks,
    one_worker,
    origins,
    setting,
    whole,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class DoorSettings:
    """Listening, access and overload."""

    host: str = setting(
        "HOST",
        "0.0.0.0",  # nosec B104
        str,
        "Server",
        "Address to listen on; the default is every interface, as a container needs.",
    )
    port: int = setting("PORT", 8000, whole(1, 65_535), "Server", "Port to listen on.")
    workers: int = setting(
        "WORKERS",
        1,
        one_worker,
        "Server",
        "Only 1 is accepted (`WEB_CONCURRENCY` too): what users did lately is in the process.",
    )
    ssl_certfile: Path | None = setting(
        "SSL_CERTFILE",
        None,
        Path,
        "Server",
        "PEM file of the certificate chain; with `SSL_KEYFILE` the server speaks TLS.",
    )
    ssl_keyfile: Path | None = setting(
        "SSL_KEYFILE", None, Path, "Server", "PEM file of the certificate's private key."
    )

    trusted_proxies: tuple[str, ...] = setting(
        "TRUSTED_PROXIES",
        (),
        networks,
        "Server",
        "Addresses or networks of proxies whose `X-Forwarded-For` names the caller, with commas;"
        " without one every caller behind a proxy has the proxy's address.",
    )
    cors_origins: tuple[str, ...] = setting(
        "CORS_ORIGINS",
        (),
        origins,
        "Server",
        "Web pages that may call from a browser, as origins (`https://ops.example.org`),"
        " comma-separated; unset: none.",
    )

    auth_token: tuple[str, ...] = setting(
        "AUTH_TOKEN",
        (),
        Secrets(1),
        "Access",
        "Accepted bearer tokens, comma-separated: add a new one before the old one goes.",
        "made at first start, kept in `auth_token` beside the model, shown once",
    )
    tokens_file: Path | None = setting(
        "TOKENS_FILE",
        None,
        Path,
        "Access",
        "File of hashed tokens with scopes, read again when it changes; see docs/operations.md.",
    )
    metrics_token: tuple[str, ...] = setting(
        "METRICS_TOKEN",
        (),
        Secrets(1),
        "Access",
        "When set, `/metrics` needs one of these (comma-separated) or a token that may read.",
        "unset: `/metrics` is open",
    )
    auth_failures_per_minute: int = setting(
        "AUTH_FAILURES_PER_MINUTE",
        60,
        whole(1, 1_000_000),
        "Access",
        "Wrong tokens from one address in a minute; more are 429, and tokens under 20 characters"
        " are then refused from there unread.",
    )

    max_connections: int = setting(
        "MAX_CONNECTIONS",
        1_000,
        whole(1, 100_000),
        "Overload",
        "Open connections; beyond it the one that waits longest for a request makes room.",
    )
    max_open_requests: int = setting(
        "MAX_OPEN_REQUESTS",
        256,
        whole(1, 100_000),
        "Overload",
        "Requests that are answered at once; more are 503 at once, but for `/health`.",
    )
    max_open_bytes: int = setting(
        "MAX_OPEN_BYTES",
        256 * 1024 * 1024,
        whole(1, 2**40),
        "Overload",
        "Bytes of bodies of `/detect` that are held at once; what comes on top is 503, but a single"
        " request always fits.",
    )
    max_wait_seconds: float = setting(
        "MAX_WAIT_SECONDS",
        0.5,
        between(0, 3_601),
        "Overload",
        "Seconds of work that may wait behind the batch being scored, reckoned from the last ones;"
        " more is 503 at once.",
    )
    header_seconds: float = setting(
        "HEADER_SECONDS",
        10.0,
        between(0, 3_601),
        "Overload",
        "Seconds in which a request's headers must have come; then the connection is closed.",
    )
    body_seconds: float = setting(
        "BODY_SECONDS",
        20.0,
        between(0, 86_401),
        "Overload",
        "Seconds that a body may take besides one for each 16 KiB that came; then 408.",
    )
    max_header_bytes: int = setting(
        "MAX_HEADER_BYTES",
        32 * 1024,
        whole(1_024, 2**24),
        "Overload",
        "Bytes in a request's line and headers; more is 431.",
    )

    def __post_init__(self) -> None:
        if (self.ssl_certfile is None) != (self.ssl_keyfile is None):
            raise SettingsError("SSL_CERTFILE and SSL_KEYFILE belong together: set both or none.")
