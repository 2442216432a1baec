"""Rescoring: labels of analysts change the evidence against similar logs at once.

Nothing is trained here. The distance of a log from the labelled logs, over all features, changes
its evidence and so its score, with any model. Two rules apply.

**Labels of the same user** (without a user: of the same address). The nearest label decides. After
a false positive, a similar log gets the evidence of the median log. After a true positive, a
similar log becomes ten times rarer, and an anomaly at least. Both rules end where the evidence of
the log differs from that of the labelled one: a false positive never lowers a log that is ten times
rarer, and a true positive never raises the ordinary logs of the victim. The number of labels makes
no difference, so that frequent labels cannot hide an attack.

**Labels of all users.** All labels near a log together move its evidence by at most `MAX_SHIFT`.
The labels of one user together have a weight of at most 1, and only rare logs are moved. A true
positive that the model was trained with (see `training_labels`) no longer takes part, because the
training has a larger effect, and neither do trained false positives near one. Other trained false
positives still take part, because a training lowers similar logs only a little: on ten simulated
fortnights without attacks, false alarms per entity at the recall of tuned rules were 108 of 4,351
after 20 labels and 154 after 100 without them, and 99 and 89 with them.

Two alternatives were rejected: a ridge regression on the features (it needed a hundred labels), and
boosted trees on top of the evidence (worse than no labels).

Cost: nothing without labels. Otherwise a binary search for each log, and for a log of a labelled
user or a rare log (a tenth of ordinary traffic) about 70 nanoseconds for each label compared, of at
most `MAX_LABELS_OF_USER` and `MAX_LABELS_OF_ALL`. With a hundred labels that is 0.8 microseconds a
log, and seven for a rare one.
"""

import math
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from api_anomaly.feedback.labels import MAX_DISTANCE, Spread, distances, last_of_users, latest
from api_anomaly.kernels import kernel
from api_anomaly.model.bundle import NEUTRAL, Model

#: Evidence is -ln(tail probability): this much more evidence means ten times rarer.
_TEN_TIMES_RARER = float(np.log(10.0))

#: The last labels on one user that its own logs are compared with.
MAX_LABELS_OF_USER = 20
#: Distances from a label on the same user up to which a log is similar (1), and from which it is
#: not (0). Of a user's anomalous logs nine in ten lie nearer than 0.8 to its first one, half nearer
#: than 0.5; of other users' attacks one in twenty lies nearer than 0.55 to 0.7.
SIMILAR_DISTANCE, DISSIMILAR_DISTANCE = 0.6, 1.0
#: The same for the difference of the log's evidence from that of the labelled log.
_SIMILAR_EVIDENCE, _DISSIMILAR_EVIDENCE = 0.5 * _TEN_TIMES_RARER, _TEN_TIMES_RARER
_THRESHOLD_MARGIN = 0.1  # evidence, so that logs with a similarity just below 1 exceed it too

#: The last labels that are compared with the logs of all users, and how many on one user.
MAX_LABELS_OF_ALL, _MAX_LABELS_OF_EACH = 256, 4
#: Similar and dissimilar distances for labels of all users. With the wider ones for both, a hundred
#: labels left 525 false positives of three simulations (now 419) and 116 of three others (70); with
#: the narrower ones for both, twenty labels left 129 of a real log (48). Still wider ones relate
#: every label to every log.
_HOSTILE_SIMILAR, _HOSTILE_DISSIMILAR = 0.4, 0.8
_HARMLESS_SIMILAR, _HARMLESS_DISSIMILAR = 0.3, 0.6
#: Evidence by which labels of all users move a log at most: 2.7 times rarer or more frequent. A
#: larger shift gave more false positives on a real log.
MAX_SHIFT = 1.0
_PRIOR_WEIGHT = 1.0  # weight of "no change": labels on a single user move a log by half
#: Evidence above which labels of all users move a log. Nine in ten logs have less, and thresholds
#: are far above it; without this limit the same false positives remained.
_MIN_EVIDENCE = _TEN_TIMES_RARER


class LabelsByUser(NamedTuple):
    """Labels grouped by user. Those of `users[i]` (u,), ascending, are `starts[i]` to
    `starts[i + 1]` of `rows` (m, d), `hostile` (m,), and `evidence` (m,), the model's.
    """

    users: NDArray[np.uint64]
    starts: NDArray[np.int64]
    rows: NDArray[np.float32]
    hostile: NDArray[np.bool_]
    evidence: NDArray[np.float64]


class WeightedLabels(NamedTuple):
    """Labels for the logs of all users: their rows transposed as `columns` (d, m), `hostile` (m,),
    and `weights` (m,), whose sum is at most 1 for each user.
    """

    columns: NDArray[np.float32]
    hostile: NDArray[np.bool_]
    weights: NDArray[np.float64]


class InverseSpread(NamedTuple):
    """Reciprocals of a `Spread`: a kernel multiplies several times faster than it divides."""

    below: NDArray[np.float32]
    above: NDArray[np.float32]


@dataclass(frozen=True)
class Rescoring:
    """Changes evidence by labels. `threshold` is the model's, in evidence."""

    same_user: LabelsByUser
    all_users: WeightedLabels
    spread: InverseSpread
    threshold: float

    @classmethod
    def of(cls, model: Model, labels: NDArray[Any]) -> Self:
        """From `labels` (m,) of `LABEL`, m >= 1, in the order given; a millisecond for 100."""
        labels = latest(labels)
        evidence = model.evidence(np.ascontiguousarray(labels["row"]))
        spread = model.peer_baseline.spread()
        below, above = ((1.0 / distance).astype(np.float32) for distance in spread)
        return cls(
            _group_by_user(labels, evidence),
            _weigh_labels(labels, model.labels_until, spread),
            InverseSpread(below, above),
            model.calibration.threshold(),
        )

    def adjusted(
        self, evidence: NDArray[np.float64], rows: NDArray[np.float32], users: NDArray[np.uint64]
    ) -> NDArray[np.float64]:
        """Evidence (n,) >= 0 after rescoring, of `rows` (n, d) of `users` (n,) with `evidence`
        (n,) >= 0. It is non-decreasing in `evidence`.
        """
        adjusted = evidence.copy()
        same_user, all_users, spread = self._packed
        _apply_labels_of_all(all_users, spread, evidence, rows, adjusted)
        users = np.ascontiguousarray(users)  # else the kernel would be compiled a second time
        _apply_labels_of_user(same_user, spread, self.threshold, evidence, rows, users, adjusted)
        return adjusted

    @cached_property
    def _packed(self) -> Any:
        """Plain tuples for the kernels: Numba looks up the type of named tuples in Python, which
        takes microseconds a call."""
        return tuple(self.same_user), tuple(self.all_users), tuple(self.spread)


def _group_by_user(labels: NDArray[Any], evidence: NDArray[np.float64]) -> LabelsByUser:
    """The last labels of each user, of `labels` (m,) in the order given with `evidence` (m,)."""
    order = last_of_users(labels["user"], MAX_LABELS_OF_USER)
    users, starts = np.unique(labels["user"][order], return_index=True)
    return LabelsByUser(
        users,
        np.append(starts, len(order)).astype(np.int64),
        np.ascontiguousarray(labels["row"][order]),
        np.ascontiguousarray(labels["hostile"][order]),
        evidence[order],
    )


def _weigh_labels(labels: NDArray[Any], labels_until: float, spread: Spread) -> WeightedLabels:
    """The labels that apply to all users, of `labels` (m,) in the order given. Of those that the
    model was trained with (given up to `labels_until`), true positives are left out, and false
    positives near one; their weight is not given to other labels of their user.
    """
    labels = labels[last_of_users(labels["user"], _MAX_LABELS_OF_EACH, MAX_LABELS_OF_ALL)]
    _, user, counts = np.unique(labels["user"], return_inverse=True, return_counts=True)
    trained = labels["given"] <= labels_until
    excluded = trained & labels["hostile"]
    trained_attacks = labels["row"][excluded]
    for i in np.flatnonzero(trained & ~excluded):
        distance = distances(trained_attacks, labels["row"][i], spread)
        excluded[i] = (distance < _HARMLESS_DISSIMILAR).any()
    included = labels[~excluded]
    return WeightedLabels(
        np.ascontiguousarray(included["row"].T),
        np.ascontiguousarray(included["hostile"]),
        1.0 / counts[user[~excluded]],
    )


@kernel
def _apply_labels_of_all(
    labels: WeightedLabels,
    spread: InverseSpread,
    evidence: NDArray[np.float64],
    rows: NDArray[np.float32],
    adjusted: NDArray[np.float64],
) -> None:
    """Add to `adjusted` (n,), for each rare log, the weighted mean of +1 (hostile) and -1
    (harmless) over the labels, times `MAX_SHIFT` (less near `_MIN_EVIDENCE`). A label's weight is
    its own times its similarity; "no change" has `_PRIOR_WEIGHT`.

    The rows of labels are transposed, so that the innermost loop is over labels and can be
    vectorized.
    """
    columns, hostile, weights = labels
    below, above = spread
    totals = np.empty(len(weights), np.float32)
    for i in range(len(rows)):
        excess = evidence[i] - _MIN_EVIDENCE
        if excess <= 0.0:
            continue
        totals[:] = 0.0
        for j in range(len(columns)):
            value, under, over = rows[i, j], -below[j], above[j]
            for k in range(len(totals)):
                difference = value - columns[j, k]
                distance = min(MAX_DISTANCE, max(difference * over, difference * under))
                totals[k] += distance * distance
        total_weight, signed_weight = _PRIOR_WEIGHT, 0.0
        for k in range(len(totals)):
            root = math.sqrt(totals[k] / len(columns))
            if hostile[k]:
                weight = _similarity(root, _HOSTILE_SIMILAR, _HOSTILE_DISSIMILAR) * weights[k]
                signed_weight += weight
            else:
                weight = _similarity(root, _HARMLESS_SIMILAR, _HARMLESS_DISSIMILAR) * weights[k]
                signed_weight -= weight
            total_weight += weight
        adjusted[i] += signed_weight / total_weight * min(MAX_SHIFT, excess)


@kernel
def _apply_labels_of_user(
    labels: LabelsByUser,
    spread: InverseSpread,
    threshold: float,
    evidence: NDArray[np.float64],
    rows: NDArray[np.float32],
    users: NDArray[np.uint64],
    adjusted: NDArray[np.float64],
) -> None:
    """Move `adjusted` (n,) of each log of a labelled user by its nearest label: towards `NEUTRAL`
    after a false positive, up by `_TEN_TIMES_RARER` or over `threshold` after a true positive,
    times the similarity of the rows and of the evidence.
    """
    labelled_users, starts, label_rows, hostile, label_evidence = labels
    below, above = spread
    for i in range(len(rows)):
        group = np.searchsorted(labelled_users, users[i])
        if group == len(labelled_users) or labelled_users[group] != users[i]:
            continue
        nearest, least = -1, DISSIMILAR_DISTANCE
        for k in range(starts[group], starts[group + 1]):
            distance = _distance(rows[i], label_rows[k], below, above, least)
            if distance < least:
                nearest, least = k, distance
        if nearest >= 0:
            similarity = _similarity(least, SIMILAR_DISTANCE, DISSIMILAR_DISTANCE)
            excess = evidence[i] - label_evidence[nearest]
            if hostile[nearest]:
                similarity *= _similarity(-excess, _SIMILAR_EVIDENCE, _DISSIMILAR_EVIDENCE)
                missing = threshold + _THRESHOLD_MARGIN - adjusted[i]
                adjusted[i] += similarity * max(_TEN_TIMES_RARER, missing)
            else:
                similarity *= _similarity(excess, _SIMILAR_EVIDENCE, _DISSIMILAR_EVIDENCE)
                adjusted[i] -= similarity * max(0.0, adjusted[i] - NEUTRAL)


@kernel
def _similarity(value: float, similar: float, dissimilar: float) -> float:
    """1 up to `similar`, 0 from `dissimilar` on, linear in between."""
    return min(1.0, max(0.0, (dissimilar - value) / (dissimilar - similar)))


@kernel
def _distance(
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    below: NDArray[np.float32],
    above: NDArray[np.float32],
    limit: float,
) -> float:
    """Distance of rows x and y (d,) as in `labels.distances`; where it is `limit` or more, any
    value that is not below `limit`.
    """
    count = len(x)
    enough = np.float32(limit * limit * count)
    total = np.float32(0.0)
    for start in range(0, count, 16):
        for j in range(start, min(start + 16, count)):
            difference = x[j] - y[j]
            distance = min(MAX_DISTANCE, max(difference * above[j], -difference * below[j]))
            total += distance * distance
        if total >= enough:
            break
    return math.sqrt(total / count)
