"""Room that was needed to start or to train, and is not needed to serve, goes back to the system.

LLVM is read when kernels are loaded or compiled: some seventy megabytes of code and constants that
would stay counted as the process's own. They are clean pages of a file: dropped, they come back by
themselves when a training compiles again. And the allocator keeps what was freed.
"""

import ctypes
import re
from contextlib import suppress
from pathlib import Path

#: A mapping of LLVM in /proc/self/smaps that cannot be written, down to how much of it ever was.
_LIBRARY = re.compile(
    r"^([0-9a-f]+)-([0-9a-f]+) r-[x-]p .*/libllvmlite\.so\n(?:\w+:.*\n)*?Anonymous: +(\d+) kB$",
    re.MULTILINE,
)
_DONT_NEED = 4  # MADV_DONTNEED of Linux


def give_back() -> None:
    """Give back what can be. Elsewhere than on Linux with glibc, nothing can."""
    with suppress(OSError, AttributeError):
        c = ctypes.CDLL(None)
        c.malloc_trim(ctypes.c_size_t(0))
        for first, end, written in _LIBRARY.findall(Path("/proc/self/smaps").read_text()):
            # Where the loader has put addresses in, the file does not have what was written.
            if written == "0":
                start, size = int(first, 16), int(end, 16) - int(first, 16)
                c.madvise(ctypes.c_void_p(start), ctypes.c_size_t(size), _DONT_NEED)
