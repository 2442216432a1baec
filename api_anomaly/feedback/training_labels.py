"""Training labels from label records: which logs count as attacks or as ordinary traffic.

A label is on one log, but also describes what its user (without one: its address) did around it:
the logs of that user within a day that are similar to the labelled one (`_NEAR`) get the same
label. They join the attacks or the ordinary logs in the classifier's training data. Forest and
memory stay the same; the threshold follows from the classifier's new scores.

Each user has one weight on its side, however often it was labelled and however many logs it sent.
Users who were labelled for the same thing share one weight: a campaign from a hundred addresses is
one attack. A user of a few logs has a part of a weight, because a single request looks like that of
any visitor. All weights of a side together have a bounded share, and harmless ones at most the
share of hostile ones: so false positives, however many, cannot teach the model that an attack is
ordinary. With false positives alone, the similar logs of those users are not relabelled as
suspected attacks any more (see `model.synthetic.relabel`), and the labels keep rescoring (see
`rescoring`).

False alarms at the recall of tuned rules, per entity, after 20 labels on ten simulated fortnights:
138 of 4,351 (clean training) and 121 of 2,631 (attacks in the training) without labels; 196 and 159
with one weight for each user and up to 4 % for harmless rows; 99 and 82 with the rules above.
"""

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from api_anomaly.feedback.labels import Spread, distances, last_of_users, latest
from api_anomaly.model.peer_baseline import PeerBaseline
from api_anomaly.model.training_labels import LabelledRows, TrainingLabels

#: Seconds before and after a labelled log within which its user's logs may get the same label, and
#: the distance up to which they do, and up to which users were labelled for the same thing. With a
#: narrower distance, 0.8, campaigns were split: 133 false alarms instead of 116.
_AROUND_SECONDS, _NEAR = 86_400.0, 1.0
#: The last labels on one user that count, and the number of its logs that are compared with each: a
#: key of half the traffic may be labelled often.
_LABELS_OF_USER, _MAX_COMPARED_LOGS = 20, 5_000
#: Share of a side that a full weight gets, and the most that all weights get together.
_SHARE_OF_WEIGHT, _MAX_HARMLESS, _MAX_HOSTILE = 0.01, 0.04, 0.1
_LOGS_FOR_FULL_WEIGHT = 10  # labelled ones and similar ones
_MAX_COMPARED_USERS = 500  # of all labelled users, with whom each is compared
_SIDES: tuple[Literal["left"], Literal["right"]] = ("left", "right")


class LabelRecords:
    """A `LabelSource` of label records (m,) of `LABEL`, in the order in which they were given."""

    def __init__(self, labels: NDArray[Any]) -> None:
        self._labels = labels

    def training_labels(
        self,
        rows: NDArray[np.float32],
        actors: NDArray[np.uint64],
        time: NDArray[np.float64],
        baseline: PeerBaseline,
    ) -> TrainingLabels | None:
        """See `LabelSource`.

        O(n log n), and a distance for each log of a labelled user within a day of the labelled one
        (for every second, third, ... of thousands); with hundreds of users a quarter of a
        millisecond for each label.
        """
        if len(self._labels) == 0:
            return None
        labels = latest(self._labels)
        labels = labels[np.sort(last_of_users(labels["user"], _LABELS_OF_USER))]
        spread = baseline.spread()
        hostile_logs, harmless_logs = _labelled_logs(labels, rows, actors, time, spread)
        hostile_labels = labels["hostile"]
        hostile = _labelled_rows(
            labels[hostile_labels], rows[hostile_logs], actors[hostile_logs], spread, _MAX_HOSTILE
        )
        max_share = min(_MAX_HARMLESS, hostile.share)
        harmless = _labelled_rows(
            labels[~hostile_labels], rows[harmless_logs], actors[harmless_logs], spread, max_share
        )
        until = float(labels["given"].max(initial=-np.inf))
        return TrainingLabels(hostile, harmless, hostile_logs, harmless_logs, until)


def _labelled_logs(
    labels: NDArray[Any],
    rows: NDArray[np.float32],
    actors: NDArray[np.uint64],
    time: NDArray[np.float64],
    spread: Spread,
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Masks (n,) of the logs that get a hostile label, and of those that get a harmless one
    only.
    """
    order = np.argsort(actors, kind="stable")
    ordered = actors[order]
    masks = {hostile: np.zeros(len(rows), np.bool_) for hostile in (False, True)}
    for label in labels:
        first, end = (np.searchsorted(ordered, label["user"], side) for side in _SIDES)
        of_user = order[first:end]
        around = of_user[np.abs(time[of_user] - label["time"]) <= _AROUND_SECONDS]
        around = around[:: 1 + len(around) // _MAX_COMPARED_LOGS]
        near = distances(rows[around], label["row"], spread) < _NEAR
        masks[bool(label["hostile"])][around[near]] = True
    return masks[True], masks[False] & ~masks[True]


def _labelled_rows(
    labels: NDArray[Any],
    rows: NDArray[np.float32],
    actors: NDArray[np.uint64],
    spread: Spread,
    max_share: float,
) -> LabelledRows:
    """One side: the rows of `labels` and the `rows` (k, d) of `actors` (k,) that share them."""
    both = np.concatenate([labels["row"], rows])
    users = np.concatenate([labels["user"], actors])
    _, user, logs = np.unique(users, return_inverse=True, return_counts=True)
    labelled = user[: len(labels)]
    part = 1.0 / _count_users_with_same_label(labels["row"], labelled, spread)
    mean_part = np.bincount(labelled, part, len(logs)) / np.bincount(labelled, minlength=len(logs))
    weight = mean_part * np.minimum(1.0, logs / _LOGS_FOR_FULL_WEIGHT)
    probability = (weight / logs)[user]
    share = min(max_share, _SHARE_OF_WEIGHT * float(weight.sum()))
    return LabelledRows(both, probability / probability.sum(), share)


def _count_users_with_same_label(
    rows: NDArray[np.float32], user: NDArray[np.int64], spread: Spread
) -> NDArray[np.int64]:
    """For each label, the number of users who were labelled for the same thing, its user included.

    Those are the users whose last labelled row is near. `rows` (m, d) are in the order given,
    `user` (m,) counts from 0. Of hundreds of users every second, third, ... is compared.
    """
    users, last = np.unique(user[::-1], return_index=True)
    step = 1 + len(users) // _MAX_COMPARED_USERS
    others, compared = users[::step], rows[len(user) - 1 - last[::step]]
    count = np.ones(len(rows), np.int64)
    for i, row in enumerate(rows):
        # In both directions, because the spread is not the same up and down.
        distance = np.maximum(*(distances(compared, row, way) for way in (spread, spread[::-1])))
        count[i] += step * int(((distance < _NEAR) & (others != user[i])).sum())
    return count
