"""What is usual for peers: the values of features in the training, by the age of the actor.

An actor that is known for an hour has fewer different URLs than one that is known for a week, so
each is compared with actors of about its own age.
"""

import math
from functools import partial
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from api_anomaly.features.table import FEATURES, NAMES
from api_anomaly.kernels import kernel
from api_anomaly.model.calibration import quantiles
from api_anomaly.model.executor import Executor, serial

#: Ages (log(1 + hours)) at which an actor passes into the next group: an hour and a day.
AGES = np.log1p(np.array([1.0, 24.0]))
#: Shares of training rows that lie below each of the kept levels: both sides and the middle.
SHARES = np.array([0.01, 0.05, 0.25, 0.5, 0.75, 0.9, 0.95, 0.98, 0.99])
MIDDLE = int(np.searchsorted(SHARES, 0.5))
#: The column that holds the age of each feature's actor; a request's actor is its user.
AGE_COLUMN = np.array(
    [
        NAMES.index("address_age" if row.name.startswith("address_") else "user_age")
        for row in FEATURES
    ]
)
#: Which features count from one on: every actor's first address is new to it.
STARTS_WITH_ONE = np.array(
    [
        row.name.endswith(("_new_addresses_1d", "_new_users_1d", "_new_user_agents_1d"))
        for row in FEATURES
    ]
)
_MEDIAN = np.array([0.5])
_COLUMNS_PER_TASK = 16  # one cache line of each row
_MIN_SPREAD = np.float32(0.05)  # of a feature with the same value everywhere
_MIN_ROWS = 200  # training rows of an age group, below which all rows stand for it


class PeerBaseline(NamedTuple):
    """Values of each feature in the training, by how long the actor is known: under an hour, under
    a day, longer.

    `usual` (3, d) is the median, `levels` (3, len(SHARES), d) are the quantiles at SHARES.
    """

    usual: NDArray[np.float32]
    levels: NDArray[np.float32]

    @classmethod
    def of(cls, rows: NDArray[np.float32], executor: Executor = serial) -> Self:
        """From training rows (n, d)."""
        usual = np.empty((len(AGES) + 1, rows.shape[1]), np.float32)
        levels = np.empty((len(usual), len(SHARES), rows.shape[1]), np.float32)
        groups = {column: _rows_by_age(rows[:, column]) for column in np.unique(AGE_COLUMN)}
        found = cls(usual, levels)
        starts = range(0, rows.shape[1], _COLUMNS_PER_TASK)
        executor([partial(found._measure, rows, groups, start) for start in starts])
        return found

    def _measure(
        self, rows: NDArray[np.float32], groups: dict[Any, list[NDArray[np.int64]]], start: int
    ) -> None:
        """Fill in the columns from `start` on. `groups`: rows of each age, by the age's column."""
        columns = np.ascontiguousarray(rows[:, start : start + _COLUMNS_PER_TASK].T)
        for j, column in enumerate(columns, start):
            for age, members in enumerate(groups[AGE_COLUMN[j]]):
                values = np.sort(column[members])
                self.usual[age, j] = quantiles(values, _MEDIAN)[0]
                if STARTS_WITH_ONE[j]:
                    values = np.sort(_column_without_first(rows, j)[members])
                self.levels[age, :, j] = quantiles(values, SHARES)

    def spread(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Per feature (d,), for actors known for a day or more: the distances from the median down
        to the 1 % quantile and up to the 99 % quantile, at least a twentieth."""
        usual, levels = self.usual[-1], self.levels[-1]
        below, above = usual - levels[0], levels[-1] - usual
        return np.maximum(below, _MIN_SPREAD), np.maximum(above, _MIN_SPREAD)


def _rows_by_age(age: NDArray[np.float32]) -> list[NDArray[np.int64]]:
    """The rows of each age group by `age` (n,); all rows for a group with too few."""
    group = np.searchsorted(AGES, age, side="right")
    rows = [np.flatnonzero(group == one) for one in range(len(AGES) + 1)]
    return [members if len(members) >= _MIN_ROWS else np.arange(len(age)) for members in rows]


def _column_without_first(rows: NDArray[np.float32], j: int) -> NDArray[np.float32]:
    """Feature `j` of `rows` (n, d), each less its actor's first one (see STARTS_WITH_ONE)."""
    rest = np.empty(len(rows), np.float32)
    _subtract_first(rows, j, rest)
    return rest


@kernel
def _subtract_first(rows: NDArray[np.float32], j: int, rest: NDArray[np.float32]) -> None:
    for i in range(len(rows)):
        rest[i] = without_first(rows[i], j)


@kernel
def without_first(x: NDArray[np.float32], j: int) -> float:
    """log(1 + count) of feature `j` of the row x (d,), less the decayed first one of its actor."""
    first = 2.0 ** (-math.expm1(x[AGE_COLUMN[j]]) / 24.0)
    return math.log1p(max(0.0, math.expm1(x[j]) - first))


@kernel
def age_group(x: NDArray[np.float32], j: int) -> int:
    """Index into AGES of the age of feature `j`'s actor in the row x (d,)."""
    age = 0
    while age < len(AGES) and x[AGE_COLUMN[j]] >= AGES[age]:
        age += 1
    return age
