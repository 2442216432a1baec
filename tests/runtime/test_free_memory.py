"""What a start or a training needed goes back to the system, and comes back when it is needed."""

import re
from pathlib import Path

import numba
import pytest

from api_anomaly.runtime.free_memory import normalize, give_back


def compiler_kilobytes() -> int:
    """How much of LLVM is in this process and has never been written."""
    smaps = Path("/proc/self/smaps").read_text()
    sizes = re.findall(r"r-[x-]p .*/libllvmlite\.so\n(?:\w+:.*\n)*?Rss: +(\d+) kB", smaps)
    return sum(map(int, sizes))


@pytest.mark.skipif(not Path("/proc/self/smaps").exists(), reason="only Linux says it")
def test_the_compiler_goes_and_comes_back() -> None:
    assert int(numba.njit(lambda x: x + 1)(1)) == 2
    before = compiler_kilobytes()
    give_back()
    assert compiler_kilobytes() < before / 4
    assert int(numba.njit(lambda x: x + 2)(1)) == 3


def mapping(rights: str, name: str = "/x/libllvmlite.so", anonymous: int = 0, swap: int = 0) -> str:
    """One mapping as the kernel lists it."""
    return (
        f"7f0000001000-7f0000003000 {rights} 00000000 fe:00 1 {name}\nSize: 8 kB\nRss: 8 kB\n"
        f"Anonymous: {anonymous:8d} kB\nLazyFree: 0 kB\nSwap: {swap:12d} kB\nSwapPss: 0 kB\n"
    )


@pytest.mark.parametrize("rights", ["r-xp", "r--p"])
def test_only_what_the_file_still_holds_is_given_back(rights: str) -> None:
    found = [(0x7F0000001000, 0x2000)]
    assert normalize(mapping(rights).encode()) == found
    for kept in (
        mapping(rights, anonymous=4),
        mapping(rights, swap=1_792),
        mapping("rw-p"),
        mapping(rights, "/x/libpython.so"),
        mapping(rights).replace("Swap:", "Other:"),
    ):
        assert normalize(kept.encode()) == []
        assert normalize((kept + mapping(rights)).encode()) == found


def test_names_that_are_no_text_do_no_harm() -> None:
    strange = mapping("r-xp", "/tmp/caf").encode().replace(b"caf", b"caf\xe9")
    assert normalize(strange + mapping("r-xp").encode()) == [(0x7F0000001000, 0x2000)]
