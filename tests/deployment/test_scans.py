"""The scanners are content with what ships."""

import json
import subprocess

import pytest

from tests.deployment.conftest import ROOT, RealParts

pytestmark = pytest.mark.slow
DASHBOARDS = sorted((ROOT / "monitoring" / "grafana" / "dashboards").glob("*.json"))
CHECK = """
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
for name in sys.argv[2:]:
    jsonschema.Draft7Validator(schema).validate(json.load(open(name)))
"""


def test_all_scanners_pass() -> None:
    done = subprocess.run([ROOT / "scripts" / "scan"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboards_follow_grafanas_own_schema(parts: RealParts) -> None:
    parts.run(parts.tools / "python", "-c", CHECK, parts.grafana, *DASHBOARDS)


def test_the_schema_is_that_of_the_grafana_that_compose_runs() -> None:
    wanted = json.loads((ROOT / "monitoring/grafana/schema/package.json").read_text())
    version = wanted["dependencies"]["@grafana/schema"]
    assert f"image: grafana/grafana:{version}@" in (ROOT / "docker-compose.yml").read_text()
