r"""Access logs of Apache and nginx: `combined` and `common`, and Traefik's lines, which go on.

Sources: httpd.apache.org/docs/2.4/logs.html (formats, escaping), nginx.org ngx_http_log_module
(`combined`, `\xHH` escaping), doc.traefik.io (observe/logs-and-access-logs). Also read: a virtual
host in front, a list of forwarded addresses or `client - proxy - ` in place of the client, and
behind the user agent a forwarded address and a duration whose unit is certain (`0.123` or
`rt=0.123` seconds, Traefik's `12ms`). A bare whole number stays unread: Apache's %D counts
microseconds and %T seconds, and the line does not say which.
"""

import re
from collections.abc import Sequence

from api_anomaly.logs.formats import normalize
from api_anomaly.logs.formats.format import Parse, ParseError, RawLog, TextFormat, stateless
from api_anomaly.logs.formats.normalize import RawColumns
from api_anomaly.logs.formats.quoting import QUOTED, unescape

# The last quote may be missing: servers cut long lines.
_QUOTED_OR_CUT = r'"([^"\\]*(?:\\.[^"\\]*)*)(?:"|$)'
_LINE = re.compile(
    r"^(?P<client>\S+ .*?) \[(?P<time>[^\]\[]{20,32})\] " + QUOTED + r" (\S+) (\S+)"
    r"(?: " + QUOTED + " " + _QUOTED_OR_CUT + r")?(?P<rest>.*)",
    re.ASCII | re.DOTALL,
)
#: A line without anything unusual, in one match.
_PLAIN = re.compile(
    r"([0-9a-fA-F.:]{2,39}) - ([^\s\"\\]+) \[(\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4})\]"
    r' "([A-Z]{2,16}) (/[^\s"\\]*) HTTP/\d(?:\.\d)?" (\d{3}) (\d+)'
    r' "[^"\\]*" "([^"\\]*)"',
    re.ASCII,
)
#: Takes a combined line without anything unusual, which needs no unwrapping and no guessing.
match_plain = _PLAIN.fullmatch
_NO_CLIENT = ("-", "unknown", '""')
_MILLISECONDS = re.compile(r" (\d{1,9})ms$", re.ASCII)
_SECONDS = re.compile(r'(?:^|[ "])(?:(?:rt|request_time)=)?"?(\d{1,6}\.\d{1,6})"?(?= |$)', re.ASCII)
_QUOTED_REST = re.compile(QUOTED)
_TRAEFIK_REST = re.compile(r' \d+ "[^"]*" "[^"]*" (\d{1,9})ms$', re.ASCII)


def plain_columns(matches: Sequence[re.Match[str]]) -> RawColumns:
    """The columns of lines that `match_plain` takes; at least one."""
    rows = [match.groups() for match in matches]
    client, user, time, method, target, status, sent, agent = zip(*rows, strict=True)
    none = (None,) * len(rows)
    return RawColumns(
        time,
        method,
        target,
        status,
        client,
        user,
        agent,
        none,
        none,
        sent,
        none,
        (499,) * len(rows),
    )


def parse(line: str) -> RawLog:
    """One line of an access log, with or without user agent."""
    return _parse(_match(line))


def parse_common(line: str) -> RawLog:
    """One line without referrer and user agent."""
    match = _match(line)
    if match.group(7) is not None:
        raise ParseError("a line with a user agent: this is the combined format")
    return _parse(match)


def parse_traefik(line: str) -> RawLog:
    """A combined line that ends in a count, router, service and milliseconds."""
    match = _match(line)
    rest = _TRAEFIK_REST.fullmatch(match["rest"])
    if match.group(7) is None or not rest:
        raise ParseError("not a line of Traefik's access log")
    raw = _parse(match)
    return raw._replace(seconds=int(rest.group(1)) / 1000, response_size=match.group(5))


def _match(line: str) -> re.Match[str]:
    match = _LINE.match(line)
    if not match:
        raise ParseError("not a line of a common or combined access log")
    return match


def _parse(match: re.Match[str]) -> RawLog:
    request, status, sent, _, agent = match.group(3, 4, 5, 6, 7)
    client, user = _split_client_and_user(match["client"])
    method, target = normalize.request_line(unescape(request))
    rest = match["rest"]
    return RawLog(
        timestamp=match["time"],
        user=unescape(user),
        client=client,
        method=method,
        endpoint=target,
        status=status,
        agent=unescape(agent or ""),
        seconds=_duration_seconds(rest) if rest else None,
        response_size="0" if sent == "-" else sent,
        forwarded=_forwarded(rest) if rest else None,
    )


def _split_client_and_user(text: str) -> tuple[str, str]:
    """`[vhost ]client ident user`. The client may be a list or `client - proxy`; the user may hold
    spaces, a missing one is `-` or `""`. Raises ParseError where other words stand in front."""
    words = text.split(" ")
    if len(words) > 3 and _has_virtual_host(words):
        del words[0]
    clients = [words.pop(0)]
    while clients[-1].endswith(",") and words:
        clients.append(words.pop(0))
    if len(words) > 3 and words[0] == words[2] == "-" and normalize.address(words[1]):
        clients.append(words[1])
        del words[:2]
    has_client = clients[0] in _NO_CLIENT or any(map(_is_client, clients))
    if len(words) < 2 or len(words) > 2 and words[0] != "-" or not has_client:
        raise ParseError("other words than client, identity and user stand before the time")
    user = " ".join(words[1:])
    return ", ".join(word.rstrip(",") for word in clients), "" if user == '""' else user


def _is_client(word: str) -> bool:
    word = word.rstrip(",")
    return bool(normalize.address(word) or normalize.host_name(word))


def _has_virtual_host(words: list[str]) -> bool:
    """Whether the first word names a server and the second the client."""
    first, second, third = words[:3]
    if second == "-" or first.endswith(","):
        return False
    if third == "-" or second.endswith(","):
        return True
    return bool(normalize.address(second)) and not normalize.address(first)


def _duration_seconds(rest: str) -> float | None:
    milliseconds = _MILLISECONDS.search(rest)
    if milliseconds:
        return int(milliseconds.group(1)) / 1000
    seconds = _SECONDS.search(rest)
    return float(seconds.group(1)) if seconds else None


def _forwarded(rest: str) -> str | None:
    """A quoted list of addresses: `"$http_x_forwarded_for"`."""
    for text in _QUOTED_REST.findall(rest):
        if all(map(normalize.address, text.split(","))):
            return str(text)
    return None


def _row(name: str, title: str, parser: Parse, example: str) -> TextFormat:
    return TextFormat(name, title, example, stateless(parser))


COMMON = _row(
    "common",
    "Apache common access log",
    parse_common,
    '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326',
)
COMBINED = _row(
    "combined",
    "Apache or nginx combined access log",
    parse,
    '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326'
    ' "http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)"',
)
TRAEFIK = _row(
    "traefik_clf",
    "Traefik access log in the common format",
    parse_traefik,
    '192.0.2.7 - - [08/Dec/2021:09:16:05 +0000] "GET /a?b=1 HTTP/1.1" 200 414 "-" "curl/8.5.0"'
    ' 500 "shop@docker" "http://172.17.0.3:80" 12ms',
)
