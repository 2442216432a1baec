"""Memory that starting and training needed is released, and is read again when needed."""

import re
from pathlib import Path

import numba
import pytest

from api_anomaly.runtime.free_memory import clean_mappings, release_memory


def compiler_kilobytes() -> int:
    """Resident kilobytes of LLVM in this process that were never written."""
    smaps = Path("/proc/self/smaps").read_text()
    sizes = re.findall(r"r-[x-]p .*/libllvmlite\.so\n(?:\w+:.*\n)*?Rss: +(\d+) kB", smaps)
    return sum(map(int, sizes))


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="needs Linux")
def test_the_compiler_is_released_and_still_works() -> None:
    assert int(numba.njit(lambda x: x + 1)(1)) == 2
    before = compiler_kilobytes()
    release_memory()
    assert compiler_kilobytes() < before / 4
    assert int(numba.njit(lambda x: x + 2)(1)) == 3


def mapping(rights: str, name: str = "/x/libllvmlite.so", anonymous: int = 0, swap: int = 0) -> str:
    """One mapping as the kernel lists it."""
    return (
        f"7f0000001000-7f0000003000 {rights} 00000000 fe:00 1 {name}\nSize: 8 kB\nRss: 8 kB\n"
        f"Anonymous: {anonymous:8d} kB\nLazyFree: 0 kB\nSwap: {swap:12d} kB\nSwapPss: 0 kB\n"
    )


@pytest.mark.parametrize("rights", ["r-xp", "r--p"])
def test_only_pages_that_equal_the_file_are_released(rights: str) -> None:
    found = [(0x7F0000001000, 0x2000)]
    assert clean_mappings(mapping(rights).encode()) == found
    for excluded in (
        mapping(rights, anonymous=4),
        mapping(rights, swap=1_792),
        mapping("rw-p"),
        mapping(rights, "/x/libpython.so"),
        mapping(rights).replace("Swap:", "Other:"),
    ):
        assert clean_mappings(excluded.encode()) == []
        assert clean_mappings((excluded + mapping(rights)).encode()) == found


def test_file_names_that_are_not_utf8_are_accepted() -> None:
    strange = mapping("r-xp", "/tmp/caf").encode().replace(b"caf", b"caf\xe9")
    assert clean_mappings(strange + mapping("r-xp").encode()) == [(0x7F0000001000, 0x2000)]
