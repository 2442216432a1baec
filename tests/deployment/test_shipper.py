"""A real nginx writes its JSON access log, a real syslog-ng ships it, and /detect scores it."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from tests.deployment.conftest import ROOT, TOKEN, Spawn, answers, free_port, until

pytestmark = pytest.mark.slow
SHIPPERS = ROOT / "monitoring" / "shippers"
Program = Callable[[str], str]


@pytest.fixture
def website(spawn: Spawn, program: Program, tmp_path: Path) -> Iterator[httpx.Client]:
    """nginx with the project's log format."""
    port = free_port()
    shipped = (SHIPPERS / "nginx.conf").read_text().replace("/var/log/nginx", str(tmp_path))
    configuration = tmp_path / "nginx.conf"
    configuration.write_text(f"""
        daemon off;
        master_process off;
        pid {tmp_path}/nginx.pid;
        error_log stderr;
        events {{}}
        http {{
            client_body_temp_path {tmp_path};
            proxy_temp_path {tmp_path};
            fastcgi_temp_path {tmp_path};
            uwsgi_temp_path {tmp_path};
            scgi_temp_path {tmp_path};
            {shipped}
            server {{
                listen 127.0.0.1:{port};
                location / {{ return 200 "ok"; }}
                location /missing {{ return 404; }}
            }}
        }}
        """)
    spawn(program("nginx"), "-e", "stderr", "-c", configuration)
    with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
        until(lambda: answers(client, "/ready"), "nginx answers")
        yield client


@pytest.fixture
def shipper(spawn: Spawn, program: Program, service: httpx.Client, tmp_path: Path) -> None:
    """syslog-ng with the project's configuration."""
    text = (SHIPPERS / "syslog-ng.conf").read_text().replace("/var/log/nginx", str(tmp_path))
    text = text.replace("disk-buffer(", f'disk-buffer(dir("{tmp_path}") ')
    configuration = tmp_path / "syslog-ng.conf"
    configuration.write_text(text)
    environment = os.environ | {"AUTH_TOKEN": TOKEN, "DETECT_URL": f"{service.base_url}/detect"}
    files = [f"--{name}={tmp_path}/syslog-ng.{name}" for name in ("persist-file", "control")]
    files += [f"--pidfile={tmp_path}/syslog-ng.pid", f"--cfgfile={configuration}"]
    spawn(program("syslog-ng"), "--foreground", "--no-caps", "--stderr", *files, env=environment)


def scored(service: httpx.Client) -> int:
    """Logs that the service has scored."""
    line = next(
        line for line in service.get("/metrics").text.splitlines() if line.startswith("logs_scored")
    )
    return int(float(line.split()[1]))


def test_every_request_to_a_website_is_scored_in_batches(
    service: httpx.Client, website: httpx.Client, shipper: None, logs
) -> None:
    service.post("/train", json={"logs": logs(500)}).raise_for_status()
    before = scored(service)
    odd = 'quotes " and \\ backslashes \t and ümlauts'
    for number in range(300):
        user = ("anna", "secret") if number % 3 else None
        path = f"/missing/{number}" if number % 10 == 0 else f'/page?q={number}&x="%22'
        website.get(path, auth=user, headers={"User-Agent": odd.encode()})
    # The first requests only asked whether nginx is ready.
    until(lambda: scored(service) >= before + 300, "all are scored", 30)
    metrics = service.get("/metrics").text
    assert 'endpoint="/detect",method="POST",status="422"' not in metrics
    batches = next(
        line for line in metrics.splitlines() if line.startswith("detect_batch_logs_count")
    )
    assert float(batches.split()[1]) < 60
