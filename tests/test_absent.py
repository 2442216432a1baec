"""A package that is kept away cannot be imported meanwhile, and can be afterwards."""

import importlib
import subprocess
import sys

import pytest

from api_anomaly.absent import absent
from tests.support.paths import ROOT


def test_a_package_is_kept_away_and_comes_back() -> None:
    assert "this" not in sys.modules  # the Zen of Python, which nobody imports
    with absent("this"), pytest.raises(ImportError):
        importlib.import_module("this")
    assert importlib.util.find_spec("this") is not None


def test_what_was_imported_before_stays() -> None:
    with absent("json"):
        assert importlib.import_module("json") is sys.modules["json"]
    assert sys.modules["json"] is not None


def test_a_service_that_only_scores_has_no_scipy_and_a_training_gets_it() -> None:
    program = """
import sys
import numpy as np
import api_anomaly.http.app
from api_anomaly.model.forest import Forest
assert not {"scipy", "sklearn"} & set(sys.modules), "imported"
assert len(Forest.grow(np.random.rand(50, 3).astype("f4"), 2, 16, 0).trees.roots) == 2
assert {"scipy", "sklearn"} <= set(sys.modules)
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
