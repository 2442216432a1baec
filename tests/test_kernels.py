"""Cached machine code is read and written where that is allowed, and never used when stale."""

import ctypes
import importlib.util
import json
import math
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from api_anomaly import kernels
from tests.support.reference_log_record import mix
from tests.support.paths import ROOT

PROGRAM = """
import json
import numpy as np
from api_anomaly.kernels import cache_folder
from api_anomaly.logs.templates import mix
folder, writable = cache_folder()
answer = {"mixed": int(mix(np.uint64(7))), "folder": str(folder), "writable": writable}
answer["read"] = sum(mix.stats.cache_hits.values())
print(json.dumps(answer))
"""


def start(folder: Path, limits: Callable[[], None] | None = None) -> dict[str, Any]:
    """What a new process reports that caches its kernels in `folder`."""
    environment = os.environ | {"KERNEL_CACHE_DIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", PROGRAM],
        cwd=ROOT,
        env=environment,
        preexec_fn=limits,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    report: dict[str, Any] = json.loads(done.stdout)
    assert report["mixed"] == mix(7)
    return report


def bound_by_modes() -> None:
    """Make root obey the modes of files: give up CAP_DAC_OVERRIDE."""
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)  # PR_CAPBSET_DROP; no more than an error for others


def full_disk() -> None:
    """No file may grow."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def listing(folder: Path) -> dict[str, int]:
    """Every path below `folder`, and when it was written."""
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*")}


def close(folder: Path, mode: int = 0o555) -> None:
    """Make all folders of `folder` read-only (or, with 0o755, open them again)."""
    for one in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        one.chmod(mode)


@pytest.fixture(scope="module")
def cached(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that one start has filled."""
    folder = tmp_path_factory.mktemp("kernels")
    first = start(folder)
    assert (first["writable"], first["read"]) == (True, 0)
    assert Path(first["folder"]).parent == folder
    assert Path(first["folder"]).name.startswith("kernels-")
    return folder


@pytest.fixture()
def copied(cached: Path, tmp_path: Path) -> Path:
    """A copy of `cached` to change."""
    return Path(shutil.copytree(cached, tmp_path / "kernels"))


def test_a_second_start_reads_what_the_first_one_cached(cached: Path) -> None:
    before = listing(cached)
    assert any(name.endswith(".nbc") for name in before)
    assert start(cached)["read"] == 1
    assert listing(cached) == before


def test_read_only_code_is_read_and_nothing_is_written(copied: Path) -> None:
    close(copied)
    before = listing(copied)
    again = start(copied, bound_by_modes)
    assert (again["writable"], again["read"]) == (False, 1)
    assert listing(copied) == before
    close(copied, 0o755)


@pytest.mark.parametrize("name", ["missing", "file/below"])
def test_where_nothing_can_be_cached_every_start_compiles_anew(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_text("no folder")
    close(tmp_path)
    report = start(tmp_path / name, bound_by_modes)
    assert (report["writable"], report["read"]) == (False, 0)
    close(tmp_path, 0o755)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_with_a_full_disk_nothing_is_cached(tmp_path: Path) -> None:
    assert start(tmp_path, full_disk)["read"] == 0
    assert not list(tmp_path.rglob("*.nbc"))


@pytest.mark.parametrize("damaged", ["*.nbc", "*.nbi"])
def test_a_damaged_file_is_compiled_anew_and_cached_again(copied: Path, damaged: str) -> None:
    for file in copied.rglob(damaged):
        file.write_bytes(file.read_bytes()[:20])
    assert start(copied)["read"] == 0
    assert start(copied)["read"] == 1


def load(package: Path) -> ModuleType:
    """The kernels module of another copy of the sources."""
    spec = importlib.util.spec_from_file_location("other_kernels", package / "kernels.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_digest_changes_with_any_source_of_a_kernel_and_no_other_file(tmp_path: Path) -> None:
    package = tmp_path / "api_anomaly"
    for name in ("logs", "features", "model", "explain", "feedback"):
        shutil.copytree(ROOT / "api_anomaly" / name, package / name)
    shutil.copy(ROOT / "api_anomaly" / "kernels.py", package)
    digest = load(package).source_digest()
    (package / "errors.py").write_text("# not a kernel's source\n")
    assert load(package).source_digest() == digest
    digests = {digest}
    for name in ("features/decay.py", "model/trees.py", "logs/templates.py", "kernels.py"):
        with (package / name).open("a") as source:
            source.write("# changed\n")
        digests.add(load(package).source_digest())
    assert len(digests) == 5


def test_a_path_below_a_file_is_not_writable(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert kernels._is_writable(tmp_path / "a" / "b")
    assert not kernels._is_writable(tmp_path / "file" / "b")


def ratio(part: float, whole: float) -> float:
    """A kernel of this test."""
    return part / whole


def test_a_kernel_divides_as_numpy_does_with_and_without_its_cached_file() -> None:
    folder, writable = kernels.cache_folder()
    assert kernels.kernel(ratio)(1.0, 4.0) == 0.25
    assert math.isnan(kernels.kernel(ratio)(0.0, 0.0))
    own = folder / "tests.test_kernels"
    for file in own.glob("*.nbc") if writable else ():
        file.write_bytes(b"damaged")
    assert kernels.kernel(ratio)(1.0, 0.0) == math.inf
    shutil.rmtree(own, ignore_errors=True)


def test_a_service_that_only_scores_does_not_import_scikit_learn() -> None:
    program = "import sys, api_anomaly.http.app; assert 'sklearn' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=300)
    assert done.returncode == 0
