"""Each recipe of CONTRIBUTING.md, followed to the letter in a scratch copy, passes the checks."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.recipes import recipes, scratch_copy

#: What must hold in the scratch copy, by recipe: an expression with its imports.
PROOFS = {
    "Add a feature": "from api_anomaly.features.table import NAMES;"
    " assert 'endpoint_write_share' in NAMES",
    "Add a log format": "from api_anomaly.logs.formats.read import ReadOptions, read_body;"
    " from api_anomaly.logs.formats.registry import FORMATS;"
    " assert read_body(FORMATS['acme'].example.encode(), ReadOptions()).format == 'acme'",
    "Add an attack": "from api_anomaly.model.synthetic.attacks import ATTACKS;"
    " assert 'denial_of_inventory' in {attack.name for attack in ATTACKS}",
    "Add an endpoint": "from api_anomaly.http.endpoints import ENDPOINTS;"
    " assert '/about' in {row.path for row in ENDPOINTS}",
    "Add a setting": "from api_anomaly.settings import Settings;"
    " assert Settings().explained_logs == 1000",
    "Add a detector": "from api_anomaly.model.bundle import SCORERS; assert 'z_scores' in SCORERS",
}
#: Tests that cover what the recipes change.
TESTS = (
    *("tests/features/test_against_reference.py", "tests/features/test_table.py"),
    *("tests/logs/formats", "tests/http/test_endpoints.py", "tests/model/synthetic"),
    "tests/test_settings.py",
)


def run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{command}\n{done.stdout[-5_000:]}\n{done.stderr[-5_000:]}"


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scratch copy in which all recipes were followed."""
    folder = scratch_copy(tmp_path_factory.mktemp("scratch"))
    for edits in recipes().values():
        for edit in edits:
            edit.apply(folder)
    return folder


def test_every_recipe_has_a_proof() -> None:
    assert recipes().keys() == PROOFS.keys()


@pytest.mark.parametrize("recipe", PROOFS)
def test_recipe_does_what_it_says(followed: Path, recipe: str) -> None:
    run(followed, sys.executable, "-c", PROOFS[recipe])


@pytest.mark.slow
def test_recipes_pass_formatting_lint_types_and_import_law(followed: Path) -> None:
    python = (sys.executable, "-m")
    run(followed, *python, "black", "--check", "-q", "api_anomaly", "tests")
    run(followed, *python, "flake8", "api_anomaly", "tests")
    run(followed, *python, "mypy", "api_anomaly")
    imports = "from importlinter.cli import lint_imports_command as check; check()"
    run(followed, sys.executable, "-c", imports, "--no-logo", "--no-cache")


@pytest.mark.slow
def test_recipes_pass_the_tests_of_what_they_change(followed: Path) -> None:
    run(followed, sys.executable, "-m", "pytest", "-q", "-x", *TESTS)
