r"""Text lines -> logs: Apache and nginx `combined` and `common`, and AWS Application Load Balancer.

Format sources: httpd.apache.org/docs/2.4/logs.html (common, combined, escaping), nginx.org
ngx_http_log_module (`combined`, `\xHH` escaping), the ELB user guide, "Access log entries". Also
read: the `vhost:port` prefix of Debian's `vhost_combined`, and what follows a combined line when
it is plainly a duration (`0.123`, `rt=0.123`, Traefik's `12ms`). A bare whole number at the end is
left alone: Apache's %D counts microseconds, %T seconds, and the line does not say which.
"""

import re

from api_anomaly.logs.formats import fields as normalize
from api_anomaly.logs.formats.fields import BadLine, Parsed, Value

_QUOTED = r'"([^"\\]*(?:\\.[^"\\]*)*)"'
# The last quote may be missing: old logs cut long lines.
_QUOTED_OR_CUT = r'"([^"\\]*(?:\\.[^"\\]*)*)(?:"|$)'
_ACCESS = re.compile(
    r"^(?P<who>\S+ .*?) \[(?P<time>[^\]\[]{20,32})\] " + _QUOTED + r" (\S+) (\S+)"
    r"(?: " + _QUOTED + " " + _QUOTED_OR_CUT + r"(?P<rest>.*))?",
    re.ASCII,
)
_DURATION = re.compile(r'(?:^|[ "=])(?:(\d{1,6}\.\d{1,6})|(\d{1,9})ms)"?(?= |$)', re.ASCII)
_ALB = re.compile(
    r"^(?:https?|h2|grpcs|wss?) (?P<time>\S+) \S+ (?P<client>\S+) \S+"
    r" (?P<waits>\S+ \S+ \S+) (?P<code>\S+) \S+ (?P<received>\S+) (?P<sent>\S+) "
    + _QUOTED
    + " "
    + _QUOTED,
    re.ASCII,
)
_ESCAPE = re.compile(r'\\(?:([\\"])|((?:x[0-9A-Fa-f]{2})(?:\\x[0-9A-Fa-f]{2})*))')


def access_line(value: Value) -> Parsed:
    """One line of a `combined` or `common` access log."""
    found = _ACCESS.match(str(value))
    if not found:
        raise BadLine("not a line of a common or combined access log")
    request, code, sent, _, agent = found.group(3, 4, 5, 6, 7)
    client, user = _client_and_user(found["who"])
    method, target = normalize.request_line(unescaped(request))
    return Parsed(
        normalize.log(
            timestamp=found["time"],
            user=unescaped(user),
            client=client,
            method=method,
            target=target,
            code=code,
            agent=unescaped(agent or ""),
            seconds=_duration(found["rest"] or ""),
            sent=sent,
        ),
        None,
    )


def alb_line(value: Value) -> Parsed:
    """One line of an AWS Application Load Balancer log. A duration of -1 is unknown."""
    found = _ALB.match(str(value))
    if not found:
        raise BadLine("not a line of an Application Load Balancer log")
    waits = [normalize.number(wait) for wait in found["waits"].split(" ")]
    known = [wait for wait in waits if wait is not None]
    method, target = normalize.request_line(unescaped(found.group(7)))
    return Parsed(
        normalize.log(
            timestamp=found["time"],
            user=None,
            client=found["client"],
            method=method,
            target=target,
            code=found["code"],
            agent=unescaped(found.group(8)),
            seconds=sum(known) if len(known) == len(waits) else None,
            received=found["received"],
            sent=found["sent"],
        ),
        None,
    )


def unescaped(words: str) -> str:
    r"""Undo the servers' escaping: `\"`, `\\` and runs of `\xHH` that are printable UTF-8.

    Control characters stay as they were written (`\x16\x03`): nothing here may steer a terminal.
    """
    return _ESCAPE.sub(_meant, words) if "\\" in words else words


def _meant(escape: re.Match[str]) -> str:
    if escape.group(1):
        return escape.group(1)
    try:
        letters = bytes.fromhex(escape.group(2).replace("\\", "").replace("x", "")).decode("utf-8")
    except UnicodeDecodeError:
        return escape.group(0)
    return letters if letters.isprintable() else escape.group(0)


def _client_and_user(who: str) -> tuple[str, str]:
    """`[vhost:port ]client ident user`; the user may hold spaces, a missing one is `-` or `""`."""
    words = who.split(" ")
    if (
        len(words) > 3
        and normalize.address(words[0]) is None
        and normalize.address(words[1]) is not None
    ):
        words = words[1:]
    user = " ".join(words[2:])
    return words[0], "" if user == '""' else user


def _duration(rest: str) -> float | None:
    """Seconds, where what follows the user agent says so without doubt; otherwise None."""
    found = _DURATION.search(rest)
    if not found:
        return None
    return float(found.group(1)) if found.group(1) else int(found.group(2)) / 1000
