"""HAProxy's `option httplog`.

Source: docs.haproxy.org, configuration manual, "HTTP log format". The time is local and has no
offset. Captured headers are not read: only the configuration knows which they are.
"""

import re

from api_anomaly.logs.formats import normalize
from api_anomaly.logs.formats.format import ParseError, RawLog, TextFormat, stateless

_LINE = re.compile(
    r"(?P<client>\S+):\d{1,5} \[(?P<time>[^\]\s]{20,30})\] \S+ \S+/\S+"
    r" [+-]?\d+/[+-]?\d+/[+-]?\d+/[+-]?\d+/(?P<ms>[+-]?\d+) (?P<status>-?\d+) (?P<sent>[+-]?\d+)"
    r' \S+ \S+ \S{4} [\d/+-]+ [\d/]+(?: \{[^}]*\}){0,2} "(?P<request>.*)$',
    re.ASCII | re.DOTALL,
)


def parse(line: str) -> RawLog:
    """One line. HAProxy writes a quote inside the request as `#22`."""
    match = _LINE.match(line)
    if not match:
        raise ParseError("not a line of HAProxy's HTTP log")
    method, target = normalize.request_line(match["request"].partition('"')[0])
    milliseconds = normalize.number(match["ms"])
    return RawLog(
        timestamp=match["time"],
        method=method,
        endpoint=target,
        status=match["status"],
        client=match["client"],
        seconds=None if milliseconds is None else milliseconds / 1000,
        response_size=match["sent"],
    )


HAPROXY = TextFormat(
    name="haproxy",
    title="HAProxy HTTP log (option httplog)",
    start=stateless(parse),
    example=(
        "203.0.113.17:14853 [14/Jan/2015:12:48:57.127] https-in~ shop/shop2 170/0/0/3/173 200 739"
        ' - - --NN 0/0/0/0/0 0/0 "GET /cart?id=7 HTTP/1.1"'
    ),
)
