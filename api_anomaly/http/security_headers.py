"""Headers that tell browsers to do nothing with an answer but show it to whoever asked."""

from typing import Final

#: For every answer.
SECURITY_HEADERS: Final = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
_NOTHING: Final = (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'")
#: The pages that show the document need their script, its styles and one picture.
_PAGES: Final = (
    b"content-security-policy",
    b"default-src 'none'; frame-ancestors 'none'; connect-src 'self'; img-src https: data:;"
    b" script-src 'unsafe-inline' https://cdn.jsdelivr.net; worker-src blob:;"
    b" style-src 'unsafe-inline' https://cdn.jsdelivr.net https://fonts.googleapis.com;"
    b" font-src https://fonts.gstatic.com",
)
_ONLY_TLS: Final = (b"strict-transport-security", b"max-age=31536000")
_PAGE_PATHS: Final = frozenset(("/docs", "/redoc"))


def _headers(policy: tuple[bytes, bytes], tls: bool) -> tuple[tuple[bytes, bytes], ...]:
    return (*SECURITY_HEADERS, policy, *((_ONLY_TLS,) if tls else ()))


#: By whether it is a page and whether it goes over TLS.
_MADE: Final = {
    (page, tls): _headers(_PAGES if page else _NOTHING, tls)
    for page in (False, True)
    for tls in (False, True)
}


def headers_for(path: str, scheme: str) -> tuple[tuple[bytes, bytes], ...]:
    """The headers of an answer under `path`."""
    return _MADE[path in _PAGE_PATHS, scheme == "https"]
