"""Label records: one for each verdict of an analyst, without any text of the log.

A record holds the features of the labelled log, 64-bit keys of its user, address and template, and
whether an analyst called it an attack. It can be used as long as the features have the same meaning
(`features.table.SCHEMA`), with any model.
"""

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from api_anomaly.features.table import NAMES
from api_anomaly.model.calibration import positions_within_groups

#: Characters of an anomaly's id: 96 bits, so that among a billion anomalies no two share one.
ID_CHARACTERS = 24
#: For each feature (d,), the differences down and up that count as a distance of 1.
Spread = tuple[NDArray[np.float32], NDArray[np.float32]]
#: Largest distance in one feature: one extreme feature must not hide that all others are similar.
MAX_DISTANCE = np.float32(3.0)
LABEL = np.dtype(
    [
        ("anomaly", f"S{ID_CHARACTERS}"),  # id of the labelled log, see `_ids`
        ("given", "f8"),  # when the verdict was given, Unix seconds
        ("time", "f8"),  # the log's own time, Unix seconds
        ("user", "u8"),  # keys as in `features.extract.Extraction`
        ("address", "u8"),
        ("template", "u8"),
        ("hostile", "?"),
        ("row", "f4", (len(NAMES),)),  # features
    ]
)


def build_labels(
    rows: NDArray[np.float32], keys: NDArray[np.uint64], time: NDArray[np.float64]
) -> NDArray[Any]:
    """Label records (m,) of logs without a verdict yet (given = 0, hostile = False), from features
    (m, d), keys (m, 3) and times (m,) in Unix seconds.
    """
    labels = np.zeros(len(rows), LABEL)
    labels["row"], labels["time"] = rows, time
    labels["user"], labels["address"], labels["template"] = keys.T
    labels["anomaly"] = _ids(labels)
    return labels


def _ids(labels: NDArray[Any]) -> list[bytes]:
    """An id for each log (m,): a digest of its features, keys and time. About a microsecond each.

    It is not a counter, so a log that is scored again from the same past has the same id, also
    after a restart.
    """
    content, size = labels.tobytes(), LABEL.itemsize
    starts = range(0, len(content), size)
    digests = (blake2b(content[at : at + size], digest_size=ID_CHARACTERS // 2) for at in starts)
    return [digest.hexdigest().encode() for digest in digests]


def latest(labels: NDArray[Any]) -> NDArray[Any]:
    """The last label of each anomaly, of `labels` (m,) in the order given: a verdict can change."""
    if len(labels) == 0:
        return labels
    reverse = labels["anomaly"][::-1]
    _, last = np.unique(reverse, return_index=True)
    return labels[np.sort(len(labels) - 1 - last)]


def is_about(labels: NDArray[Any], actors: NDArray[np.uint64]) -> NDArray[np.bool_]:
    """Which of `labels` (m,) are about users or addresses with one of the keys `actors`. Labels of
    another layout are about none if they have no such keys."""
    found = np.zeros(len(labels), np.bool_)
    for name in ("user", "address"):
        if name in (labels.dtype.names or ()):
            found |= np.isin(labels[name], actors)
    return found


def last_of_users(
    users: NDArray[np.uint64], max_of_user: int, max_labels: int | None = None
) -> NDArray[np.int64]:
    """Indices of the last `max_of_user` labels of each user, and of those the last `max_labels`
    (None: all). `users` (m,) are the labels' users in the order given. The indices are grouped by
    user, and a user's latest label comes first.
    """
    latest_first = np.arange(len(users))[::-1]
    order = latest_first[np.argsort(users[::-1], kind="stable")]
    order = order[positions_within_groups(users[order]) < max_of_user]
    first = 0 if max_labels is None else np.sort(order)[-max_labels:].min(initial=len(users))
    selected: NDArray[np.int64] = order[order >= first]
    return selected


def distances(
    rows: NDArray[np.float32], row: NDArray[np.float32], spread: Spread
) -> NDArray[np.float32]:
    """Distance (n,) of each of `rows` (n, d) from `row` (d,): the root of the mean over features of
    the squared difference, in units of `spread` and at most `MAX_DISTANCE` in each feature.
    """
    below, above = spread
    difference = rows - row
    capped = np.minimum(MAX_DISTANCE, np.maximum(difference / above, -difference / below))
    distance: NDArray[np.float32] = np.sqrt((capped * capped).mean(axis=1, dtype=np.float32))
    return distance


def select_active(
    labels: NDArray[Any], now: float, seconds: float, max_labels: int
) -> NDArray[Any]:
    """The labels that are used: the last `max_labels` of those given less than `seconds` ago."""
    recent = labels[labels["given"] > now - seconds]
    return recent[max(0, len(recent) - max_labels) :]
