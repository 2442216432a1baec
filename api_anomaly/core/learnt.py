"""What a training learns from verdicts: whose logs to count as what.

A verdict is on one log, but it speaks of what its user (without one: its address) did around it:
the logs of that user within a day that are like the judged one (`NEAR`) share the verdict. With the
judged behaviours themselves they join the attacks' side or the own side of the second stage. Forest
and memory stay as they would be; the threshold follows from what the second stage then thinks.

Each user has one voice on its side, however often it was judged and however many logs it sent, and
all voices of a side together have a bounded share: so nobody can teach the model that an attack is
ordinary by being judged ordinary often. Where thousands of users were judged, each is drawn by lot.
"""

import math
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from api_anomaly.core.lessons import latest
from api_anomaly.core.reasons import Scaler

#: Seconds before and after a judged log within which its user's logs may share the verdict, and
#: the distance (see `feedback.NEAR`) up to which they do.
_AROUND, _NEAR = 86_400.0, 1.0
#: Verdicts on one user that speak, the last ones given, and of its logs around how many are looked
#: at: a key of half the traffic may be judged often.
_OF_USER, _LOOKED_AT = 20, 5_000
_MOST_APART = 3.0  # of one behaviour, as in `feedback`
#: Share of a side that a user's voice gets, and that all of them get at most. After 20 verdicts on
#: four simulated fortnights without attacks, false alarms per entity at the recall of tuned rules
#: fell by 90.3 % where the harmless had up to 0.15, by 93.2 % at 0.04; without verdicts by 96.4 %.
_VOICE, _MOST_HARMLESS, _MOST_HOSTILE = 0.0075, 0.04, 0.1
_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


class Side(NamedTuple):
    """Behaviours (m, d) that verdicts put on one side, how they share it (m,), adding up to 1, and
    their `share` of all rows of that side."""

    rows: NDArray[np.float32]
    chance: NDArray[np.float64]
    share: float

    def drawn(self, size: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """The rows for a side of `size`: its share of them, at least one, with replacement."""
        if len(self.rows) == 0:
            return self.rows
        return self.rows[rng.choice(len(self.rows), math.ceil(self.share * size), p=self.chance)]


class Learnt(NamedTuple):
    """What verdicts say of n logs: the two sides, and which logs are `guilty` (n,) or `cleared`;
    `until` is when the last verdict was given, in Unix seconds."""

    hostile: Side
    harmless: Side
    guilty: NDArray[np.bool_]
    cleared: NDArray[np.bool_]
    until: float

    @classmethod
    def of(
        cls,
        lessons: NDArray[Any],
        rows: NDArray[np.float32],
        actors: NDArray[np.uint64],
        time: NDArray[np.float64],
        scaler: Scaler,
    ) -> Self:
        """From `lessons` (m,) of `LESSON`, the last given last, and n logs: `rows` (n, d), `actors`
        (n,) and `time` (n,) in Unix seconds.

        O(n log n), and a distance for each log of a judged user within a day of the judged one, or
        for every second, third ... where there are thousands.
        """
        lessons = _last_of_each(latest(lessons))
        order = np.argsort(actors, kind="stable")
        ordered = actors[order]
        marks = {verdict: np.zeros(len(rows), np.bool_) for verdict in (False, True)}
        below, above = (1.0 / distance for distance in scaler.spread())
        for lesson in lessons:
            first, end = (np.searchsorted(ordered, lesson["user"], side) for side in _SIDES)
            own = order[first:end]
            around = own[np.abs(time[own] - lesson["time"]) <= _AROUND]
            around = around[:: 1 + len(around) // _LOOKED_AT]
            away = rows[around] - lesson["row"]
            apart = np.minimum(_MOST_APART, np.maximum(away * above, -away * below))
            alike = np.sqrt((apart * apart).mean(axis=1)) < _NEAR
            marks[bool(lesson["hostile"])][around[alike]] = True
        guilty = marks[True]
        cleared = marks[False] & ~guilty
        return cls(
            _side(lessons[lessons["hostile"]], rows, actors, guilty, _MOST_HOSTILE),
            _side(lessons[~lessons["hostile"]], rows, actors, cleared, _MOST_HARMLESS),
            guilty,
            cleared,
            float(lessons["given"].max(initial=-np.inf)),
        )


def _last_of_each(lessons: NDArray[Any]) -> NDArray[Any]:
    """Of `lessons` (m,) the last `_OF_USER` of each user."""
    late = lessons[::-1]
    order = np.argsort(late["user"], kind="stable")
    _, counts = np.unique(late["user"], return_counts=True)
    place = np.arange(len(late)) - np.repeat(np.cumsum(counts) - counts, counts)
    return late[np.sort(order[place < _OF_USER])][::-1]


def _side(
    lessons: NDArray[Any],
    rows: NDArray[np.float32],
    actors: NDArray[np.uint64],
    marked: NDArray[np.bool_],
    most: float,
) -> Side:
    """The judged behaviours of `lessons` and the `marked` ones of the history, user by user."""
    both = np.concatenate([lessons["row"], rows[marked]])
    users = np.concatenate([lessons["user"], actors[marked]])
    _, user, counts = np.unique(users, return_inverse=True, return_counts=True)
    chance = 1.0 / (counts[user] * max(1, len(counts)))
    return Side(both, chance, min(most, _VOICE * len(counts)))
