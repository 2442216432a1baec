r"""Access logs of Apache and nginx: `combined` and `common`.

Sources: httpd.apache.org/docs/2.4/logs.html (formats, escaping), nginx.org ngx_http_log_module
(`combined`, `\xHH` escaping). Also read: the `vhost:port` prefix of Debian's `vhost_combined`, and
a duration behind a combined line where its unit is certain (`0.123` or `rt=0.123` seconds,
Traefik's `12ms`). A bare whole number stays unread: Apache's %D counts microseconds and %T
seconds, and the line does not say which.
"""

import re
from collections.abc import Sequence

from api_anomaly.logs.formats import normalize
from api_anomaly.logs.formats.format import Format, ParsedLog, ParseError, count_parsed
from api_anomaly.logs.formats.quoting import QUOTED, unescape

# The last quote may be missing: servers cut long lines.
_QUOTED_OR_CUT = r'"([^"\\]*(?:\\.[^"\\]*)*)(?:"|$)'
_LINE = re.compile(
    r"^(?P<client>\S+ .*?) \[(?P<time>[^\]\[]{20,32})\] " + QUOTED + r" (\S+) (\S+)"
    r"(?: " + QUOTED + " " + _QUOTED_OR_CUT + r"(?P<rest>.*))?",
    re.ASCII,
)
_DURATION = re.compile(r'(?:^|[ "=])(?:(\d{1,6}\.\d{1,6})|(\d{1,9})ms)"?(?= |$)', re.ASCII)


def parse(line: str) -> ParsedLog:
    """One line in `combined` or `common` format."""
    match = _LINE.match(line)
    if not match:
        raise ParseError("not a line of a common or combined access log")
    request, status, sent, _, agent = match.group(3, 4, 5, 6, 7)
    client, user = _split_client_and_user(match["client"])
    method, target = normalize.request_line(unescape(request))
    raw = normalize.RawLog(
        timestamp=match["time"],
        user=unescape(user),
        client=client,
        method=method,
        endpoint=target,
        status=status,
        agent=unescape(agent or ""),
        seconds=_duration_seconds(match["rest"] or ""),
        response_size=sent,
    )
    return ParsedLog(raw.normalize(), None)


def _split_client_and_user(text: str) -> tuple[str, str]:
    """`[vhost:port ]client ident user`; the user may hold spaces, a missing one is `-` or `""`."""
    words = text.split(" ")
    has_vhost = (
        len(words) > 3
        and normalize.address(words[0]) is None
        and normalize.address(words[1]) is not None
    )
    if has_vhost:
        words = words[1:]
    user = " ".join(words[2:])
    return words[0], "" if user == '""' else user


def _duration_seconds(rest: str) -> float | None:
    match = _DURATION.search(rest)
    if not match:
        return None
    return float(match.group(1)) if match.group(1) else int(match.group(2)) / 1000


_count_access_lines = count_parsed(parse)


def _sniff_combined(lines: Sequence[str]) -> int:
    # A combined line has three quoted texts, a common line has one.
    has_agent = any(line.count('"') >= 5 for line in lines)
    return _count_access_lines(lines) if has_agent else 0


COMBINED = Format(
    name="combined",
    title="Apache or nginx combined access log",
    parse=parse,
    sniff=_sniff_combined,
    example=(
        '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326'
        ' "http://www.example.com/start.html" "Mozilla/4.08 [en] (Win98; I ;Nav)"'
    ),
)
COMMON = Format(
    name="common",
    title="Apache common access log",
    parse=parse,
    sniff=_count_access_lines,
    example=(
        '127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /apache_pb.gif HTTP/1.0" 200 2326'
    ),
)
