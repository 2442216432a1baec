"""Response headers that tell browsers not to interpret, embed, cache or refer to a response."""

from typing import Final

#: For every response.
SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
_API_POLICY: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
#: The documentation pages need their script, its styles and one picture.
_PAGES_POLICY: Final = (
    b"content-security-policy",
    b"default-src 'none'; frame-ancestors 'none'; connect-src 'self'; img-src https: data:;"
    b" script-src 'unsafe-inline' https://cdn.jsdelivr.net; worker-src blob:;"
    b" style-src 'unsafe-inline' https://cdn.jsdelivr.net https://fonts.googleapis.com;"
    b" font-src https://fonts.gstatic.com",
)
_HSTS: Final = (b"strict-transport-security", b"max-age=31536000")
_PAGE_PATHS: Final = frozenset(("/docs", "/redoc"))


def _build(policy: tuple[bytes, bytes], tls: bool) -> tuple[tuple[bytes, bytes], ...]:
    return (*SECURITY_HEADERS, policy, *((_HSTS,) if tls else ()))


#: By whether the path is a documentation page and whether the connection is TLS.
_HEADERS: Final = {
    (page, tls): _build(_PAGES_POLICY if page else _API_POLICY, tls)
    for page in (False, True)
    for tls in (False, True)
}


def headers_for(path: str, scheme: str) -> tuple[tuple[bytes, bytes], ...]:
    """The security headers of a response to `path`."""
    return _HEADERS[path in _PAGE_PATHS, scheme == "https"]
