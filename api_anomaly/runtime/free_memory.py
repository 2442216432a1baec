"""Room that was needed to start or to train, and is not needed to serve, goes back to the system.

LLVM is read when kernels are loaded or compiled: some seventy megabytes of code and constants that
would stay counted as the process's own. They are clean pages of a file: dropped, they come back by
themselves when a training compiles again. And the allocator keeps what was freed.
"""

import ctypes
import re
from contextlib import suppress
from pathlib import Path

#: The mappings of LLVM in /proc/self/smaps that cannot be written, each up to its swapped pages.
_LIBRARY = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) r-[x-]p [^\n]*/libllvmlite\.so\n((?:\w+:[^\n]*\n)*)", re.MULTILINE
)
#: Pages that are no longer those of the file: where the loader has put addresses in.
_OWN = re.compile(rb"^(?:Anonymous|Swap): +(\d+) kB", re.MULTILINE)
_DONT_NEED = 4  # MADV_DONTNEED of Linux


def give_back() -> None:
    """Give back what can be. Elsewhere than on Linux with glibc, nothing can."""
    with suppress(OSError, AttributeError):
        c = ctypes.CDLL(None)
        c.malloc_trim(ctypes.c_size_t(0))
        for start, size in normalize(Path("/proc/self/smaps").read_bytes()):
            c.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), _DONT_NEED)


def normalize(smaps: bytes) -> list[tuple[int, int]]:
    """Where LLVM is mapped that cannot be written and never was, as starts and sizes; nothing is
    sure without both counts of its own pages."""
    return [
        (int(first, 16), int(end, 16) - int(first, 16))
        for first, end, counts in _LIBRARY.findall(smaps)
        if _OWN.findall(counts) == [b"0", b"0"]
    ]
