"""What verdicts change: the evidence against logs, heard through lessons.

Nothing is trained here: how near a log lies to the lessons, over all behaviours, moves its
evidence, and so its score, at once and with whichever model is served. Two things happen:

**The judged user's own pattern.** The nearest lesson about the log's own user decides (without a
user: its address). A log that is like it goes back to the evidence of the median log when the
verdict was "false positive"; when it was "true positive" it becomes ten times rarer, and an anomaly
at least. Neither reaches a log that is much rarer or much more usual than the judged one: a
false positive never quiets a log ten times rarer, a true positive never raises the victim's
ordinary logs of the day after. How many lessons say the same makes no difference, so nobody can
teach away an attack by being judged often.

**Everybody else's.** Lessons vote on logs that lie near them, by at most `MOST_SHIFT` together and
a user's lessons with one voice together. Only logs that are rare already are voted on. Once the
model has learnt from a true positive in a training (see `training_labels`), which is worth more,
that has no
vote any more, and takes that of false positives near it along. Other false positives go on to vote,
for a training learns little tolerance from them: on ten simulated fortnights without attacks, false
alarms per entity at the recall of tuned rules were 108 of 4,351 after 20 verdicts and 154 after 100
where they fell silent, and 99 and 89 as it is.

What else was tried: a ridge regression on the behaviours (needed a hundred verdicts), trees boosted
on top of the evidence (worse than no verdicts).

Without lessons nothing is computed. With them every log costs a binary search; a judged user's log
or a rare one (a tenth of ordinary traffic) besides a distance to each lesson that may concern it,
about 70 nanoseconds each; of these there are at most `OWN_LABELS` and `VOTING_LESSONS`. With a
hundred lessons that is 0.8 microseconds a log, seven for a rare one.
"""

import math
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from api_anomaly.kernels import kernel
from api_anomaly.feedback.labels import MAX_DISTANCE, Spread, distances, last_of_users, latest
from api_anomaly.model.bundle import NEUTRAL, Model

_DECADE = float(np.log(10.0))  # of tail probability, in evidence

#: Lessons about one user that its own logs are compared with; the last ones given stay.
OWN_LABELS = 20
#: Distances up to which a log is like a lesson about its own user, and from which it is not. Of a
#: user's alerted logs nine in ten lie nearer than 0.8 to its first one, half nearer than 0.5; of
#: other users' attacks one in twenty lies nearer than 0.55 to 0.7.
NEAR, FAR = 0.6, 1.0
#: Evidence by which a log may differ from the judged one to be treated like it, and from which on
#: it is not: half a decade and a decade.
_SAME, _OTHER = 0.5 * _DECADE, _DECADE
_OVER = 0.1  # evidence over the threshold, so that a log that is all but like it is over it too

#: Lessons that vote, and how many of one user are among them; the last ones given stay.
VOTING_LESSONS, _VOTES_OF_USER = 256, 4
#: The same distances for votes. With the wider ones for both, a hundred lessons left 525 false
#: positives of three simulations (now 419) and 116 of three others (70); with the narrower ones for
#: both, twenty lessons left 129 of a real log (48); wider still, everybody votes on everything.
_HOSTILE_NEAR, _HOSTILE_FAR = 0.4, 0.8
_HARMLESS_NEAR, _HARMLESS_FAR = 0.3, 0.6
#: Evidence by which votes move a log at most: 2.7 times rarer or more usual. More did worse on a
#: real log.
MOST_SHIFT = 1.0
_SILENT = 1.0  # voices of nobody: a single user's vote counts half
#: Evidence that a log needs to be voted on. Nine in ten logs have less, and no usual threshold is
#: near it; with none at all the same false positives remained.
_VOTED_ON = _DECADE


class LabelSet(NamedTuple):
    """Lessons by user: those of `users[i]` (u,), ascending, are `starts[i]` to `starts[i + 1]` of
    `rows` (m, d), `hostile` (m,), and `evidence` (m,), the model's against them.
    """

    users: NDArray[np.uint64]
    starts: NDArray[np.int64]
    rows: NDArray[np.float32]
    hostile: NDArray[np.bool_]
    evidence: NDArray[np.float64]


class Votes(NamedTuple):
    """Lessons that speak of everybody: their rows turned round as `columns` (d, m), `hostile` (m,),
    and `weight_of_user` (m,), which adds up to 1 at most for each user.
    """

    columns: NDArray[np.float32]
    hostile: NDArray[np.bool_]
    weight_of_user: NDArray[np.float64]


class Feedback(NamedTuple):
    """What lessons make of evidence: `own` for the judged users, `votes` for everybody.

    `below`, `above` (d,) are the reciprocals of the distances that count as one, `threshold` is
    the model's, in evidence.
    """

    own: LabelSet
    votes: Votes
    below: NDArray[np.float32]
    above: NDArray[np.float32]
    threshold: float

    @classmethod
    def of(cls, model: Model, labels: NDArray[Any]) -> Self:
        """What `labels` (m,) of `LABEL`, m >= 1, the last given last, make of `model`'s evidence.

        A millisecond for a hundred.
        """
        labels = latest(labels)
        evidence = model.evidence(np.ascontiguousarray(labels["row"]))
        spread = model.peer_baseline.spread()
        # A ratio to the spread is meant; a product is several times faster in the kernel.
        below, above = (1.0 / distance for distance in spread)
        return cls(
            _by_user(labels, evidence),
            _votes(labels, model.labels_until, spread),
            below.astype(np.float32),
            above.astype(np.float32),
            model.calibration.threshold(),
        )

    def adjusted(
        self, evidence: NDArray[np.float64], rows: NDArray[np.float32], users: NDArray[np.uint64]
    ) -> NDArray[np.float64]:
        """The `evidence` (n,) >= 0 against `rows` (n, d) of `users` (n,), as the lessons have it.

        It is >= 0 too. For one log, more evidence before is never less after.
        """
        adjusted = evidence.copy()
        votes, spread = self.votes, (self.below, self.above)
        _vote(votes.columns, votes.hostile, votes.weight_of_user, *spread, evidence, rows, adjusted)
        users = np.ascontiguousarray(users)  # else the kernel would be compiled a second time
        _recall(self.own, *spread, self.threshold, evidence, rows, users, adjusted)
        return adjusted


def _by_user(labels: NDArray[Any], evidence: NDArray[np.float64]) -> LabelSet:
    """Of `labels` (m,), the last given last, and their evidence: the last of each user."""
    order = last_of_users(labels["user"], OWN_LABELS)
    users, starts = np.unique(labels["user"][order], return_index=True)
    return LabelSet(
        users,
        np.append(starts, len(order)).astype(np.int64),
        np.ascontiguousarray(labels["row"][order]),
        np.ascontiguousarray(labels["hostile"][order]),
        evidence[order],
    )


def _votes(labels: NDArray[Any], labels_until: float, spread: Spread) -> Votes:
    """Of `labels` (m,), the last given last, those that speak of everybody. What the model has
    learnt from falls silent where it is a true positive, or a false positive beside one."""
    labels = labels[last_of_users(labels["user"], _VOTES_OF_USER, VOTING_LESSONS)]
    _, user, counts = np.unique(labels["user"], return_inverse=True, return_counts=True)
    training_labels = labels["given"] <= labels_until
    silent = training_labels & labels["hostile"]
    against = labels["row"][silent]
    for i in np.flatnonzero(training_labels & ~silent):
        silent[i] = (distances(against, labels["row"][i], spread) < _HARMLESS_FAR).any()
    voting = labels[~silent]
    return Votes(
        np.ascontiguousarray(voting["row"].T),
        np.ascontiguousarray(voting["hostile"]),
        1.0 / counts[user[~silent]],
    )


@kernel
def _vote(  # type: ignore[no-untyped-def]
    columns, hostile, weight_of_user, below, above, evidence, rows, adjusted
):
    """Move heard (n,) of rare logs as the lessons near them vote. `columns` (d, m) are the lessons'
    rows turned round: so the innermost loop is over lessons and is done eight at a time.
    """
    totals = np.empty(len(weight_of_user), np.float32)
    for i in range(len(rows)):
        rare = evidence[i] - _VOTED_ON
        if rare <= 0.0:
            continue
        totals[:] = 0.0
        for j in range(len(columns)):
            here, under, over = rows[i, j], -below[j], above[j]
            for k in range(len(totals)):
                away = here - columns[j, k]
                distance = min(MAX_DISTANCE, max(away * over, away * under))
                totals[k] += distance * distance
        voices, votes = _SILENT, 0.0
        for k in range(len(totals)):
            distance = math.sqrt(totals[k] / len(columns))
            if hostile[k]:
                like = _alike(distance, _HOSTILE_NEAR, _HOSTILE_FAR) * weight_of_user[k]
                votes += like
            else:
                like = _alike(distance, _HARMLESS_NEAR, _HARMLESS_FAR) * weight_of_user[k]
                votes -= like
            voices += like
        adjusted[i] += votes / voices * min(MOST_SHIFT, rare)


@kernel
def _recall(  # type: ignore[no-untyped-def]
    labels, below, above, threshold, evidence, rows, users, adjusted
):
    """Move heard (n,) of logs of judged users as the nearest lesson about their user says."""
    for i in range(len(rows)):
        place = np.searchsorted(labels.users, users[i])
        if place == len(labels.users) or labels.users[place] != users[i]:
            continue
        nearest, least = -1, FAR
        for k in range(labels.starts[place], labels.starts[place + 1]):
            distance = _distance(rows[i], labels.rows[k], below, above, least)
            if distance < least:
                nearest, least = k, distance
        if nearest >= 0:
            like = _alike(least, NEAR, FAR)
            over = evidence[i] - labels.evidence[nearest]
            if labels.hostile[nearest]:
                like *= _alike(-over, _SAME, _OTHER)
                adjusted[i] += like * max(_DECADE, threshold + _OVER - adjusted[i])
            else:
                like *= _alike(over, _SAME, _OTHER)
                adjusted[i] -= like * max(0.0, adjusted[i] - NEUTRAL)


@kernel
def _alike(value, same, other):  # type: ignore[no-untyped-def]
    """1 up to `same`, 0 from `other` on, linear in between."""
    return min(1.0, max(0.0, (other - value) / (other - same)))


@kernel
def _distance(one, other, below, above, far):  # type: ignore[no-untyped-def]
    """The root of the mean square by which `one` (d,) is apart from `other`, each behaviour in its
    own spread and cut at `MAX_DISTANCE`; anything not below `far` when it is that far at least.
    """
    count = len(one)
    enough = np.float32(far * far * count)
    total = np.float32(0.0)
    for start in range(0, count, 16):
        for j in range(start, min(start + 16, count)):
            away = one[j] - other[j]
            distance = min(MAX_DISTANCE, max(away * above[j], -away * below[j]))
            total += distance * distance
        if total >= enough:
            break
    return math.sqrt(total / count)
