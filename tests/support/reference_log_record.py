"""Parsing one log, slowly and plainly: the same keys, templates and shapes as the kernels.

Written from the docstrings of `templates` and `log_record` with Python's own integers, bytes and
regular expressions.
"""

import ipaddress
import math
import re
from functools import lru_cache, reduce
from typing import Any, NamedTuple

MASK = (1 << 64) - 1
OFFSET, PRIME = 0xCBF29CE484222325, 0x100000001B3
IDENTIFIER = 0xFFF1
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "CONNECT", "TRACE")
LARGEST = 1e15

_PLAIN = rb"A-Za-z_.~+,:@!*"
_USUAL = re.compile(rb"[" + _PLAIN + rb"0-9/?&;=-]")


def mix(key: int) -> int:
    """The finaliser of MurmurHash3."""
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        key = (key ^ key >> 33) * factor & MASK
    return key ^ key >> 33


def fnv(data: bytes, key: int = OFFSET) -> int:
    """64-bit FNV-1a."""
    for byte in data:
        key = (key ^ byte) * PRIME & MASK
    return key


def join(first: int, second: int) -> int:
    """One key of two."""
    return mix(first * PRIME & MASK ^ (second + OFFSET) & MASK)


@lru_cache(maxsize=None)
def text_key(text: bytes, salt: int) -> int:
    return mix(fnv(text, OFFSET ^ salt))


@lru_cache(maxsize=None)
def agent_family(agent: bytes) -> int:
    """Key of a user agent without its versions."""
    return mix(fnv(re.sub(rb"[0-9._]", b"", agent)))


def is_identifier(segment: bytes) -> bool:
    """A UUID, a long hexadecimal number or a long mixed token."""
    digits = len(re.findall(rb"[0-9]", segment))
    if not digits or not re.search(rb"[" + _PLAIN + rb"]", segment):
        return False
    if re.fullmatch(rb"[0-9a-fA-F&;=-]{8,}", segment):
        return True
    return digits >= 3 and bool(re.fullmatch(rb"[" + _PLAIN + rb"0-9&;=-]{20,}", segment))


def segments(endpoint: bytes) -> list[bytes]:
    """The parts of the path."""
    return [part for part in endpoint.split(b"?")[0].split(b"/") if part]


@lru_cache(maxsize=None)
def template_key(endpoint: bytes) -> int:
    """Key of the path with its identifiers folded."""
    key = OFFSET
    for part in segments(endpoint):
        folded = mix(fnv(re.sub(rb"[0-9]+", b"0", part)))
        key = (key ^ (IDENTIFIER if is_identifier(part) else folded)) * PRIME & MASK
    return mix(key)


@lru_cache(maxsize=None)
def last_number(endpoint: bytes) -> float | None:
    """The last run of digits."""
    runs = re.findall(rb"[0-9]+", endpoint)
    return reduce(lambda value, digit: value * 10.0 + (digit - 48), runs[-1], 0.0) if runs else None


@lru_cache(maxsize=None)
def unusual_characters(endpoint: bytes) -> int:
    """How many bytes do not occur in a plain path or query."""
    return len(endpoint) - len(_USUAL.findall(endpoint))


@lru_cache(maxsize=None)
def longest_token(endpoint: bytes) -> int:
    """Bytes of the longest run between separators."""
    return max(map(len, re.split(rb"[/?&;=]", endpoint)))


class Address(NamedTuple):
    """The two words of an address, and its network (/24, for IPv6 /48)."""

    high: int
    low: int
    network: int


@lru_cache(maxsize=None)
def address_of(text: str | None) -> Address | None:
    """None when unknown; ``::`` is unknown."""
    number = 0
    if text:
        parsed = ipaddress.ip_address(text)
        number = int(parsed) + (0xFFFF << 32 if parsed.version == 4 else 0)
    is_ipv4 = number >> 32 == 0xFFFF
    network = number >> 8 & MASK if is_ipv4 else number >> 80
    return Address(number >> 64, number & MASK, network) if number else None


class ParsedLog(NamedTuple):
    """What the extraction needs of one log; None is unknown."""

    time: float
    user: int
    address: int
    network: int
    user_agent: int
    has_user_agent: bool
    template: int
    endpoint: int
    url: int
    status: int
    method: int
    seconds: float | None
    request_bytes: float | None
    response_bytes: float | None
    number: float | None
    length: int
    depth: int
    parameters: int
    unusual_characters: int
    longest_token: int


def _client(log: dict[str, Any]) -> tuple[int, int, int]:
    """Keys of user, address and network."""
    user, address = log["user_id"], address_of(log["ip_address"])
    key = join(join(address.high, address.low), 3) if address else join(join(0, 0), 3)
    name = text_key(encoded(user), 1) if user else join(key, 3)
    if not address:
        key = join(name, 3)
    return name, key, join(address.network if address else key, 4)


def encoded(text: str | None) -> bytes:
    return (text or "").encode("utf-8", "surrogatepass")


def _amount(value: float | None) -> float | None:
    unknown = value is None or math.isnan(value) or value < 0
    return None if unknown else min(float(value), LARGEST)


def parse(log: dict[str, Any]) -> ParsedLog:
    """One log of the HTTP contract's fields; `time` is in Unix seconds."""
    endpoint, user_agent = encoded(log["endpoint"]), encoded(log["user_agent"])
    user, address, network = _client(log)
    method = METHODS.index(log["method"]) if log["method"] in METHODS else len(METHODS)
    template = join(template_key(endpoint), 5)
    query = re.search(rb"\?.*", endpoint, re.DOTALL)
    return ParsedLog(
        time=log["time"],
        user=user,
        address=address,
        network=network,
        user_agent=agent_family(user_agent),
        has_user_agent=len(user_agent) > 1,
        template=template,
        endpoint=join(template, method),
        url=text_key(endpoint, 2),
        status=log["status_code"],
        method=method,
        seconds=_amount(log["response_time"]),
        request_bytes=_amount(log["request_size"]),
        response_bytes=_amount(log["response_size"]),
        number=last_number(endpoint),
        length=len(endpoint),
        depth=len(segments(endpoint)),
        parameters=len(re.findall(rb"[?&;]", query[0])) if query else 0,
        unusual_characters=unusual_characters(endpoint),
        longest_token=longest_token(endpoint),
    )
