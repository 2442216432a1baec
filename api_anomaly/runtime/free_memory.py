"""Returns memory that starting and training needed, and serving does not, to the system.

LLVM is loaded when kernels are loaded or compiled: about 70 MB of code and constants that would
stay counted as the process's own. They are clean pages of a file: once dropped, the kernel reads
them again when a training compiles. And glibc's allocator keeps freed memory until it is trimmed.
"""

import ctypes
import re
from contextlib import suppress
from pathlib import Path

#: LLVM's mappings without write permission in /proc/self/smaps, each with its counts.
_LIBRARY = re.compile(
    rb"^([0-9a-f]+)-([0-9a-f]+) r-[x-]p [^\n]*/libllvmlite\.so\n((?:\w+:[^\n]*\n)*)", re.MULTILINE
)
#: Counts of pages that differ from the file: the loader has written addresses into them.
_PRIVATE_PAGES = re.compile(rb"^(?:Anonymous|Swap): +(\d+) kB", re.MULTILINE)
_MADV_DONTNEED = 4  # Linux


def release_memory() -> None:
    """Release what can be released. Does nothing on systems other than Linux with glibc."""
    with suppress(OSError, AttributeError):
        c = ctypes.CDLL(None)
        c.malloc_trim(ctypes.c_size_t(0))
        for start, size in clean_mappings(Path("/proc/self/smaps").read_bytes()):
            c.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), _MADV_DONTNEED)


def clean_mappings(smaps: bytes) -> list[tuple[int, int]]:
    """Start and size in bytes of LLVM's mappings that were never written. A mapping without both
    counts of private pages is left out."""
    return [
        (int(first, 16), int(end, 16) - int(first, 16))
        for first, end, counts in _LIBRARY.findall(smaps)
        if _PRIVATE_PAGES.findall(counts) == [b"0", b"0"]
    ]
