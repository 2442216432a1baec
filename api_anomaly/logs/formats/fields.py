"""Values as they stand in log files -> the contract's ten fields, or a `BadLine` that says why not.

The service refuses a whole batch for one faulty log. So every value is put in order here, before
it is sent: a bad optional value becomes unknown, a bad required value makes the line a bad line.
"""

import ipaddress
import math
import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import NamedTuple

USER_LENGTH = 256
ENDPOINT_LENGTH = 8192
AGENT_LENGTH = 1024
METHOD_LENGTH = 32

Value = str | int | float | bool | None | list["Value"] | dict[str, "Value"]
Log = dict[str, str | int | float | None]

_NOTHING = frozenset({"", "-"})
_MONTHS = {
    name: number
    for number, name in enumerate(
        "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1
    )
}
_CLF_TIME = re.compile(
    r"(\d\d)/([A-Z][a-z]{2})/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d\d)(\d\d)", re.ASCII
)
_COUNT = re.compile(r"\d{9,}(?:\.\d*)?", re.ASCII)
_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):\d{1,5}", re.ASCII)
_METHOD = re.compile(r"[A-Za-z][A-Za-z_-]*", re.ASCII)
# A number above this cannot be seconds (the year 5138): it counts milliseconds.
_SECONDS_END = 1e11


class BadLine(Exception):
    """A line that cannot become a log; the text is the reason, for people."""


class Truth(NamedTuple):
    """What a labelled file knows of a log. Kept aside for the report, never sent."""

    label: int | None  # 1 attack, 0 benign, None unknown
    attack: str | None  # the family of the attack
    actor: str | None  # who did it, where the file says so
    case: str | None  # which hard case of ordinary behaviour, in simulated files

    @property
    def words(self) -> str:
        """For people: the family of the attack, or `ordinary` with its hard case."""
        if self.label is None:
            return "unknown"
        if self.label == 1:
            return f"attack: {self.attack or 'unnamed'}"
        return f"ordinary: {self.case}" if self.case else "ordinary"


class Parsed(NamedTuple):
    """One log in the contract's fields and what the file says about it."""

    log: Log
    truth: Truth | None


def text(value: Value, length: int) -> str | None:
    """Valid Unicode text of at most `length` characters; None where there is nothing."""
    if isinstance(value, list):
        value = value[0] if value else None
    if value is None or isinstance(value, (dict, list, bool)):
        return None
    words = str(value).strip()
    if words in _NOTHING:
        return None
    # JSON can hold half a surrogate pair, which no UTF-8 body can carry.
    return words[:length].encode("utf-8", "replace").decode("utf-8")


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
    """Bytes, or None. Sizes beyond 2**62 are not sizes."""
    result = number(value)
    return int(result) if result is not None and result < 2**62 else None


@lru_cache(maxsize=65_536)
def address(words: str | None) -> str | None:
    """An IP address in its usual form, without port, brackets and zone; None if it is none."""
    if words is None:
        return None
    with_port = _PORT.fullmatch(words)
    plain = (with_port.group(1) or with_port.group(2)) if with_port else words.strip("[]")
    try:
        return str(ipaddress.ip_address(plain.partition("%")[0]))
    except ValueError:
        return None


def moment(value: Value) -> str:
    """ISO 8601 in UTC out of ISO 8601, `17/May/2015:10:05:03 +0000`, Unix seconds, milliseconds."""
    try:
        if isinstance(value, str):
            return _spoken_moment(value.strip())
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            return _counted_moment(float(value))
    except (ValueError, OverflowError, OSError):
        pass
    raise BadLine(f"no time in {str(value)[:40]!r}")


def _spoken_moment(words: str) -> str:
    if _COUNT.fullmatch(words):
        return _counted_moment(float(words))
    clf = _CLF_TIME.fullmatch(words.strip("[]"))
    if clf:
        day, month, year, clock, hours, minutes = clf.groups()
        if month not in _MONTHS:
            raise ValueError(month)
        words = f"{year}-{_MONTHS[month]:02}-{day}T{clock}{hours}:{minutes}"
    when = datetime.fromisoformat(words)
    # A time without a zone means UTC, as in the contract.
    return _written(when.replace(tzinfo=UTC) if when.tzinfo is None else when.astimezone(UTC))


def _counted_moment(count: float) -> str:
    seconds = count / 1000 if count > _SECONDS_END else count
    return _written(datetime.fromtimestamp(seconds, UTC))


def _written(when: datetime) -> str:
    return when.isoformat().removesuffix("+00:00") + "Z"


def status(value: Value) -> int:
    """An HTTP status code, 100 to 599."""
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        try:
            code = int(value)
        except (ValueError, OverflowError):
            code = 0
        if 100 <= code <= 599:
            return code
    raise BadLine(f"no status code between 100 and 599 in {str(value)[:40]!r}")


def request_line(line: str) -> tuple[str, str]:
    """`GET /a b HTTP/1.1` -> (method, endpoint). What is no request (a TLS hello) -> ("-", text).

    Such lines are kept: a connection that speaks no HTTP is often a scanner, and the contract can
    carry it.
    """
    method, _, rest = line.strip().partition(" ")
    target, _, protocol = rest.rpartition(" ")
    if not protocol.startswith("HTTP/"):
        target = rest
    if target.strip() and len(method) <= METHOD_LENGTH and _METHOD.fullmatch(method):
        return method.upper(), endpoint(target)
    return "-", endpoint(line)


def endpoint(target: str) -> str:
    """The path with its query, cut to the contract's length. A full URL loses scheme and host."""
    target = target.strip()
    if target[:8].lower().startswith(("http://", "https://")):
        _, slash, path = target.partition("://")[2].partition("/")
        target = slash + path or "/"
    return text(target, ENDPOINT_LENGTH) or "-"


def log(
    *,
    timestamp: Value,
    user: Value,
    client: Value,
    method: str,
    target: str,
    code: Value,
    agent: Value = None,
    seconds: float | None = None,
    received: Value = None,
    sent: Value = None,
) -> Log:
    """One log in the contract's fields.

    A client that is a host name, not an address, stands in for the user.
    """
    client_words = text(client, USER_LENGTH)
    ip_address = address(client_words)
    user_id = text(user, USER_LENGTH) or (client_words if ip_address is None else None)
    if user_id is None and ip_address is None:
        raise BadLine("neither a user nor an address")
    return {
        "timestamp": moment(timestamp),
        "user_id": user_id,
        "endpoint": target,
        "method": method,
        "status_code": status(code),
        "response_time": seconds,
        "ip_address": ip_address,
        "user_agent": text(agent, AGENT_LENGTH),
        "request_size": size(received),
        "response_size": size(sent),
    }
