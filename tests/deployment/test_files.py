"""What ships agrees with itself: image, Compose, manifests, rules, dashboards, workflows, docs."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from api_anomaly import __version__
from api_anomaly.telemetry.metrics import METRICS, table
from tests.support.paths import ROOT

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
DASHBOARDS = sorted((ROOT / "monitoring" / "grafana" / "dashboards").glob("*.json"))
SHIPPED = [
    *(ROOT / name for name in ("Dockerfile", "docker-compose.yml", ".env.example")),
    *(
        file
        for folder in ("k8s", "k8s-overlays", "monitoring", "deploy", ".github")
        for file in (ROOT / folder).rglob("*")
        if file.is_file() and file.suffix != ".pyc"
    ),
    ROOT / "docs" / "operations.md",
    ROOT / "scripts" / "deploy.sh",
]


def loaded(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def objects() -> list[dict[str, Any]]:
    files = sorted((ROOT / "k8s").glob("*.yaml"))
    return [one for file in files for one in yaml.safe_load_all(file.read_text())]


def only(kind: str) -> dict[str, Any]:
    (found,) = [one for one in objects() if one["kind"] == kind]
    return found


def rules() -> list[dict[str, Any]]:
    groups = loaded("monitoring/rules/alerts.yml")["groups"]
    return [rule for group in groups for rule in group["rules"]]


def panels() -> list[tuple[str, dict[str, Any]]]:
    return [
        (file.stem, panel)
        for file in DASHBOARDS
        for panel in json.loads(file.read_text())["panels"]
    ]


def test_image_runs_unprivileged_and_keeps_its_data_in_volumes() -> None:
    dockerfile = (ROOT / "Dockerfile").read_text()
    final = dockerfile.rsplit("FROM ", 1)[1]
    assert "USER 10001:10001" in final
    assert 'VOLUME ["/app/models", "/app/logs"]' in final
    assert "ARG PYTHON_IMAGE=python:3.11-slim-bookworm" in dockerfile
    assert "--require-hashes" in dockerfile
    assert "curl" not in dockerfile.split("HEALTHCHECK")[1]


def test_only_what_the_image_needs_goes_to_the_builder() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    named = [line for line in ignored if line and not line.startswith("#")]
    assert named[:4] == ["*", "!requirements.txt", "!main.py", "!api_anomaly/"]
    assert not any(line.startswith("!") for line in named[4:])


def test_the_stack_needs_a_token_and_holds_no_secret() -> None:
    services = loaded("docker-compose.yml")["services"]
    assert services["api"]["environment"]["AUTH_TOKEN"].startswith("${AUTH_TOKEN:?")
    example = (ROOT / ".env.example").read_text()
    assert re.search(r"^AUTH_TOKEN=$", example, re.MULTILINE)


def test_the_promised_ports_are_published() -> None:
    services = loaded("docker-compose.yml")["services"]
    for name, port in {"api": 8000, "prometheus": 9090, "grafana": 3000}.items():
        (published,) = services[name]["ports"]
        assert published.endswith(f":{port}:{port}")


@pytest.mark.parametrize("name", ["api", "prometheus", "alertmanager", "grafana"])
def test_every_container_of_the_stack_is_bounded_and_hardened(name: str) -> None:
    service = loaded("docker-compose.yml")["services"][name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory"}
    if name != "api":
        assert re.search(r":v?\d+\.\d+\.\d+@sha256:[0-9a-f]{64}$", service["image"])
        assert service["healthcheck"]["test"][0] == "CMD"


def test_one_replica_that_saves_its_memory_before_the_next_one_starts() -> None:
    spec = only("Deployment")["spec"]
    assert spec["replicas"] == 1
    assert spec["strategy"] == {"type": "Recreate"}
    # uvicorn's 20 s for open requests, and as much again for the snapshot.
    assert spec["template"]["spec"]["terminationGracePeriodSeconds"] >= 40


def test_the_pod_meets_the_restricted_security_standard() -> None:
    pod = only("Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False
    labels = only("Namespace")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


def test_no_secret_is_applied_by_accident() -> None:
    assert "Secret" not in {one["kind"] for one in objects()}
    template = yaml.safe_load((ROOT / "k8s" / "secret.yaml.example").read_text())
    assert set(template["stringData"].values()) == {""}


def test_every_manifest_is_in_the_kustomization_and_carries_the_namespace() -> None:
    listed = loaded("k8s/Kustomization")["resources"]
    assert listed == sorted(file.name for file in (ROOT / "k8s").glob("*.yaml"))
    named = [one for one in objects() if one["kind"] != "Namespace"]
    assert {one["metadata"]["namespace"] for one in named} == {"api-anomaly-detection"}


def test_the_manifests_run_this_release() -> None:
    (container,) = only("Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["image"] == f"api-anomaly-detection:{__version__}"


def test_every_metric_is_in_the_table_of_the_docs() -> None:
    assert table() in OPERATIONS
    command = [sys.executable, "-m", "api_anomaly.telemetry.metrics"]
    printed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == table()


def known_series() -> set[str]:
    names = set()
    for row in METRICS:
        parts = ("_bucket", "_sum", "_count") if row.type == "histogram" else ("",)
        names |= {row.name + part for part in parts}
    return names


def test_rules_and_dashboards_ask_for_metrics_that_exist() -> None:
    queries = [target["expr"] for _, panel in panels() for target in panel["targets"]]
    for file in ("recording", "alerts"):
        groups = loaded(f"monitoring/rules/{file}.yml")["groups"]
        queries += [rule["expr"] for group in groups for rule in group["rules"]]
    asked = {name for query in queries for name in re.findall(r"\b([a-z_]+)\{", query)}
    foreign = {name for name in asked if not name.startswith("process_") and name != "up"}
    assert foreign <= known_series()
    # and every metric is looked at by somebody
    looked_at = {row.name for row in METRICS if any(row.name in query for query in queries)}
    assert {row.name for row in METRICS} - looked_at == {"snapshot_age_seconds"}


def test_every_alert_says_what_it_means_and_what_to_do() -> None:
    for rule in rules():
        name = rule["alert"]
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert {"summary", "description"} <= set(rule["annotations"])
        assert rule["annotations"]["runbook"] == f"docs/operations.md#{name.lower()}"
        assert f"### {name}\n*{rule['labels']['severity']}.*" in OPERATIONS


def test_every_alert_has_a_test_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    tests = loaded("monitoring/rules/tests/alerts_test.yml")["tests"]
    asked = [one for test in tests for one in test["alert_rule_test"]]
    for rule in rules():
        fired = {bool(one.get("exp_alerts")) for one in asked if one["alertname"] == rule["alert"]}
        assert fired == {True, False}, rule["alert"]


def test_the_memory_alert_knows_the_limit_that_compose_and_the_deployment_set() -> None:
    (container,) = only("Deployment")["spec"]["template"]["spec"]["containers"]
    assert container["resources"]["limits"]["memory"] == "4Gi"
    compose = loaded("docker-compose.yml")["services"]["api"]["deploy"]["resources"]["limits"]
    assert compose["memory"] == "4G"  # of Compose: 4 GiB
    (rule,) = [rule for rule in rules() if rule["alert"] == "ProcessMemoryHigh"]
    assert rule["expr"].endswith("> 0.9 * 4 * 1024 ^ 3")


def test_the_three_promised_dashboards_are_what_their_source_says() -> None:
    build = ROOT / "monitoring" / "grafana" / "build.py"
    done = subprocess.run([sys.executable, build, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    titles = [json.loads(file.read_text())["title"] for file in DASHBOARDS]
    assert sorted(titles) == ["API Performance", "Anomaly Detection", "System Health"]


@pytest.mark.parametrize(("dashboard", "panel"), panels(), ids=lambda value: str(value)[:40])
def test_every_panel_has_a_title_a_unit_and_a_description(
    dashboard: str, panel: dict[str, Any]
) -> None:
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]
    assert panel["targets"]


@pytest.mark.parametrize("file", WORKFLOWS, ids=lambda file: file.name)
def test_workflows_pin_every_action_and_request_minimal_permissions(file: Path) -> None:
    workflow = yaml.safe_load(file.read_text())
    assert workflow["permissions"] == {}
    for job in workflow["jobs"].values():
        assert job["permissions"]["contents"] == "read"
        assert job["timeout-minutes"] <= 60
    uses = re.findall(r"uses: (\S+)(.*)", file.read_text())
    assert uses
    for action, comment in uses:
        assert re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", action), action
        assert re.fullmatch(r"  # v\d+\.\d+\.\d+", comment), (action, comment)


def test_ci_tests_from_the_oldest_allowed_python() -> None:
    matrix = loaded(".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    assert 'requires-python = ">=3.11"' in (ROOT / "pyproject.toml").read_text()
    assert matrix[0] == "3.11"


def test_nothing_that_ships_names_a_registry_host() -> None:
    hosts = re.compile(r"\b(docker\.io|ghcr\.io|quay\.io|gcr\.io|pypi\.org|pythonhosted)\b")
    found = [file.name for file in SHIPPED if hosts.search(file.read_text(errors="replace"))]
    assert found == []
