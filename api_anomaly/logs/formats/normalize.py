"""Raw values of log lines -> the ten fields of a log, within the limits of the HTTP contract.

The service refuses a whole batch for one invalid log. Therefore every value is normalised before it
is sent: an invalid optional value becomes None, an invalid required value raises `ParseError`.
"""

import ipaddress
import math
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

from api_anomaly.logs.formats.format import Log, ParseError, Value

# Characters, as in the HTTP contract.
USER_LENGTH = 256
ENDPOINT_LENGTH = 8192
AGENT_LENGTH = 1024
METHOD_LENGTH = 32

_MISSING = frozenset({"", "-"})
_MONTHS = {
    name: number
    for number, name in enumerate(
        "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1
    )
}
_CLF_TIME = re.compile(
    r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d\d)(\d\d)", re.ASCII
)
_DIGITS = re.compile(r"\d{9,}(?:\.\d*)?", re.ASCII)
_ADDRESS_AND_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):\d{1,5}", re.ASCII)
_METHOD = re.compile(r"[A-Za-z][A-Za-z_-]*", re.ASCII)
# A number above this cannot be seconds (the year 5138): it counts milliseconds.
_LAST_SECONDS = 1e11


class RawLog(NamedTuple):
    """The values of one log as a format finds them; `method` and `endpoint` are normalised."""

    timestamp: Value
    method: str
    endpoint: str
    status: Value
    client: Value  # address or host name
    user: Value = None
    agent: Value = None
    seconds: float | None = None
    request_size: Value = None
    response_size: Value = None

    def normalize(self) -> Log:
        """The ten fields. A client that is a host name, not an address, stands in for the user."""
        client = text(self.client, USER_LENGTH)
        ip_address = address(client)
        user_id = text(self.user, USER_LENGTH) or (client if ip_address is None else None)
        if user_id is None and ip_address is None:
            raise ParseError("neither a user nor an address")
        return {
            "timestamp": timestamp(self.timestamp),
            "user_id": user_id,
            "endpoint": self.endpoint,
            "method": self.method,
            "status_code": status(self.status),
            "response_time": self.seconds,
            "ip_address": ip_address,
            "user_agent": text(self.agent, AGENT_LENGTH),
            "request_size": size(self.request_size),
            "response_size": size(self.response_size),
        }


def text(value: Value, length: int) -> str | None:
    """Valid Unicode text of at most `length` characters; None for a missing value."""
    if isinstance(value, list):
        value = value[0] if value else None
    if value is None or isinstance(value, (dict, list, bool)):
        return None
    result = str(value).strip()
    if result in _MISSING:
        return None
    # JSON can hold half a surrogate pair, which no UTF-8 body can carry.
    return result[:length].encode("utf-8", "replace").decode("utf-8")


def number(value: Value) -> float | None:
    """A finite number of at least 0; None for everything else (absent, `-`, -1, NaN)."""
    if value is None or isinstance(value, (bool, list, dict)):
        return None
    try:
        result = float(value)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) and result >= 0 else None


def size(value: Value) -> int | None:
    """Bytes below 2**62, or None."""
    result = number(value)
    return int(result) if result is not None and result < 2**62 else None


@lru_cache(maxsize=65_536)
def address(value: str | None) -> str | None:
    """An IP address in its canonical form, without port, brackets and zone; None if invalid."""
    if value is None:
        return None
    match = _ADDRESS_AND_PORT.fullmatch(value)
    bare = (match.group(1) or match.group(2)) if match else value.strip("[]")
    try:
        return str(ipaddress.ip_address(bare.partition("%")[0]))
    except ValueError:
        return None


def timestamp(value: Value) -> str:
    """ISO 8601 in UTC, from ISO 8601, `17/May/2015:10:05:03 +0000`, Unix seconds or milliseconds.

    A time without a zone is UTC. Raises ParseError.
    """
    try:
        if isinstance(value, str):
            return _iso(_parse_time(value.strip()))
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return _iso(_unix_time(float(value)))
    except (ValueError, OverflowError, OSError):
        pass
    raise ParseError(f"no time in {str(value)[:40]!r}")


def _parse_time(value: str) -> datetime:
    if _DIGITS.fullmatch(value):
        return _unix_time(float(value))
    clf = _CLF_TIME.fullmatch(value.strip("[]"))
    if clf:
        day, month, year, clock, hours, minutes = clf.groups()
        if month not in _MONTHS:
            raise ValueError(month)
        value = f"{year}-{_MONTHS[month]:02}-{day}T{clock}{hours}:{minutes}"
    time = datetime.fromisoformat(value)
    return time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)


def _unix_time(count: float) -> datetime:
    seconds = count / 1000 if count > _LAST_SECONDS else count
    return datetime.fromtimestamp(seconds, UTC)


def _iso(time: datetime) -> str:
    return time.isoformat().removesuffix("+00:00") + "Z"


def status(value: Value) -> int:
    """An HTTP status code, 100 to 599. Raises ParseError."""
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        try:
            code = int(value)
        except (ValueError, OverflowError):
            code = 0
        if 100 <= code <= 599:
            return code
    raise ParseError(f"no status code between 100 and 599 in {str(value)[:40]!r}")


def request_line(line: str) -> tuple[str, str]:
    """(method, endpoint) of `GET /a b HTTP/1.1`; ("-", the text) where it is no HTTP request.

    Such lines are kept: a connection that speaks another protocol (a TLS handshake on the plain
    port) is often a scanner, and the HTTP contract can carry it.
    """
    method, _, rest = line.strip().partition(" ")
    target, _, protocol = rest.rpartition(" ")
    if not protocol.startswith("HTTP/"):
        target = rest
    if target.strip() and len(method) <= METHOD_LENGTH and _METHOD.fullmatch(method):
        return method.upper(), endpoint(target)
    return "-", endpoint(line)


def endpoint(target: str) -> str:
    """The path with its query, at most `ENDPOINT_LENGTH`. Scheme and host of a URL are cut off."""
    target = target.strip()
    if target[:8].lower().startswith(("http://", "https://")):
        _, slash, path = target.partition("://")[2].partition("/")
        target = slash + path or "/"
    return text(target, ENDPOINT_LENGTH) or "-"
