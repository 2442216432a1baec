"""What the variables of servers' own log directives mean.

Sources: nginx.org (ngx_http_core_module, ngx_http_log_module, ngx_http_upstream_module variables),
httpd.apache.org/docs/2.4/mod/mod_log_config.html, envoyproxy.io (access_log/usage).
"""

import re
from typing import NamedTuple

WORD = r"[^\s\"]*?"
NUMBER = r"[-+.\d]*"
#: `0.1, 0.2 : -`: one number for each server that was asked.
NUMBERS = r"[-.\d]*(?:(?:, | : )[-.\d]+)*"
OPTIONAL_MARK = r"\??"
#: Texts that may hold spaces outside of quotes.
SPACED = "spaced"
LIST = r"[^\s\",]*(?:, ?[^\s\",]+)*"
CLF_TIME = r"\[?\d\d?/[A-Za-z]{3}/\d{4}:\d\d:\d\d:\d\d(?:\.\d+)? [+-]\d{4}\]?"


class Field(NamedTuple):
    """What one variable is. Of fields of one role the lowest `rank` that holds a value is taken."""

    role: str  # "" = not used
    pattern: str = WORD
    rank: int = 0
    unit: float = 1.0  # of durations, in seconds
    form: str = ""  # of times, for strptime


UNUSED = Field("", SPACED)

NGINX: dict[str, Field] = {
    "remote_addr": Field("client"),
    "proxy_protocol_addr": Field("client", rank=1),
    "realip_remote_addr": Field("client", rank=2),
    "remote_user": Field("user", SPACED),
    "jwt_claim_sub": Field("user", SPACED, rank=1),
    "msec": Field("time", NUMBER),
    "time_iso8601": Field("time", rank=1),
    "time_local": Field("time", CLF_TIME, rank=2),
    "request": Field("request", SPACED),
    "request_method": Field("method"),
    "request_uri": Field("target", SPACED),
    "uri": Field("path", SPACED),
    "document_uri": Field("path", SPACED),
    "args": Field("query", SPACED),
    "query_string": Field("query", SPACED, rank=1),
    "is_args": Field("", OPTIONAL_MARK),
    "status": Field("status", NUMBER),
    "http_user_agent": Field("agent", SPACED),
    "request_time": Field("seconds", NUMBER),
    "upstream_response_time": Field("seconds", NUMBERS, rank=1),
    "upstream_connect_time": Field("", NUMBERS),
    "upstream_header_time": Field("", NUMBERS),
    "upstream_status": Field("", NUMBERS),
    "request_length": Field("request_size", NUMBER),
    "body_bytes_sent": Field("response_size", NUMBER),
    "bytes_sent": Field("response_size", NUMBER, rank=1),
    "http_x_forwarded_for": Field("forwarded", LIST),
    "proxy_add_x_forwarded_for": Field("forwarded_and_peer", LIST),
}

#: By letter; `%{NAME}i` and `%{FORM}t` are in the functions below.
APACHE: dict[str, Field] = {
    "a": Field("client"),
    "h": Field("client", rank=1),
    "u": Field("user", SPACED),
    "t": Field("time", CLF_TIME, rank=3),
    "r": Field("request", SPACED),
    "m": Field("method"),
    "U": Field("path", SPACED),
    "q": Field("query"),
    "s": Field("status", NUMBER),
    "b": Field("response_size", NUMBER),
    "B": Field("response_size", NUMBER),
    "O": Field("response_size", NUMBER, rank=1),
    "I": Field("request_size", NUMBER),
    "D": Field("seconds", NUMBER, unit=1e-6),
    "T": Field("seconds", NUMBER, rank=3),
}
_APACHE_HEADERS = {
    "user-agent": Field("agent", SPACED),
    "x-forwarded-for": Field("forwarded", LIST),
}
_APACHE_UNITS = {"ms": (1e-3, 1), "us": (1e-6, 0), "s": (1.0, 3)}

ENVOY: dict[str, Field] = {
    "START_TIME": Field("time"),
    "RESPONSE_CODE": Field("status", NUMBER),
    "BYTES_RECEIVED": Field("request_size", NUMBER),
    "BYTES_SENT": Field("response_size", NUMBER),
    "DURATION": Field("seconds", NUMBER, unit=1e-3),
    "DOWNSTREAM_REMOTE_ADDRESS": Field("client"),
    "DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT": Field("client"),
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS": Field("client", rank=1),
    "DOWNSTREAM_DIRECT_REMOTE_ADDRESS_WITHOUT_PORT": Field("client", rank=1),
}
_ENVOY_HEADERS = {
    ":method": Field("method"),
    "x-envoy-original-path": Field("target", SPACED),
    ":path": Field("target", SPACED, rank=1),
    "user-agent": Field("agent", SPACED),
    # Envoy appended its peer.
    "x-forwarded-for": Field("forwarded_and_peer", LIST),
}


def nginx_field(name: str) -> Field:
    """The field of `$name`."""
    return NGINX.get(name, UNUSED)


def apache_field(argument: str, letter: str) -> Field:
    """The field of `%letter` or `%{argument}letter`."""
    if letter == "i":
        return _APACHE_HEADERS.get(argument.lower(), UNUSED)
    if letter == "T" and argument in _APACHE_UNITS:
        unit, rank = _APACHE_UNITS[argument]
        return Field("seconds", NUMBER, rank, unit)
    if letter == "t" and argument:
        return _apache_time(argument)
    if letter == "a" and argument == "c":
        return Field("client", rank=2)
    return APACHE.get(letter, UNUSED)


def _apache_time(argument: str) -> Field:
    form = re.sub("^(begin|end):?", "", argument)
    if form in ("sec", "msec", "usec"):
        return Field("time", NUMBER, rank=("usec", "msec", "sec").index(form))
    if form in ("msec_frac", "usec_frac"):
        return Field("fraction", NUMBER, unit=1e-3 if form == "msec_frac" else 1e-6)
    return Field("strftime", SPACED, form=form) if form else APACHE["t"]


def envoy_field(name: str, argument: str) -> Field:
    """The field of `%NAME%` or `%NAME(argument)%`."""
    if name == "REQ":
        names = argument.lower().split("?")
        known = [_ENVOY_HEADERS[header] for header in names if header in _ENVOY_HEADERS]
        return known[0] if known else UNUSED
    if name == "START_TIME" and argument and not argument.startswith("%s"):
        return Field("strftime", SPACED, form=re.sub("%[0-9]f", "%f", argument))
    return ENVOY.get(name, UNUSED)
