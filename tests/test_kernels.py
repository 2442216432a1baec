"""Kept machine code is read and written where that is allowed, and never used when stale."""

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

from api_anomaly import kernels as compiled
from tests.support.reference_log_record import mix
from tests.support.paths import ROOT

PROGRAM = """
import json
import numpy as np
from api_anomaly.kernels import kept_code
from api_anomaly.logs.templates import mix
folder, writable = kept_code()
answer = {"mixed": int(mix(np.uint64(7))), "folder": str(folder), "writable": writable}
answer["read"] = sum(mix.stats.cache_hits.values())
print(json.dumps(answer))
"""


def start(place: Path, limits: Callable[[], None] | None = None) -> dict[str, Any]:
    """What a fresh process says that keeps its kernels in `place`."""
    environment = os.environ | {"KERNEL_CACHE_DIR": str(place), "PYTHONDONTWRITEBYTECODE": "1"}
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
    answer: dict[str, Any] = json.loads(done.stdout)
    assert answer["mixed"] == mix(7)
    return answer


def bound_by_modes() -> None:
    """Let root be bound by the modes of files like anybody: give up CAP_DAC_OVERRIDE."""
    ctypes.CDLL(None).prctl(24, 1, 0, 0, 0)  # PR_CAPBSET_DROP; no more than an error for others


def full_disk() -> None:
    """Let no file grow."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


def listing(place: Path) -> dict[str, int]:
    """Every path below `place`, and when it was written."""
    return {str(path.relative_to(place)): path.stat().st_mtime_ns for path in place.rglob("*")}


def close(place: Path, mode: int = 0o555) -> None:
    """Make all folders of `place` read-only (or, with 0o755, open them again)."""
    for folder in [place, *(path for path in place.rglob("*") if path.is_dir())]:
        folder.chmod(mode)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A place that one start has filled."""
    place = tmp_path_factory.mktemp("kernels")
    first = start(place)
    assert (first["writable"], first["read"]) == (True, 0)
    assert Path(first["folder"]).parent == place
    assert Path(first["folder"]).name.startswith("kernels-")
    return place


@pytest.fixture()
def copied(kept: Path, tmp_path: Path) -> Path:
    """A copy of `kept` to spoil."""
    return Path(shutil.copytree(kept, tmp_path / "kernels"))


def test_a_second_start_reads_what_the_first_one_kept(kept: Path) -> None:
    before = listing(kept)
    assert any(name.endswith(".nbc") for name in before)
    assert start(kept)["read"] == 1
    assert listing(kept) == before


def test_read_only_code_is_read_and_nothing_is_written(copied: Path) -> None:
    close(copied)
    before = listing(copied)
    again = start(copied, bound_by_modes)
    assert (again["writable"], again["read"]) == (False, 1)
    assert listing(copied) == before
    close(copied, 0o755)


@pytest.mark.parametrize("place", ["missing", "file/below"])
def test_where_nothing_can_be_kept_every_start_compiles_anew(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("no folder")
    close(tmp_path)
    alone = start(tmp_path / place, bound_by_modes)
    assert (alone["writable"], alone["read"]) == (False, 0)
    close(tmp_path, 0o755)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_full_disk_costs_the_kept_code_and_nothing_else(tmp_path: Path) -> None:
    assert start(tmp_path, full_disk)["read"] == 0
    assert not list(tmp_path.rglob("*.nbc"))


@pytest.mark.parametrize("spoilt", ["*.nbc", "*.nbi"])
def test_a_spoilt_file_is_compiled_anew_and_kept_again(copied: Path, spoilt: str) -> None:
    for file in copied.rglob(spoilt):
        file.write_bytes(file.read_bytes()[:20])
    assert start(copied)["read"] == 0
    assert start(copied)["read"] == 1


def loaded(package: Path) -> ModuleType:
    """The `compiled` module of another copy of the sources."""
    spec = importlib.util.spec_from_file_location("compiled_elsewhere", package / "kernels.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_digest_changes_with_any_source_of_a_kernel_and_no_other_file(tmp_path: Path) -> None:
    package = tmp_path / "api_anomaly"
    for name in ("logs", "features", "model", "explain", "feedback"):
        shutil.copytree(ROOT / "api_anomaly" / name, package / name)
    shutil.copy(ROOT / "api_anomaly" / "kernels.py", package)
    digest = loaded(package).source_digest()
    (package / "errors.py").write_text("# not a kernel's source\n")
    assert loaded(package).source_digest() == digest
    digests = {digest}
    for name in ("features/decay.py", "model/trees.py", "logs/scan/logs.py", "kernels.py"):
        with (package / name).open("a") as source:
            source.write("# changed\n")
        digests.add(loaded(package).source_digest())
    assert len(digests) == 5


def test_a_folder_that_is_none_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    assert compiled._writable(tmp_path / "a" / "b")
    assert not compiled._writable(tmp_path / "file" / "b")


def ratio(part: float, whole: float) -> float:
    """A kernel of this test."""
    return part / whole


def test_a_kernel_divides_as_numpy_does_and_outlives_its_kept_file() -> None:
    folder, writable = compiled.kept_code()
    assert compiled.kernel(ratio)(1.0, 4.0) == 0.25
    assert math.isnan(compiled.kernel(ratio)(0.0, 0.0))
    own = folder / Path(__file__).stem
    for file in own.glob("*.nbc") if writable else ():
        file.write_bytes(b"spoilt")
    assert compiled.kernel(ratio)(1.0, 0.0) == math.inf
    shutil.rmtree(own, ignore_errors=True)


def test_a_service_that_only_scores_does_not_import_scikit_learn() -> None:
    program = "import sys, api_anomaly.http.app; assert 'sklearn' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, timeout=300)
    assert done.returncode == 0
