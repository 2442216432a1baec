"""What a start or a training needed goes back to the system, and comes back when it is needed."""

import re
from pathlib import Path

import numba
import pytest

from api_anomaly.service.pages import give_back


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
