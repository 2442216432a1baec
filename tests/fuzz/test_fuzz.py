"""Short runs of the fuzzers; ``scripts/hard fuzz`` runs them longer."""

import subprocess
import sys

import pytest
from tests.support.paths import ROOT


@pytest.mark.slow
def test_fuzzers_find_no_failure() -> None:
    command = [sys.executable, ROOT / "scripts" / "hard", "fuzz", "--examples=10", "--seconds=3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=1_800)
    assert done.returncode == 0, done.stdout + done.stderr
