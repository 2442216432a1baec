"""Access logs of Envoy in its default text format, and of Istio's proxies in theirs.

Sources: envoyproxy.io (configuration/observability/access_log/usage), istio.io (tasks/
observability/logs/access-log). Envoy escapes nothing: a quote in a user agent is just there. Where
quotes leave open which text is X-Forwarded-For, the line is rejected, so that no client chooses its
address.
"""

import re

from api_anomaly.logs.formats import normalize
from api_anomaly.logs.formats.format import Parse, ParseError, RawLog, TextFormat, stateless

_START = r'\[(?P<time>[^\]\s]{20,40})\] "(?P<method>\S+) (?P<path>\S+) \S+" (?P<status>\d+|-) \S+'
_COUNTS = r" (?P<received>\d+|-) (?P<sent>\d+|-) (?P<ms>\d+|-) (?P<upstream>\d+|-)"
_TEXTS = r' "(?P<xff>.*?)" "(?P<agent>.*)" "[^"]*" "[^"]*" "[^"]*"'
_DEFAULT = re.compile(_START + _COUNTS + _TEXTS, re.DOTALL)
_ISTIO = re.compile(
    # Details, termination details and the transport failure; older versions have fewer.
    _START + r'(?: (?!\d)\S+){0,2}(?: "[^"]*"){1,2}' + _COUNTS + _TEXTS
    # Cluster, upstream local, downstream local and remote, server name, route.
    + r" \S+ \S+ \S+ (?P<remote>\S+) \S+(?: \S+)?",
    re.DOTALL,
)


def parse_default(line: str) -> RawLog:
    """One line. Envoy appended its peer to X-Forwarded-For: the last entry is the client."""
    match = _match(_DEFAULT, line)
    hops = normalize.address_list(match["xff"])
    return _raw(match, client=hops[-1] if hops else None)._replace(forwarded=[*hops[:-1]])


def parse_istio(line: str) -> RawLog:
    """One line. The downstream remote address is the client."""
    match = _match(_ISTIO, line)
    return _raw(match, client=match["remote"])._replace(forwarded=match["xff"])


def _match(pattern: re.Pattern[str], line: str) -> re.Match[str]:
    match = pattern.fullmatch(line)
    if not match:
        raise ParseError("not a line of Envoy's access log")
    if '" "' in match["agent"]:
        raise ParseError("quotes in a header leave open which address is the client's")
    return match


def _raw(match: re.Match[str], client: str | None) -> RawLog:
    milliseconds = normalize.number(match["ms"])
    return RawLog(
        timestamp=match["time"],
        method=match["method"],
        endpoint=match["path"],
        status=match["status"],
        client=client,
        agent=match["agent"],
        seconds=None if milliseconds is None else milliseconds / 1000,
        request_size=match["received"],
        response_size=match["sent"],
    )


def _row(name: str, title: str, parser: Parse, example: str) -> TextFormat:
    return TextFormat(name, title, example, stateless(parser))


ENVOY = _row(
    "envoy",
    "Envoy access log, default text format",
    parse_default,
    '[2016-04-15T20:17:00.310Z] "POST /api/v1/locations HTTP/2" 204 - 154 0 226 100 "10.0.35.28"'
    ' "nsq2http" "cc21d9b0-cf5c-432b-8c7e-98aeb7988cd2" "locations" "tcp://10.0.2.1:80"',
)
ISTIO = _row(
    "istio",
    "Istio access log, default text format",
    parse_istio,
    '[2020-11-25T21:26:18.409Z] "GET /status/418 HTTP/1.1" 418 - via_upstream - "-" 0 135 4 4 "-"'
    ' "curl/7.73.0-DEV" "84961386-6d84-929d-98bd-c5aee93b5c88" "httpbin:8000" "10.44.1.27:80"'
    " outbound|8000||httpbin.foo.svc.cluster.local 10.44.1.23:37652 10.0.45.184:8000"
    " 10.44.1.23:46520 - default",
)
