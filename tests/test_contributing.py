"""Each recipe of CONTRIBUTING.md, followed to the letter in a scratch copy, does what it says."""

import subprocess
from pathlib import Path

import pytest

from tests.support.recipes import recipes, scratch_copy

RECIPES = recipes()
#: What must hold in the scratch copy after each recipe, as a command.
PROOFS = {}


def run(folder: Path, *command: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.fixture(scope="module")
def followed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scratch copy in which all recipes were followed."""
    folder = scratch_copy(tmp_path_factory.mktemp("scratch"))
    for edits in RECIPES.values():
        for edit in edits:
            edit.apply(folder)
    return folder
