"""Access logs of AWS Application Load Balancers."""

import pytest
from api_anomaly.logs.formats.aws_alb import parse
from api_anomaly.logs.formats.format import ParseError
from api_anomaly.logs.formats.read import ReadOptions, read_body

ALB = (
    "https 2018-07-02T22:23:00.186641Z app/my-balancer/50dc 192.168.131.39:2817 10.0.0.1:80"
    ' {seconds} 200 200 34 366 "GET https://www.example.com:443/a?b=1 HTTP/1.1" "curl/7.46.0"'
    ' ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 arn:aws:x "Root=1-58337281" "www.example.com" "-" 0'
)


def read(line):
    return read_body(line.encode(), ReadOptions("alb")).records.as_dicts()[0]


def test_the_response_time_is_the_sum_of_three_durations():
    log = read(ALB.format(seconds="0.086 0.048 0.037"))
    assert log == {
        "timestamp": "2018-07-02T22:23:00.186641Z",
        "user_id": None,
        "endpoint": "/a?b=1",
        "method": "GET",
        "status_code": 200,
        "response_time": pytest.approx(0.171),
        "ip_address": "192.168.131.39",
        "user_agent": "curl/7.46.0",
        "request_size": 34,
        "response_size": 366,
    }


def test_without_a_response_there_is_no_response_time():
    assert read(ALB.format(seconds="-1 -1 -1"))["response_time"] is None


def test_a_connection_log_line_is_a_parse_error():
    with pytest.raises(ParseError):
        parse("tls 2018-07-02T22:23:00Z x y z")
