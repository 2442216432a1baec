"""How kernels are compiled, and where their machine code is cached.

Numba compiles a kernel at its first call and can cache the machine code on disk. Two of its rules
do not fit a service, so this module changes them:

* Numba recognizes a cached file by the source of the kernel's own module only: a kernel that calls
  one of another module would be stale after an upgrade. Here the name of the folder holds a digest
  of *all* sources of kernels.
* Numba gives up when the folder is not writable. Here a read-only folder is read and never written,
  so that code that was compiled when the image was built serves a container with a read-only root.
  Where nothing can be read or written, every start compiles anew (about a minute).

The cached files are code and are trusted like the ``.pyc`` files beside them.
"""

import hashlib
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from functools import cache
from itertools import chain
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.caching import CompileResultCacheImpl, FunctionCache, UserProvidedCacheLocator

#: One record of a structured array inside a kernel, where its fields are attributes. (NumPy's type
#: of such a record, numpy.void, does not know their names.)
Record = Any
#: A function that a decorator below compiles. It keeps its type, so that mypy checks kernels and
#: their calls like any other function.
Function = TypeVar("Function", bound=Callable[..., Any])

_SOURCES = Path(__file__).parent
_PACKAGES = ("logs", "features", "model", "explain", "feedback")  # those with kernels


@cache
def source_digest() -> str:
    """First 12 hex digits of the SHA-256 over every source that holds or feeds a kernel."""
    digest = hashlib.sha256()
    packages = (sorted((_SOURCES / package).rglob("*.py")) for package in _PACKAGES)
    for path in [Path(__file__), *chain.from_iterable(packages)]:
        name = path.relative_to(_SOURCES).as_posix()
        digest.update(name.encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]


@cache
def cache_folder() -> tuple[Path, bool]:
    """The folder of the compiled kernels and whether it is writable.

    The environment variable ``KERNEL_CACHE_DIR`` is its parent; default: the package's
    ``__pycache__``.
    """
    configured = os.environ.get("KERNEL_CACHE_DIR")
    parent = Path(configured) if configured else _SOURCES / "__pycache__"
    folder = parent / f"kernels-{source_digest()}"
    return folder, _is_writable(folder)


def _is_writable(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError:
        return False
    return True


class _Locator(UserProvidedCacheLocator):
    """Caches the machine code of a kernel in `cache_folder`, whatever the time of its source."""

    def __init__(self, py_func: Any, py_file: str) -> None:
        super().__init__(py_func, py_file)  # type: ignore[no-untyped-call]
        package, module = Path(py_file).parent.name, Path(py_file).stem
        self._cache_path = str(cache_folder()[0] / f"{package}.{module}")

    def get_source_stamp(self) -> str:
        return source_digest()

    @classmethod
    def from_function(cls, py_func: Any, py_file: str) -> "_Locator":
        return cls(py_func, py_file)


class _CacheFiles(CompileResultCacheImpl):
    _locator_classes = [_Locator]


class _KernelCache(FunctionCache):
    _impl_class = _CacheFiles

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return super().load_overload(sig, target_context)  # type: ignore[no-untyped-call]
        except Exception:  # whatever is wrong with a cached file: compile anew
            self._delete()
            return None

    def _delete(self) -> None:
        if cache_folder()[1]:
            with suppress(OSError):
                self.flush()  # type: ignore[no-untyped-call]

    def save_overload(self, sig: Any, data: Any) -> None:
        if cache_folder()[1]:
            with suppress(OSError):  # for example a full disk; the next start compiles again
                super().save_overload(sig, data)  # type: ignore[no-untyped-call]


def kernel(function: Function) -> Function:
    """Compile `function` for arrays: no Python objects, no GIL, IEEE arithmetic, cached on disk.

    A kernel is inlined into those that call it: passing a table (dozens of words) would cost more
    than most kernels do.
    """
    compiled: Any = numba.njit(nogil=True, error_model="numpy", forceinline=True)(function)
    compiled._cache = _KernelCache(function)  # type: ignore[no-untyped-call]
    dispatcher: Function = compiled
    return dispatcher
