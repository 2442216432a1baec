"""Runs of equal values that lie side by side."""

from typing import Any

import numpy as np
from numpy.typing import NDArray


def places(groups: NDArray[Any]) -> NDArray[np.int64]:
    """The place of each (m,) among its equals, from 0; equals lie side by side. O(m)."""
    starts = np.flatnonzero(np.append(True, groups[1:] != groups[:-1]))
    return np.arange(len(groups)) - np.repeat(starts, np.diff(np.append(starts, len(groups))))
