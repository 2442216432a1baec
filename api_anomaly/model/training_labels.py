"""What a training learns from verdicts: whose logs to count as what.

A verdict is on one log, but it speaks of what its user (without one: its address) did around it:
the logs of that user within a day that are like the judged one (`NEAR`) share the verdict. With the
judged behaviours themselves they join the attacks' side or the own side of the second stage. Forest
and memory stay as they would be; the threshold follows from what the second stage then thinks.

Each user has one voice on its side, however often it was judged and however many logs it sent.
Users who were judged for the same share at most one: a campaign from a hundred addresses is one
attack. And a user of a few logs has a part of one, since a single request looks like any other
visitor's. All voices of a side together have a bounded share, the harmless at most as much as the
hostile: so nobody can teach the model that an attack is ordinary by being judged ordinary often.
Where only false positives were judged, the judged users' like logs of those days are not suspected
any more (see `train_classifier`), and the verdicts go on to vote (see `feedback`); that is all.

False alarms at the recall of tuned rules, per entity, after 20 verdicts on ten simulated
fortnights: 138 of 4,351 (without attacks in the training) and 121 of 2,631 (with) before verdicts;
196 and 159 where each user had a voice and the harmless up to 4 %; 99 and 82 as it is.
"""

import math
from typing import Any, Literal, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from api_anomaly.feedback.labels import Spread, distances, last_of_users, latest
from api_anomaly.model.peer_baseline import PeerBaseline

#: Seconds before and after a judged log within which its user's logs may share the verdict, and
#: the distance (see `feedback.FAR`) up to which they do, and up to which users were judged for the
#: same. With a narrower one for these, 0.8, campaigns fell apart: 133 false alarms instead of 116.
_AROUND, _NEAR = 86_400.0, 1.0
#: Verdicts on one user that speak, the last ones given, and of its logs around how many are looked
#: at: a key of half the traffic may be judged often.
_OF_USER, _LOOKED_AT = 20, 5_000
#: Share of a side that a whole voice gets, and that all of them get at most.
_VOICE, _MOST_HARMLESS, _MOST_HOSTILE = 0.01, 0.04, 0.1
_WHOLE_VOICE = 10  # logs, judged ones and those like them, from which on a user has one
_COMPARED = 500  # users, of all judged ones, with whom each is compared
_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


class Side(NamedTuple):
    """Behaviours (m, d) that verdicts put on one side, how they share it (m,), adding up to 1, and
    their `share` of all rows of that side."""

    rows: NDArray[np.float32]
    chance: NDArray[np.float64]
    share: float

    def drawn(self, size: int, rng: np.random.Generator) -> NDArray[np.float32]:
        """The rows for a side of `size`: its share of them, rounded up, with replacement."""
        if len(self.rows) == 0:
            return self.rows
        return self.rows[rng.choice(len(self.rows), math.ceil(self.share * size), p=self.chance)]


class TrainingLabels(NamedTuple):
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
        labels: NDArray[Any],
        rows: NDArray[np.float32],
        actors: NDArray[np.uint64],
        time: NDArray[np.float64],
        peer_baseline: PeerBaseline,
    ) -> Self:
        """From `labels` (m,) of `LABEL`, the last given last, and n logs: `rows` (n, d), `actors`
        (n,) and `time` (n,) in Unix seconds.

        O(n log n), and a distance for each log of a judged user within a day of the judged one, or
        for every second, third ... where there are thousands; a quarter of a millisecond a lesson
        besides where there are hundreds of users.
        """
        labels = latest(labels)
        labels = labels[np.sort(last_of_users(labels["user"], _OF_USER))]
        order = np.argsort(actors, kind="stable")
        ordered = actors[order]
        marks = {verdict: np.zeros(len(rows), np.bool_) for verdict in (False, True)}
        spread = peer_baseline.spread()
        for label in labels:
            first, end = (np.searchsorted(ordered, label["user"], side) for side in _SIDES)
            own = order[first:end]
            around = own[np.abs(time[own] - label["time"]) <= _AROUND]
            around = around[:: 1 + len(around) // _LOOKED_AT]
            alike = distances(rows[around], label["row"], spread) < _NEAR
            marks[bool(label["hostile"])][around[alike]] = True
        guilty = marks[True]
        cleared = marks[False] & ~guilty
        past = rows, actors
        hostile = _side(labels[labels["hostile"]], *past, guilty, spread, _MOST_HOSTILE)
        most = min(_MOST_HARMLESS, hostile.share)
        harmless = _side(labels[~labels["hostile"]], *past, cleared, spread, most)
        until = float(labels["given"].max(initial=-np.inf))
        return cls(hostile, harmless, guilty, cleared, until)


def _side(
    labels: NDArray[Any],
    rows: NDArray[np.float32],
    actors: NDArray[np.uint64],
    marked: NDArray[np.bool_],
    spread: Spread,
    most: float,
) -> Side:
    """The judged behaviours of `labels` and the `marked` ones of the history, user by user."""
    both = np.concatenate([labels["row"], rows[marked]])
    users = np.concatenate([labels["user"], actors[marked]])
    _, user, logs = np.unique(users, return_inverse=True, return_counts=True)
    judged = user[: len(labels)]
    distance = 1.0 / _judged_alike(labels["row"], judged, spread)
    alone = np.bincount(judged, distance, len(logs)) / np.bincount(judged, minlength=len(logs))
    weight_of_user = alone * np.minimum(1.0, logs / _WHOLE_VOICE)
    chance = (weight_of_user / logs)[user]
    return Side(both, chance / chance.sum(), min(most, _VOICE * float(weight_of_user.sum())))


def _judged_alike(
    rows: NDArray[np.float32], user: NDArray[np.int64], spread: Spread
) -> NDArray[np.int64]:
    """For each judged log, how many users were judged for its like: its own, and those whose last
    judged log is like it. `rows` (m, d) are in the order given, `user` (m,) from 0 on. Of hundreds
    of users every second, third ... is looked at.
    """
    users, last = np.unique(user[::-1], return_index=True)
    step = 1 + len(users) // _COMPARED
    others, compared = users[::step], rows[len(user) - 1 - last[::step]]
    alike = np.ones(len(rows), np.int64)
    for i, row in enumerate(rows):
        # Both ways, for the spread is not the same up and down.
        distance = np.maximum(*(distances(compared, row, way) for way in (spread, spread[::-1])))
        alike[i] += step * int(((distance < _NEAR) & (others != user[i])).sum())
    return alike
