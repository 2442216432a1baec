"""The scanners are content with what ships."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.shipping.conftest import ROOT, Parts

pytestmark = pytest.mark.slow
DASHBOARDS = sorted((ROOT / "monitoring" / "grafana" / "dashboards").glob("*.json"))
#: The schema of the Grafana in docker-compose.yml, and what makes JSON Schema of its types.
PACKAGES = ("@grafana/schema@12.1.1", "ts-json-schema-generator@2.4.0")
TYPES = "node_modules/@grafana/schema/dist/types/raw/dashboard/x/dashboard_types.gen.d.ts"
CHECK = """
import json, sys, jsonschema
schema = json.load(open(sys.argv[1]))
for name in sys.argv[2:]:
    jsonschema.Draft7Validator(schema).validate(json.load(open(name)))
"""


def test_all_scanners_are_content() -> None:
    done = subprocess.run([ROOT / "scripts" / "scan"], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboards_follow_grafanas_own_schema(parts: Parts, tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed: Grafana's schema cannot be had")
    (tmp_path / "package.json").write_text("{}")
    install = ("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts", *PACKAGES)
    parts.run(*install, cwd=tmp_path)
    generate = (tmp_path / "node_modules" / ".bin" / "ts-json-schema-generator", "--path", TYPES)
    options = ("--type", "Dashboard", "--no-type-check", "--additional-properties")
    parts.run(*generate, *options, "--out", "schema.json", cwd=tmp_path)
    python = parts.tools / "python"
    parts.run(python, "-c", CHECK, tmp_path / "schema.json", *DASHBOARDS)
