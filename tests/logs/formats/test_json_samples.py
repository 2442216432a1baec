"""The JSON samples beside the project, each with what it must give."""

from ipaddress import ip_network

import pytest
from api_anomaly.logs.formats.read import ReadOptions, read_body
from api_anomaly.logs.formats.registry import FORMATS

from tests.support.log_samples import SAMPLES, check, sample

FORMAT_OF = {
    "apisix.json": "apisix",
    "aws_apigateway.ndjson": "aws_apigateway",
    "aws_cloudfront_v2.ndjson": "aws_cloudfront_json",
    "aws_cloudtrail.json": "aws_cloudtrail",
    "aws_waf.ndjson": "aws_waf",
    "azure_api_management.json": "azure_api_management",
    "azure_app_service.json": "azure_app_service",
    "azure_application_gateway.json": "azure_application_gateway",
    "azure_front_door.json": "azure_front_door",
    "caddy.ndjson": "caddy",
    "cloudflare_http_requests.ndjson": "cloudflare",
    "elastic_ecs.ndjson": "ecs",
    "envoy_istio.ndjson": "envoy_json",
    "envoy_json.ndjson": "envoy_json",
    "fastly_syslog.log": "fastly",
    "gcp_load_balancer.ndjson": "gcp_load_balancer",
    "k8s_audit.ndjson": "k8s_audit",
    "kong.ndjson": "kong",
    "nginx_json.ndjson": "nginx_json",
    "otlp_logs.json": "otlp",
    "traefik.ndjson": "traefik",
    "tyk.ndjson": "tyk",
}
#: What holds text lines beside JSON.
MIXED = {"otlp_logs.json", "traefik.ndjson", "fastly_syslog.log"}


def test_every_json_sample_is_tried():
    found = {path.name for pattern in ("*.json", "*.ndjson") for path in SAMPLES.glob(pattern)}
    names = {name for name in found if not name.endswith(".expected.json")}
    assert names <= FORMAT_OF.keys()


@pytest.mark.parametrize("name", FORMAT_OF)
def test_a_sample_is_found_and_read(name):
    result = read_body(sample(name).read_bytes(), ReadOptions())
    check(name, result)
    assert result.format.split(", ")[0] == FORMAT_OF[name]


@pytest.mark.parametrize("name", sorted(FORMAT_OF.keys() - MIXED))
def test_a_sample_is_read_in_the_format_asked_for(name):
    check(name, read_body(sample(name).read_bytes(), ReadOptions(FORMAT_OF[name])))


@pytest.mark.parametrize(
    ("name", "network", "line", "address"),
    [
        ("envoy_istio.ndjson", "10.48.0.0/16", 1, "198.51.100.44"),
        ("k8s_audit.ndjson", "10.130.0.0/16", 3, "198.51.100.44"),
        ("envoy_json.ndjson", "10.42.0.0/16", 5, "192.168.1.100"),
    ],
)
def test_forwarded_lists_count_with_trusted_proxies(name, network, line, address):
    options = ReadOptions(trusted_proxies=(ip_network(network),))
    records = read_body(sample(name).read_bytes(), options).records
    assert records.ip_address[records.position.index(line)] == address


def test_every_format_of_the_samples_is_in_the_table():
    assert set(FORMAT_OF.values()) <= FORMATS.keys()
