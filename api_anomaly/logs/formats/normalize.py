"""Raw values of log lines -> the ten fields of a log, within the limits of the HTTP contract.

An invalid optional value becomes None; an invalid required value raises `ParseError`, whose text
never repeats the value. `normalize` works column by column, so that each small function runs in one
comprehension; the functions of values that repeat in a log are cached.
"""

import ipaddress
import math
import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import NamedTuple, TypeVar, cast

from api_anomaly.logs.formats.format import (
    LineError,
    Network,
    ParseError,
    RawLog,
    ReadOptions,
    Value,
)
from api_anomaly.logs.records import Records

# Characters, as in the HTTP contract.
USER_LENGTH = 256
ENDPOINT_LENGTH = 8192
AGENT_LENGTH = 1024
METHOD_LENGTH = 32

_MISSING = frozenset({"", "-", "--"})
#: What servers write where no status was sent to the client.
_NO_STATUS: frozenset[Value] = frozenset({"0", "000", "-1", "-", 0, -1})
_CODES = {str(code): code for code in range(100, 600)}
_SECONDS = {f":{second:02}": min(second, 59) for second in range(61)}
_TEXT_TYPES = frozenset({str, type(None)})
_LIST = ","  # stands for a list of addresses
Result = TypeVar("Result")
#: Longer texts are no address, method or host name, and are kept out of the caches.
_CACHED_LENGTH = 256
_MONTHS = {
    name: number
    for number, name in enumerate(
        "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split(), start=1
    )
}
_CLF_TIME = re.compile(
    r"(\d\d?/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d):(\d\d(?:\.\d{1,9})?)(?: ([+-]\d\d):?(\d\d))?", re.ASCII
)
_DIGITS = re.compile(r"\d{9,20}(?:\.\d*)?", re.ASCII)
_ADDRESS_AND_PORT = re.compile(r"(?:\[([0-9A-Fa-f:.%\w]+)\]|([0-9.]+)):\d{1,5}", re.ASCII)
_HOST_NAME = re.compile(r"(?=.*[A-Za-z])[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*\.?", re.ASCII)
_METHOD = re.compile(r"[A-Za-z][A-Za-z_-]*", re.ASCII)
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,15}://[^/?#]*", re.ASCII)
#: Numbers of time below each limit count this many a second.
_UNITS = ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6), (math.inf, 1e9))
#: Unix seconds of the years 1 to 9999.
_FIRST_TIME, _LAST_TIME = -62_135_596_800.0, 253_402_300_799.0


class RawColumns(NamedTuple):
    """n raw logs as columns, in the order of the fields of RawLog."""

    timestamp: Sequence[Value]
    method: Sequence[Value]
    endpoint: Sequence[Value]
    status: Sequence[Value]
    client: Sequence[Value]
    user: Sequence[Value]
    agent: Sequence[Value]
    seconds: Sequence[float | None]
    request_size: Sequence[Value]
    response_size: Sequence[Value]
    forwarded: Sequence[Value]
    no_status: Sequence[int]


class Normalized(NamedTuple):
    """n logs, the lines that are none, how many logs had no status, and whether a list of addresses
    stood where a client's address should."""

    records: Records
    errors: list[LineError]
    no_status: int = 0
    has_list: bool = False


def normalize(raws: Sequence[RawLog], positions: Sequence[int], options: ReadOptions) -> Normalized:
    """The logs of `raws`; an invalid one becomes a LineError and costs no other."""
    if not raws:
        return Normalized(_no_records(), [])
    try:
        return normalize_columns(RawColumns(*zip(*raws, strict=True)), positions, options)
    except ParseError as error:
        if len(raws) == 1:
            return Normalized(_no_records(), [LineError(positions[0], str(error))])
    middle = len(raws) // 2
    return _both(
        normalize(raws[:middle], positions[:middle], options),
        normalize(raws[middle:], positions[middle:], options),
    )


def normalize_columns(
    raw: RawColumns, positions: Sequence[int], options: ReadOptions
) -> Normalized:
    """The logs of columns. Raises ParseError when one of them is invalid."""
    peers = _each(address_or_list, raw.client)
    has_list = _LIST in peers
    if has_list or options.trusted_proxies:
        hops = zip(raw.client, raw.forwarded, strict=True)
        peers = [client(peer, forwarded, options.trusted_proxies) for peer, forwarded in hops]
    users = _each(_user_text, raw.user)
    if None in peers and None in users:
        users = list(map(_user, users, peers, raw.client))
        if (None, None) in zip(users, peers, strict=True):
            raise ParseError("neither a user nor an address")
    records = Records(
        time=timestamps(raw.timestamp, options.zone),
        user_id=users,
        endpoint=[_target(value) for value in raw.endpoint],
        method=_each(_method, raw.method),
        status_code=list(map(status, raw.status, raw.no_status)),
        response_time=[value if value is None else number(value) for value in raw.seconds],
        ip_address=peers,
        user_agent=_each(_agent_text, raw.agent),
        request_size=[value if value is None else size(value) for value in raw.request_size],
        response_size=[size(value) for value in raw.response_size],
        position=list(positions),
    )
    no_status = sum(value in _NO_STATUS for value in raw.status)
    return Normalized(records, [], no_status, has_list)


def _no_records() -> Records:
    return Records(*([] for _ in Records._fields))


def _both(first: Normalized, second: Normalized) -> Normalized:
    for column, more in zip(first.records, second.records, strict=True):
        column.extend(more)  # type: ignore[attr-defined]
    first.errors.extend(second.errors)
    return Normalized(
        first.records,
        first.errors,
        first.no_status + second.no_status,
        first.has_list or second.has_list,
    )


def _each(function: Callable[[Value], Result], values: Sequence[Value]) -> list[Result]:
    """The results of `function`, called once for each distinct text."""
    if not _TEXT_TYPES.issuperset(map(type, values)):
        return [function(value) for value in values]
    results = {value: function(value) for value in set(cast(Sequence[str], values))}
    return list(map(results.__getitem__, cast(Sequence[str], values)))


def _user(user: str | None, address: str | None, peer: Value) -> str | None:
    return host_name(peer) if user is None and address is None else user


def _user_text(value: Value) -> str | None:
    return text(value, USER_LENGTH)


def _agent_text(value: Value) -> str | None:
    return text(value, AGENT_LENGTH)


def _method(value: Value) -> str:
    name = "".join(value.split())[:METHOD_LENGTH] if isinstance(value, str) else ""
    if not name:
        raise ParseError("no method")
    return _unicode(name).upper()


def _target(value: Value) -> str:
    if not isinstance(value, str):
        raise ParseError("no path")
    if value[:1] == "/" and value.isascii() and value[-1] > " " and len(value) <= ENDPOINT_LENGTH:
        return value
    path = endpoint(value)
    if path is None:
        raise ParseError("no path")
    return path


# --- Texts and numbers


def text(value: Value, length: int) -> str | None:
    """Valid Unicode text of at most `length` characters; None for a missing value."""
    if value is None:
        return None
    if isinstance(value, list):
        value = value[0] if value else None
    if value is None or isinstance(value, (dict, list, bool)):
        return None
    result = str(value).strip()
    if result in _MISSING:
        return None
    return _unicode(result[:length])


def _unicode(value: str) -> str:
    # JSON can hold half a surrogate pair, which no UTF-8 text can carry.
    return value if value.isascii() else value.encode("utf-8", "replace").decode("utf-8")


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
    if type(value) is str and value.isdecimal() and len(value) < 19:
        return int(value)
    result = number(value)
    return int(result) if result is not None and result < 2**62 else None


def status(value: Value, no_status: int = 499) -> int:
    """An HTTP status code, 100 to 599; `no_status` where none was sent. Raises ParseError."""
    code = _CODES.get(value) if type(value) is str else None
    return code or _unusual_status(value, no_status)


def _unusual_status(value: Value, no_status: int) -> int:
    if isinstance(value, (str, int, float)) and not isinstance(value, bool):
        try:
            code = int(value)
        except (ValueError, OverflowError):
            code = 0
        if 100 <= code <= 599:
            return code
        if value in _NO_STATUS:
            return no_status
    raise ParseError("no status code between 100 and 599")


# --- Addresses


def address(value: Value) -> str | None:
    """An IP address in its canonical form, without port, brackets and zone; None if invalid.
    An IPv4 address inside an IPv6 one (`::ffff:192.0.2.1`) is that IPv4 address."""
    if isinstance(value, str) and len(value) <= _CACHED_LENGTH:
        return _address(value)
    return None


@lru_cache(maxsize=65_536)
def _address(value: str) -> str | None:
    value = value.strip().strip('"')
    match = _ADDRESS_AND_PORT.fullmatch(value)
    bare = (match.group(1) or match.group(2)) if match else value.strip("[]")
    try:
        found = ipaddress.ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    mapped = found.ipv4_mapped if found.version == 6 else None
    return str(mapped or found)


def host_name(value: Value) -> str | None:
    """A host name that stands where an address should, or `unix:`, which nginx writes for a client
    on a local socket; None for everything else."""
    if not isinstance(value, str) or len(value) > _CACHED_LENGTH or value == "unknown":
        return None
    return value if value == "unix:" or _HOST_NAME.fullmatch(value) else None


def client(peer: Value, forwarded: Value, trusted: tuple[Network, ...]) -> str | None:
    """The address of the client. With trusted proxies: the right-most entry of `forwarded` and
    `peer` that none of them is; entries left of it are what the client says. Without: the peer, or
    the first address of a list in its place."""
    chain = [*address_list(forwarded), *address_list(peer)] if trusted else address_list(peer)
    if not trusted:
        return next(filter(None, map(address, chain)), None)
    found = None
    for entry in reversed(chain):
        hop = address(entry)
        if hop is None:
            break
        found = hop
        if not _is_trusted(hop, trusted):
            break
    return found


def address_list(value: Value) -> list[str]:
    """The entries of a forwarded list: a text with commas, or a list of texts."""
    parts = value if isinstance(value, list) else [value]
    texts = [part for part in parts if isinstance(part, str) and part not in _MISSING]
    return [entry for part in texts for entry in map(str.strip, part.split(",")) if entry]


def address_or_list(value: Value) -> str | None:
    """The address, or the mark of a list of several."""
    if isinstance(value, list) or isinstance(value, str) and "," in value:
        return _LIST
    return address(value)


def _is_trusted(hop: str, trusted: tuple[Network, ...]) -> bool:
    found = ipaddress.ip_address(hop)
    return any(found.version == network.version and found in network for network in trusted)


# --- Time


def timestamps(values: Sequence[Value], zone: tzinfo = UTC) -> list[float]:
    """As `timestamp`, of a column: fast where all are of the common log format, or ISO 8601."""
    if _TEXT_TYPES.issuperset(map(type, values)) and None not in values:
        texts = cast(Sequence[str], values)
        try:
            if all(len(value) == 26 and value[2] == "/" for value in texts):
                return [_clf_minute(v[:17], v[20:]) + _SECONDS[v[17:20]] for v in texts]
            if all(value[4:5] == "-" for value in texts):
                times = map(datetime.fromisoformat, texts)
                return [(t if t.tzinfo else t.replace(tzinfo=zone)).timestamp() for t in times]
        except (ValueError, KeyError, OverflowError):
            pass
    return [timestamp(value, zone) for value in values]


def timestamp(value: Value, zone: tzinfo = UTC) -> float:
    """Unix seconds of ISO 8601, `17/May/2015:10:05:03 +0000`, or a number since 1970 in seconds,
    milliseconds, microseconds or nanoseconds, by its size. `zone` is that of a time without
    offset. Raises ParseError."""
    try:
        if isinstance(value, str):
            seconds = _parse_time(value, zone)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            seconds = _unix_time(value)
        else:
            raise ParseError("no time")
    except (ValueError, OverflowError, OSError):
        raise ParseError("the time cannot be read") from None
    if _FIRST_TIME <= seconds <= _LAST_TIME:
        return seconds
    raise ParseError("the time is out of range")


def _parse_time(value: str, zone: tzinfo) -> float:
    value = value.strip().strip("[]").removesuffix(" UTC")
    if value in _MISSING:
        raise ParseError("no time")
    if _DIGITS.fullmatch(value):
        return _unix_time(float(value) if "." in value else int(value))
    clf = _CLF_TIME.fullmatch(value)
    if clf:
        minute, seconds, hours, minutes = clf.groups()
        if float(seconds) >= 61:
            raise ValueError(seconds)
        # A leap second counts as the last second of its minute.
        offset = f" {hours}{minutes}" if hours else ""
        return _clf_minute(minute, offset, zone) + min(float(seconds), 59.999999)
    time = datetime.fromisoformat(value)
    return (time if time.tzinfo else time.replace(tzinfo=zone)).timestamp()


@lru_cache(maxsize=4_096)
def _clf_minute(minute: str, offset: str, zone: tzinfo = UTC) -> float:
    """Unix seconds of `17/May/2015:10:05` at the offset ` +0200`, or in the zone."""
    day, month, rest = minute.split("/")
    year, hour, past = rest.split(":")
    if month not in _MONTHS:
        raise ValueError(month)
    time = datetime.fromisoformat(
        f"{year}-{_MONTHS[month]:02}-{day:0>2}T{hour}:{past}:00{offset.strip()}"
    )
    return (time if time.tzinfo else time.replace(tzinfo=zone)).timestamp()


def _unix_time(count: float) -> float:
    if count < 0 or not math.isfinite(count):
        raise ValueError(count)
    return count / next(unit for limit, unit in _UNITS if count < limit)


# --- Requests


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
        return method.upper(), endpoint(target) or "-"
    return "-", endpoint(line) or "-"


def endpoint(target: str) -> str | None:
    """The path with its query, at most `ENDPOINT_LENGTH`. Scheme and host of a URL are cut off."""
    if target[:1] != "/" or target[-1:].isspace():
        target = target.strip()
        url = _URL.match(target)
        if url:
            path = target[url.end() :]
            target = path if path.startswith("/") else "/" + path
    return _unicode(target[:ENDPOINT_LENGTH]) or None
