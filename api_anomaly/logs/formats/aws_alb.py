"""Access logs of AWS Application Load Balancers.

Source: Elastic Load Balancing user guide, "Access log entries". What follows the user agent is not
read: AWS adds fields at the end.
"""

import re

from api_anomaly.logs.formats import normalize
from api_anomaly.logs.formats.format import ParseError, RawLog, TextFormat, stateless
from api_anomaly.logs.formats.quoting import QUOTED, unescape

_LINE = re.compile(
    r"^(?:https?|h2|grpcs|wss?) (?P<time>\S+) \S+ (?P<client>\S+) \S+"
    r" (?P<seconds>\S+ \S+ \S+) (?P<status>\S+) \S+ (?P<received>\S+) (?P<sent>\S+) "
    + QUOTED
    + " "
    + QUOTED,
    re.ASCII,
)


def parse(line: str) -> RawLog:
    """One line. The response time is the sum of three durations; -1 makes it unknown."""
    match = _LINE.match(line)
    if not match:
        raise ParseError("not a line of an Application Load Balancer log")
    durations = [normalize.number(text) for text in match["seconds"].split(" ")]
    known = [seconds for seconds in durations if seconds is not None]
    method, target = normalize.request_line(unescape(match.group(7)))
    return RawLog(
        timestamp=match["time"],
        client=match["client"],
        method=method,
        endpoint=target,
        status=match["status"],
        agent=unescape(match.group(8)),
        seconds=sum(known) if len(known) == len(durations) else None,
        request_size=match["received"],
        response_size=match["sent"],
    )


ALB = TextFormat(
    name="alb",
    title="AWS Application Load Balancer access log",
    start=stateless(parse),
    example=(
        "https 2018-07-02T22:23:00.186641Z app/my-loadbalancer/50dc6c495c0c9188"
        " 192.168.131.39:2817 10.0.0.1:80 0.086 0.048 0.037 200 200 0 57"
        ' "GET https://www.example.com:443/ HTTP/1.1" "curl/7.46.0"'
        " ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2"
        " arn:aws:elasticloadbalancing:us-east-2:123456789012:targetgroup/my-targets/73e2d6bc"
        ' "Root=1-58337281-1d84f3d73c47ec4e58577259" "www.example.com"'
    ),
)
