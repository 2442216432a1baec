"""A real Prometheus scrapes the real service under traffic: every query of every dashboard has an
answer, and an alert travels through Alertmanager to somebody's webhook."""

import json
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.deployment.conftest import ROOT, TOKEN, Running, Spawn, answers, free_port, until

pytestmark = pytest.mark.slow
DASHBOARDS = sorted((ROOT / "monitoring" / "grafana" / "dashboards").glob("*.json"))
Program = Callable[[str], str]


class Inbox(HTTPServer):
    """Receives Alertmanager's webhook calls on loopback."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Delivery)
        self.alerts: list[dict[str, Any]] = []


class Delivery(BaseHTTPRequestHandler):
    """One call."""

    server: Inbox

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.alerts += json.loads(body)["alerts"]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    server = Inbox()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def seconds_for_minutes(rules: Path, folder: Path) -> None:
    """The rules with seconds in place of the minutes that an alert waits: a faster test."""
    content = yaml.safe_load(rules.read_text())
    for group in content["groups"]:
        group["interval"] = "1s"
        for rule in group["rules"]:
            if "for" in rule:
                rule["for"] = "1s"
    (folder / rules.name).write_text(yaml.safe_dump(content))


def configuration(folder: Path, service: httpx.URL, alertmanager: int) -> Path:
    """The project's own Prometheus configuration, with these addresses and a faster clock."""
    content = yaml.safe_load((ROOT / "monitoring" / "prometheus.yml").read_text())
    content["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    job, _ = content["scrape_configs"]
    job["scrape_timeout"] = "1s"
    job["static_configs"] = [{"targets": [f"{service.host}:{service.port}"]}]
    content["scrape_configs"] = [job]
    content["alerting"]["alertmanagers"] = [
        {"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}
    ]
    (folder / "rules").mkdir()
    for name in ("recording.yml", "alerts.yml"):
        seconds_for_minutes(ROOT / "monitoring" / "rules" / name, folder / "rules")
    file = folder / "prometheus.yml"
    file.write_text(yaml.safe_dump(content))
    return file


def post_office(folder: Path, inbox: Inbox) -> Path:
    """The project's own Alertmanager configuration, with a webhook for pages and no waiting."""
    content = yaml.safe_load((ROOT / "monitoring" / "alertmanager.yml").read_text())
    content["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    content["route"]["routes"][0]["group_wait"] = "0s"
    url = f"http://127.0.0.1:{inbox.server_port}/"
    page = next(one for one in content["receivers"] if one["name"] == "page")
    page["webhook_configs"] = [{"url": url}]
    file = folder / "alertmanager.yml"
    file.write_text(yaml.safe_dump(content))
    return file


@pytest.fixture
def prometheus(
    service: httpx.Client, spawn: Spawn, program: Program, inbox: Inbox, tmp_path: Path
) -> Iterator[httpx.Client]:
    """Prometheus that scrapes the service each second and tells Alertmanager."""
    port, alerts = free_port(), free_port()
    spawn(
        program("prometheus-alertmanager"),
        f"--config.file={post_office(tmp_path, inbox)}",
        f"--storage.path={tmp_path / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{alerts}",
        "--cluster.listen-address=",
    )
    spawn(
        program("prometheus"),
        f"--config.file={configuration(tmp_path, service.base_url, alerts)}",
        f"--storage.tsdb.path={tmp_path / 'prometheus'}",
        f"--web.listen-address=127.0.0.1:{port}",
    )
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
        until(lambda: answers(client, "/-/ready"), "Prometheus is ready")
        yield client


def traffic(service: httpx.Client, logs: Callable[..., list[dict[str, Any]]]) -> None:
    """A training, ordinary logs, a burst of odd ones, and requests that are refused."""
    service.post("/train", json={"logs": logs(1_500)}).raise_for_status()
    start = 1_700_000_000.0 + 7 * 1_500
    for batch in range(20):
        ordinary = logs(50, start=start + 400 * batch, seed=batch)
        service.post("/detect", json={"logs": ordinary}).raise_for_status()
    odd = [
        log | {"endpoint": f"/admin/{number}/../../etc/passwd", "status_code": 500, "user_id": "x"}
        for number, log in enumerate(logs(200, start=start + 9_000))
    ]
    odd = [log | {"response_size": 10**8, "ip_address": "203.0.113.7"} for log in odd]
    found = service.post("/detect", json={"logs": odd, "threshold": -0.5}).json()
    assert found["anomaly_count"] > 50
    service.get("/status", headers={"Authorization": "Bearer wrong"})
    service.post("/detect", json={"logs": [{}]})
    service.get("/nowhere")


def replay(service: httpx.Client, logs: list[dict[str, Any]], folder: Path) -> None:
    """The project's own client reads an access log, trains on its earlier part, detects on the
    later one."""
    file = folder / "access.ndjson"
    file.write_text("".join(json.dumps(log) + "\n" for log in logs))
    command = [sys.executable, "-m", "api_anomaly", "replay", file, "--url", str(service.base_url)]
    done = subprocess.run(
        [*command, "--token", TOKEN], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


def queries(dashboard: Path) -> list[tuple[str, str]]:
    """(panel, PromQL) of every query, with the variables as Grafana would fill them in."""
    found = []
    for panel in json.loads(dashboard.read_text())["panels"]:
        for target in panel["targets"]:
            text = target["expr"].replace("$__rate_interval", "15s").replace("$__range", "1m")
            found.append((panel["title"], text.replace("$instance", ".*")))
    return found


def test_every_query_of_every_dashboard_has_an_answer(
    service: httpx.Client, prometheus: httpx.Client, logs, tmp_path: Path
) -> None:
    replay(service, logs(3_000, start=1_690_000_000.0), tmp_path)
    # A rate needs a series that exists before it grows.
    service.post("/detect", json={"logs": logs(1)}).raise_for_status()
    until(lambda: value(prometheus, "count_over_time(model_loaded[1m])") >= 3, "three scrapes")
    traffic(service, logs)
    waiting = {row for dashboard in DASHBOARDS for row in queries(dashboard)}
    assert len(waiting) > 40

    def all_answered() -> bool:
        answered = {row for row in waiting if numbers(prometheus, row[1])}
        waiting.difference_update(answered)
        return not waiting

    try:
        until(all_answered, "all queries answered", 30)
    except AssertionError:
        raise AssertionError(f"no answer: {sorted(waiting)}") from None
    labels = prometheus.get(
        "/api/v1/label/instance/values", params={"match[]": 'up{job="api-anomaly-detection"}'}
    )
    assert len(labels.json()["data"]) == 1


def numbers(prometheus: httpx.Client, query: str) -> list[float]:
    """The values of an instant query, NaN left out."""
    answer = prometheus.get("/api/v1/query", params={"query": query}).json()
    assert answer["status"] == "success", (query, answer)
    values = [float(row["value"][1]) for row in answer["data"]["result"]]
    return [value for value in values if value == value]


def value(prometheus: httpx.Client, query: str) -> float:
    return max(numbers(prometheus, query), default=0.0)


def test_critical_anomalies_reach_the_alert_receiver(
    service: httpx.Client, prometheus: httpx.Client, inbox: Inbox, logs
) -> None:
    up = 'up{job="api-anomaly-detection"} == 1'
    until(lambda: value(prometheus, up), "the service is scraped")
    traffic(service, logs)

    def delivered() -> dict[str, Any] | None:
        named = (one for one in inbox.alerts if one["labels"]["alertname"] == "CriticalAnomalies")
        return next(named, None)

    alert = until(delivered, "the alert arrives", 60)
    assert alert["status"] == "firing"
    assert alert["labels"]["severity"] == "page"
    assert "critical anomalies in ten minutes" in alert["annotations"]["summary"]


def test_stopped_service_raises_an_alert(
    running: Running, prometheus: httpx.Client, inbox: Inbox
) -> None:
    up = 'up{job="api-anomaly-detection"} == 1'
    until(lambda: value(prometheus, up), "the service is scraped")
    running.process.popen.terminate()

    def reported() -> bool:
        return any(one["labels"]["alertname"] == "ServiceDown" for one in inbox.alerts)

    until(reported, "the alert arrives")


def test_what_the_service_shows_follows_prometheus_conventions(
    service: httpx.Client, program: Program, logs
) -> None:
    traffic(service, logs)
    text = service.get("/metrics").text
    done = subprocess.run(
        [program("promtool"), "check", "metrics"], input=text, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_the_rules_pass_their_own_tests(program: Program) -> None:
    folder = ROOT / "monitoring"
    for arguments in (
        ("check", "config", folder / "prometheus.yml"),
        ("test", "rules", folder / "rules" / "tests" / "alerts_test.yml"),
    ):
        done = subprocess.run([program("promtool"), *arguments], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_documented_scrape_configuration_is_valid(program: Program, tmp_path: Path) -> None:
    text = (ROOT / "docs" / "operations.md").read_text()
    blocks = re.findall(r"```yaml\n(.*?)```", text, re.DOTALL)
    (block,) = [block for block in blocks if "kubernetes_sd_configs" in block]
    configuration = yaml.safe_load(block)
    (job,) = configuration["scrape_configs"]
    # Debian builds Prometheus without Kubernetes: of its discovery only the form is looked at.
    (discovery,) = job.pop("kubernetes_sd_configs")
    assert discovery == {"role": "pod", "namespaces": {"names": ["api-anomaly-detection"]}}
    file = tmp_path / "prometheus.yml"
    file.write_text(yaml.safe_dump(configuration))
    command = [program("promtool"), "check", "config", file]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
