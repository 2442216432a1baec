"""A table of names -> a parser of JSON records.

A name is a path: `request.headers.User-Agent` steps into objects, and a key that itself holds the
dots (Elastic's flat form) is found too. The names that occur are worked out once for each set of
keys, so that a flat record costs one look-up a field.
"""

import math
from collections.abc import Callable, Iterable, Sequence
from operator import itemgetter
from typing import Any, Final, NamedTuple

from api_anomaly.logs.formats import normalize
from api_anomaly.logs.formats.format import ParseError, RawLog, Value

Record = dict[str, Value]
Get = Callable[[Record], Any]  # gives a Value

#: What servers write for a value that is not there. Compared with ==, so that lists may be tested.
MISSING: Final[tuple[Value, ...]] = ("-", "", None, "--", [], {})
#: Sets of keys whose getters are kept, for each table, and how large a set may be.
MAX_PLANS: Final = 256
MAX_KEYS: Final = 80
MAX_KEY_CHARACTERS: Final = 4_096


class Unit(NamedTuple):
    """A name of the duration of a request, and its unit in seconds."""

    name: str
    seconds: float


class Table(NamedTuple):
    """The names of each field, the best first; the first one that holds a value is taken."""

    timestamp: Sequence[str]
    method: Sequence[str]
    endpoint: Sequence[str]
    status: Sequence[str]
    client: Sequence[str]
    user: Sequence[str] = ()
    agent: Sequence[str] = ()
    request_size: Sequence[str] = ()
    response_size: Sequence[str] = ()
    forwarded: Sequence[str] = ()
    query: Sequence[str] = ()  # put behind an endpoint without a query
    request_line: Sequence[str] = ()  # read where method or endpoint are missing
    seconds: Sequence[Unit] = ()
    no_status: int = 499


def names(text: str) -> tuple[str, ...]:
    """The names of a text, separated by blanks."""
    return tuple(text.split())


def at(record: Record, path: str) -> Value:
    """The value at a path; None where there is none."""
    if path in record:
        return record[path]
    key, dot, rest = path.partition(".")
    inner = record.get(key) if dot else None
    return at(inner, rest) if isinstance(inner, dict) else None


def has(record: Record, path: str) -> bool:
    """Whether a value other than null is at the path."""
    return at(record, path) is not None


def seconds_of(value: Value, unit: float) -> float | None:
    """A duration in seconds; None for what is not a finite number of at least 0."""
    if type(value) is str or type(value) is float or type(value) is int:
        try:
            result = float(value) * unit
        except (ValueError, OverflowError):
            return None
        if 0.0 <= result < math.inf:
            return result
    return None


def first_of(value: Value) -> Value:
    """The first entry of a list; every other value itself."""
    if isinstance(value, list):
        return value[0] if value else None
    return value


def parser(table: Table) -> Callable[[Record], RawLog]:
    """A parser of the records of a table. It raises ParseError where a record names no request."""
    plans: dict[tuple[str, ...], tuple[Get, ...]] = {}
    no_status = table.no_status
    new = RawLog._make

    def parse(record: Record) -> RawLog:
        keys = tuple(record)
        plan = plans.get(keys)
        if plan is None:
            plan = _plan(table, record)
            if _may_keep(keys):
                if len(plans) >= MAX_PLANS:
                    plans.clear()
                plans[keys] = plan
        # fmt: off
        (
            get_time, get_method, get_endpoint, get_status, get_client, get_user, get_agent,
            get_received, get_sent, get_forwarded, get_query, get_line, get_seconds,
        ) = plan
        # fmt: on
        method, endpoint = get_method(record), get_endpoint(record)
        if not endpoint or not method or endpoint == "-" or method == "-":
            method, endpoint = _from_line(get_line(record), method, endpoint)
        if get_query is not _none and type(endpoint) is str and "?" not in endpoint:
            query = get_query(record)
            if type(query) is str and query not in MISSING:
                endpoint = f"{endpoint}?{query.removeprefix('?')}"
        status = get_status(record)
        return new(
            (
                get_time(record),
                method,
                endpoint,
                None if type(status) is dict or type(status) is list else status,
                get_client(record),
                get_user(record),
                get_agent(record),
                get_seconds(record),
                get_received(record),
                get_sent(record),
                get_forwarded(record),
                no_status,
            )
        )

    return parse


def _may_keep(keys: tuple[str, ...]) -> bool:
    return len(keys) <= MAX_KEYS and sum(map(len, keys)) <= MAX_KEY_CHARACTERS


def _plan(table: Table, record: Record) -> tuple[Get, ...]:
    return (*(_getter(paths, record) for paths in table[:12]), _seconds_getter(table, record))


def _none(_: Record) -> None:
    return None


def _getter(paths: Iterable[str], record: Record) -> Get:
    """The first value of those paths that a record with these keys can have."""
    getters = [_get_path(path, record) for path in paths if _may_have(path, record)]
    if len(getters) <= 1:
        return getters[0] if getters else _none

    def first(record: Record) -> Value:
        for get in getters:
            value = get(record)
            if value:
                if value != "-" and value != "--":
                    return value  # type: ignore[no-any-return]
            elif value is not None and value == 0:
                return value  # type: ignore[no-any-return]
        return None

    return first


def _may_have(path: str, record: Record) -> bool:
    return path in record or ("." in path and path.partition(".")[0] in record)


def _get_path(path: str, record: Record) -> Get:
    if path in record:
        return itemgetter(path)
    head, _, rest = path.partition(".")
    is_deep = "." in rest

    def get(record: Record) -> Value:
        inner = record.get(head)
        if type(inner) is not dict:
            return None
        return at(inner, rest) if is_deep else inner.get(rest)

    return get


def _seconds_getter(table: Table, record: Record) -> Get:
    getters = [
        (_get_path(unit.name, record), unit.seconds)
        for unit in table.seconds
        if _may_have(unit.name, record)
    ]
    if not getters:
        return _none

    def seconds(record: Record) -> float | None:
        for get, unit in getters:
            result = seconds_of(get(record), unit)
            if result is not None:
                return result
        return None

    return seconds


def _from_line(line: Value, method: Value, endpoint: Value) -> tuple[Value, Value]:
    """Method and endpoint, what is missing of them from a request line."""
    if type(line) is not str or line in MISSING:
        raise ParseError("no path" if endpoint in MISSING else "no method")
    parts = line.split(" ")
    if len(parts) == 3 and parts[1] and parts[2][:5] == "HTTP/" and parts[0].isalpha():
        read_method, read_endpoint, _ = parts
    else:
        read_method, read_endpoint = normalize.request_line(line)
    return (
        read_method if method in MISSING else method,
        read_endpoint if endpoint in MISSING else endpoint,
    )
