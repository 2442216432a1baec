"""Room that was needed to start or to train, and is not needed to serve, goes back to the system.

Two thirds of what LLVM brings along is read once, when the kernels are loaded: some sixty megabytes
of machine code that stay counted as the process's own. They are clean pages of a file: dropped,
they come back by themselves when a training compiles again. And the allocator keeps what was freed.
"""

import ctypes
import re
from contextlib import suppress
from pathlib import Path

_LIBRARY = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) r-xp .*/libllvmlite\.so$")
_DONT_NEED = 4  # MADV_DONTNEED of Linux


def give_back() -> None:
    """Give back what can be. Elsewhere than on Linux with glibc, nothing can."""
    with suppress(OSError, AttributeError):
        c = ctypes.CDLL(None)
        c.malloc_trim(ctypes.c_size_t(0))
        # Mapped to be executed and never written: no page of it is other than the file's.
        for line in Path("/proc/self/maps").read_text().splitlines():
            if found := _LIBRARY.match(line):
                start, end = (int(place, 16) for place in found.groups())
                c.madvise(ctypes.c_void_p(start), ctypes.c_size_t(end - start), _DONT_NEED)
