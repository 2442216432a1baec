"""Why a log is anomalous: which behaviours made it stand out, in their own units and words.

Each family of behaviours is put back to its usual values in turn and the log is scored again: the
fall in evidence is what the family contributed (occlusion; Zeiler and Fergus, 2014). Families,
because behaviours within one are correlated and would stand in for each other. A family speaks
through its behaviour farthest from the usual.
"""

from typing import NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from api_anomaly.core.behaviours import BEHAVIOURS, in_units

_FAMILIES = tuple(dict.fromkeys(row.family for row in BEHAVIOURS))
_MEMBERS = np.array([[row.family == family for row in BEHAVIOURS] for family in _FAMILIES])
_MOST = 3
_CHUNK = 1_024  # rows explained at once: 6 MB each with all families, 100,000 would take 600


class Reason(NamedTuple):
    """A behaviour, its value and the usual one (in the behaviour's unit), and both in words."""

    feature: str
    value: float
    usual: float
    text: str


class Scorer(Protocol):
    """Anything that gives evidence (n,) for behaviours (n, d)."""

    def evidence(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Evidence >= 0 against each row, higher is more anomalous."""


class Scaler(NamedTuple):
    """What training held to be usual, per behaviour (d,): the median, and the distances from it to
    the 1 % and 99 % points.
    """

    usual: NDArray[np.float32]
    below: NDArray[np.float32]
    above: NDArray[np.float32]

    @classmethod
    def of(cls, rows: NDArray[np.float32]) -> Self:
        """From training rows (n, d)."""
        low, usual, high = np.quantile(rows, (0.01, 0.5, 0.99), axis=0).astype(np.float32)
        floor = np.float32(0.05)
        return cls(usual, np.maximum(usual - low, floor), np.maximum(high - usual, floor))

    def distance(self, row: NDArray[np.float32]) -> NDArray[np.float32]:
        """How far each behaviour of one row (d,) lies from the usual, in those distances."""
        away = row - self.usual
        return np.where(away > 0, away / self.above, -away / self.below)


def explain(rows: NDArray[np.float32], scaler: Scaler, scorer: Scorer) -> list[tuple[Reason, ...]]:
    """Three reasons for each row (m, d), the most telling first. Scores a row once per family."""
    chunks = (rows[start : start + _CHUNK] for start in range(0, len(rows), _CHUNK))
    return [reasons for chunk in chunks for reasons in _explained(chunk, scaler, scorer)]


def _explained(
    rows: NDArray[np.float32], scaler: Scaler, scorer: Scorer
) -> list[tuple[Reason, ...]]:
    """`explain` for so few rows that a copy of them for each family is small."""
    occluded = np.where(_MEMBERS[None], scaler.usual, rows[:, None]).astype(np.float32)
    scores = scorer.evidence(occluded.reshape(-1, rows.shape[1])).reshape(len(rows), len(_FAMILIES))
    ranking = np.argsort(scores, axis=1, kind="stable")[:, :_MOST]
    values, usual = in_units(rows), in_units(scaler.usual)
    distances = scaler.distance(rows)
    return [
        tuple(
            _reason(values[i], usual, np.where(_MEMBERS[family], distances[i], -1.0))
            for family in ranking[i]
        )
        for i in range(len(rows))
    ]


def _reason(
    values: NDArray[np.float64], usual: NDArray[np.float64], distances: NDArray[np.float32]
) -> Reason:
    farthest = int(np.argmax(distances))
    value, normal = float(values[farthest]), float(usual[farthest])
    row = BEHAVIOURS[farthest]
    words = row.words.format(value=_readable(value, row.unit))
    return Reason(row.name, value, normal, f"{words}; usually {_readable(normal, row.unit)}")


def _readable(value: float, unit: str) -> str:
    if unit == "share":
        return f"{100.0 * value:.0f} %"
    return f"{value:,.0f}" if abs(value) >= 20.0 else f"{round(value, 2) + 0.0:.2g}"
