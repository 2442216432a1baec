"""The files of deploy/shippers and what is said about them."""

import re
from typing import NamedTuple

import pytest
import yaml

from api_anomaly.http.endpoints import ENDPOINTS
from api_anomaly.logs.formats.registry import FORMATS
from tests.support.paths import ROOT

FOLDER = ROOT / "deploy" / "shippers"
README = (FOLDER / "README.md").read_text()


class File(NamedTuple):
    """Where a configuration sends, and what makes the shipper send again for as long as it takes;
    nothing where it does so of its own accord."""

    sends: str
    for_ever: str = ""


SHIPPERS = {
    "alloy.alloy": File("/loki/api/v1/push", "max_backoff_retries = 0"),
    "filebeat.yml": File("/elastic/_bulk"),
    "firehose.yaml": File("/firehose", "DurationInSeconds: 7200"),
    "fluent-bit.conf": File("/ingest", "Retry_Limit               False"),
    "fluentd.conf": File("/ingest", "retry_forever true"),
    "logstash.conf": File("/ingest", "retry_failed => true"),
    "otel-collector.yaml": File("/v1/logs", "max_interval: 30s, max_elapsed_time: 0"),
    "promtail.yaml": File("/loki/api/v1/push", "max_retries: 0"),
    "rsyslog-omprog.conf": File("/ingest", 'action.resumeRetryCount="-1"'),
    "rsyslog.conf": File("/ingest", 'action.resumeRetryCount="-1"'),
    "syslog-ng.conf": File("/ingest", "503 => disconnect"),
    "vector.yaml": File("/ingest", "when_full: block"),
}
OTHERS = {"README.md", "nginx.conf", "rsyslog-omprog.sh"}


class _Tags(yaml.SafeLoader):
    """Also reads the tags of CloudFormation."""


_Tags.add_multi_constructor("!", lambda _loader, suffix, _node: suffix)


def test_all_files_are_known() -> None:
    assert {file.name for file in FOLDER.iterdir()} == OTHERS | set(SHIPPERS)


@pytest.mark.parametrize("name", SHIPPERS)
def test_file_sends_for_ever_where_the_table_says(name: str) -> None:
    file = SHIPPERS[name]
    (row,) = [line for line in README.splitlines() if f"| [{name}]({name})" in line]
    assert f"`{file.sends}`" in row
    assert file.sends in {endpoint.path for endpoint in ENDPOINTS if endpoint.method == "POST"}
    assert file.for_ever in (FOLDER / name).read_text()


@pytest.mark.parametrize("name", [name for name in SHIPPERS if name.endswith(("yaml", "yml"))])
def test_yaml_can_be_read(name: str) -> None:
    assert isinstance(yaml.load((FOLDER / name).read_text(), _Tags), dict)


def test_every_format_is_in_the_documentation() -> None:
    table = (ROOT / "docs" / "ingest.md").read_text().split("<!-- formats")[1].split("<!-- end")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", table, re.MULTILINE))
    assert rows == {format.name: format.title for format in FORMATS.values()}
