r"""A server's own directive -> a format of its lines: nginx `log_format`, Apache `LogFormat`, an
Envoy format string; or the list of columns of a W3C log.

The directive becomes one regular expression. Each variable matches no more than up to the text that
follows it, so that no line takes longer than its length.
"""

import json
import re
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple

from api_anomaly.logs.formats import normalize
from api_anomaly.logs.formats.directive_tables import (
    OPTIONAL_MARK,
    SPACED,
    WORD,
    Field,
    apache_field,
    envoy_field,
    nginx_field,
)
from api_anomaly.logs.formats.format import (
    FormatUnknown,
    ParseError,
    RawLog,
    TextFormat,
    Value,
    stateless,
)
from api_anomaly.logs.formats.quoting import unescape
from api_anomaly.logs.formats.w3c import knows_columns, w3c_format

_MAX_DIRECTIVE = 8_192
_NGINX = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_APACHE = re.compile(r"%[!<>\d,]*(?:\{([^}]*)\})?[<>]?(\^[a-z]{2}|[a-zA-Z%])")
_ENVOY = re.compile(r"%([A-Z][A-Z_0-9]+)(?:\((.*?)\))?(?::\d+)?%")
_HAPROXY = re.compile(r"%(?:ci|ST|HM|HU|tr|ft)\b")
_NGINX_HEAD = re.compile(r"^\s*log_format\s+[\w.-]+\s+")
_NGINX_ESCAPE = re.compile(r"^\s*escape=(\w+)\s+")
_QUOTED_PARTS = re.compile(r"\s*(?:'((?:[^'\\]|\\.)*)'|\"((?:[^\"\\]|\\.)*)\")", re.DOTALL)
_APACHE_HEAD = re.compile(r"^\s*LogFormat\s+", re.IGNORECASE)
_EXAMPLE = "the lines that the directive describes"
_REQUIRED = (("time", "strftime"), ("status",), ("client", "forwarded", "forwarded_and_peer"))


class Directive(NamedTuple):
    """A directive in parts: texts and fields in turn, from a text to a text."""

    texts: list[str]
    fields: list[Field]
    unescape: Callable[[str], str]
    names: list[str] = []  # of the fields, as written


def directive_format(directive: str, name: str = "log_format") -> TextFormat:
    """The format that a directive describes. Raises FormatUnknown where it cannot be read."""
    if len(directive) > _MAX_DIRECTIVE:
        raise FormatUnknown(f"a directive of more than {_MAX_DIRECTIVE:,} characters")
    columns = re.split(r"[\s,]+", directive.strip().removeprefix("#Fields:").strip())
    if knows_columns(columns):
        return w3c_format(name, columns)
    parts = _split(directive)
    roles = {field.role for field in parts.fields}
    has_request = "request" in roles or {"method"} < roles and roles & {"target", "path"}
    if not has_request or not all(roles & set(row) for row in _REQUIRED):
        raise FormatUnknown(
            "the directive is none of nginx log_format, Apache LogFormat, an Envoy format string or"
            " a list of W3C columns with a time, a client, a request and a status"
        )
    parse = _Reader(parts).parse
    return TextFormat(name, "a server's own directive", _EXAMPLE, stateless(parse))


# --- From the directive to its parts


def _split(directive: str) -> Directive:
    if _ENVOY.search(directive):
        text = directive.strip().removesuffix("\\n").replace('\\"', '"')
        return _parts(text, _ENVOY, _envoy, str)
    if _HAPROXY.search(directive):
        raise FormatUnknown("HAProxy's log-format is not read; its option httplog is")
    if _NGINX.search(directive) and not _APACHE.search(directive):
        return _split_nginx(directive)
    quoted = _QUOTED_PARTS.match(_APACHE_HEAD.sub("", directive))
    is_quoted = _APACHE_HEAD.match(directive) and quoted
    text = (quoted[1] or quoted[2]) if is_quoted and quoted else directive.strip()
    return _parts(text.replace('\\"', '"').replace("\\t", "\t"), _APACHE, _apache, unescape)


def _split_nginx(directive: str) -> Directive:
    text = _NGINX_HEAD.sub("", directive.strip().removesuffix(";"))
    escape = _NGINX_ESCAPE.match(text)
    text = text[escape.end() :] if escape else text
    quoted = "".join(a or b for a, b in _QUOTED_PARTS.findall(text))
    is_quoted = bool(quoted) and not _QUOTED_PARTS.sub("", text).strip()
    if is_quoted:
        text = re.sub(r"\\(['\"\\])", r"\1", quoted)
    kind = escape[1] if escape else "json" if text.lstrip().startswith("{") else "default"
    return _parts(text.strip(), _NGINX, _nginx, {"json": _unescape_json}.get(kind, unescape))


def _parts(
    text: str,
    pattern: re.Pattern[str],
    field: Callable[[re.Match[str]], Field],
    undo: Callable[[str], str],
) -> Directive:
    matches = list(pattern.finditer(text))
    ends = [0, *(match.end() for match in matches)]
    starts = [*(match.start() for match in matches), len(text)]
    texts = [text[end:start] for end, start in zip(ends, starts, strict=True)]
    return Directive(texts, list(map(field, matches)), undo, [match[0] for match in matches])


def _nginx(match: re.Match[str]) -> Field:
    return nginx_field(match[1] or match[2])


def _apache(match: re.Match[str]) -> Field:
    return apache_field(match[1] or "", match[2])


def _envoy(match: re.Match[str]) -> Field:
    return envoy_field(match[1], match[2] or "")


def _unescape_json(text: str) -> str:
    try:
        return str(json.loads(f'"{text}"'))
    except ValueError:
        return text


# --- From the parts to a reader


class _Reader:
    """Reads lines by one regular expression; lines of JSON also by the names of their values."""

    def __init__(self, parts: Directive) -> None:
        self._unescape = parts.unescape
        self._fields = parts.fields
        self._pattern = _compile(parts)
        self._keys = _json_keys(parts)

    def parse(self, line: str) -> RawLog:
        """One line."""
        match = self._pattern.fullmatch(line)
        if match:
            values = [self._unescape(text or "") for text in match.groups()]
        elif self._keys and line.startswith("{"):
            values = self._values_of_record(line)
        else:
            raise ParseError("not a line of this directive")
        if any('" "' in value for value in values) and self._unescape is str:
            raise ParseError("quotes in a header leave open which value is which")
        return _raw(self._fields, values)

    def _values_of_record(self, line: str) -> list[str]:
        try:
            record = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise ParseError("no valid JSON") from error
        found = [record.get(key) for key in self._keys]
        if not any(found):
            raise ParseError("an object without the names of this directive")
        return ["" if value is None else str(value) for value in found]


def _compile(parts: Directive) -> re.Pattern[str]:
    pieces = [_literal(parts.texts[0])]
    for index, field in enumerate(parts.fields):
        before, after = parts.texts[index : index + 2]
        is_last = index == len(parts.fields) - 1
        if not after and not is_last:
            pattern = _pattern_before(field, parts.fields[index + 1], parts.names[index])
        else:
            pattern = _pattern_between(field, before, after)
        pieces.append(f"({pattern}){_literal(after)}")
    return re.compile("".join(pieces) + r"\s*", re.DOTALL)


def _literal(text: str) -> str:
    return re.sub(r"(?:\\ )+", r" +", re.escape(text.replace("\n", " ")))


def _pattern_between(field: Field, before: str, after: str) -> str:
    if before.endswith('"') and after.startswith('"'):
        return r'(?:[^"\\]|\\.)*'
    if field.pattern != SPACED:
        return field.pattern
    stop = after.strip()[:1]
    if stop:
        return f"[^{re.escape(stop)}]*"
    return r'[^\s"]*' if after else ".*"


def _pattern_before(field: Field, following: Field, name: str) -> str:
    """The pattern of a field with no text between it and the following one."""
    if field.pattern not in (WORD, SPACED):
        return field.pattern
    if following.role in ("target", "path"):
        return r'[^\s"/]*'
    if following.role == "query" or following.pattern == OPTIONAL_MARK:
        return r'[^\s"?]*'
    raise FormatUnknown(f"no text stands between {name} and the variable behind it")


def _json_keys(parts: Directive) -> list[str]:
    """The name beside each variable of a JSON directive; empty for another directive."""
    keys = [re.search(r'"([^"]+)"\s*:\s*"?$', text) for text in parts.texts[:-1]]
    found = [key[1] for key in keys if key]
    return found if len(found) == len(parts.fields) else []


def _raw(fields: Sequence[Field], values: Sequence[str]) -> RawLog:
    pairs = [
        (field, value)
        for field, value in sorted(zip(fields, values, strict=True), key=lambda pair: pair[0].rank)
        if value not in ("", "-")
    ]
    found: dict[str, str] = {}
    for field, value in pairs:
        found.setdefault(field.role, value)
    method, target = _request(found)
    client, forwarded = _client(found)
    return RawLog(
        timestamp=_time(pairs, found),
        method=method,
        endpoint=target,
        status=found.get("status", "-"),
        client=client,
        user=found.get("user"),
        agent=found.get("agent"),
        seconds=_seconds(pairs),
        request_size=found.get("request_size"),
        response_size=found.get("response_size"),
        forwarded=forwarded,
    )


def _request(found: dict[str, str]) -> tuple[str, str]:
    target = found.get("target") or found.get("path")
    if "method" in found and target:
        query = found.get("query", "").removeprefix("?")
        return found["method"], f"{target}?{query}" if query and "?" not in target else target
    return normalize.request_line(found.get("request", "-"))


def _client(found: dict[str, str]) -> tuple[Value, Value]:
    """The peer, and what was forwarded to it."""
    forwarded: Value = found.get("forwarded")
    if "forwarded_and_peer" in found:
        hops: list[Value] = [*normalize.address_list(found["forwarded_and_peer"])]
        if "client" in found:
            return found["client"], hops
        return (hops[-1], hops[:-1]) if hops else (None, None)
    if "client" not in found:
        return forwarded, None
    return found["client"], forwarded


def _seconds(pairs: Sequence[tuple[Field, str]]) -> float | None:
    for field, value in pairs:
        if field.role == "seconds":
            counts = [normalize.number(text) for text in re.split(", | : ", value)]
            known = [count for count in counts if count is not None]
            if known:
                return sum(known) * field.unit
    return None


def _time(pairs: Sequence[tuple[Field, str]], found: dict[str, str]) -> Value:
    if "time" in found:
        return found["time"]
    parts = [(field.form, value) for field, value in pairs if field.role == "strftime"]
    if not parts:
        return None
    try:
        time = datetime.strptime(
            " ".join(value for _, value in parts), " ".join(form for form, _ in parts)
        )
    except ValueError as error:
        raise ParseError("the time cannot be read") from error
    for field, value in pairs:
        if field.role == "fraction" and value.isdigit():
            time = time.replace(microsecond=min(round(int(value) * field.unit * 1e6), 999_999))
    return time.isoformat()
