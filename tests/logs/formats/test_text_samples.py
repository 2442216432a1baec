"""Every sample of a text format gives its expected result, found and named."""

from ipaddress import ip_network

import pytest
from api_anomaly.logs.formats.read import ReadOptions, read_body
from tests.support.log_samples import check, sample

REALTIME = (
    "timestamp c-ip time-to-first-byte sc-status sc-bytes cs-method cs-protocol cs-host cs-uri-stem"
    " cs-bytes x-edge-location x-edge-request-id x-host-header time-taken cs-protocol-version"
    " c-ip-version cs-user-agent cs-referer cs-cookie cs-uri-query x-edge-response-result-type"
    " x-forwarded-for ssl-protocol ssl-cipher x-edge-result-type fle-encrypted-fields fle-status"
    " sc-content-type sc-content-len sc-range-start sc-range-end c-port x-edge-detailed-result-type"
    " c-country cs-accept-encoding cs-accept cache-behavior-path-pattern cs-headers cs-header-names"
    " cs-headers-count"
)
# (file, the format that is found)
TEXTS = [
    ("apache_combined.log", "combined"),
    ("apache_common.log", "common"),
    ("apache_vhost_combined.log", "combined"),
    ("nginx_combined.log", "combined"),
    ("traefik_clf.log", "traefik_clf"),
    ("envoy_default.log", "envoy"),
    ("envoy_istio.log", "istio"),
    ("haproxy_http.log", "haproxy"),
    ("aws_alb.log", "alb"),
    ("aws_cloudfront_standard.tsv", "w3c"),
    ("iis_w3c.log", "w3c"),
]
#: Lines in what shippers put around them.
WRAPPED = [
    "wire/vector_http.body",
    "wire/vector_http_text.body",
    "wire/fluentbit_http_json.body",
    "wire/fluentbit_http_json_stream.body",
    "wire/logstash_http_json_batch.body",
    "wire/docker_json_file.body",
    "wire/syslog_rfc5424.body",
    "wire/cloudevents_batch.body",
    "wire/splunk_hec_raw.body",
]


@pytest.mark.parametrize(("name", "form"), TEXTS)
def test_a_sample_is_found_to_be_its_format_and_read(name, form):
    result = read_body(sample(name).read_bytes(), ReadOptions())
    check(name, result)
    assert result.format.split(", ")[0] == form


@pytest.mark.parametrize(("name", "form"), TEXTS)
def test_a_sample_is_read_in_its_format_by_name(name, form):
    check(name, read_body(sample(name).read_bytes(), ReadOptions(form)))


@pytest.mark.parametrize("name", WRAPPED)
def test_a_wrapped_sample_is_read(name):
    check(name, read_body(sample(name).read_bytes(), ReadOptions()))


def test_a_real_time_log_is_read_with_the_list_of_its_columns():
    name = "aws_cloudfront_realtime.tsv"
    check(name, read_body(sample(name).read_bytes(), ReadOptions(log_format=REALTIME)))


@pytest.mark.parametrize(
    ("name", "proxies", "position", "address"),
    [
        ("envoy_default.log", "10.42.0.0/16", 3, "192.168.1.100"),
        ("iis_w3c.log", "10.24.0.0/16", 10, "203.0.113.19"),
    ],
)
def test_behind_a_trusted_proxy_the_client_is_the_one_it_forwarded(
    name, proxies, position, address
):
    options = ReadOptions(trusted_proxies=(ip_network(proxies),))
    records = read_body(sample(name).read_bytes(), options).records
    assert records.ip_address[records.position.index(position)] == address
