"""What verdicts teach: one record a verdict, without a word of the log it was about.

A lesson holds the behaviours of the judged log, whose they were (64-bit keys), and whether an
analyst found them hostile. It can be learnt from for as long as the behaviours have the same
meaning (`SCHEMA`), whichever model is served.
"""

from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from api_anomaly.features.table import NAMES
from api_anomaly.model.calibration import positions_within_groups

#: Characters of an anomaly's id: 96 bits, so that a billion anomalies share none.
ID_CHARACTERS = 24
#: Distances down and up that count as one, of each behaviour (d,).
Spread = tuple[NDArray[np.float32], NDArray[np.float32]]
#: Of one behaviour: one that explodes must not hide that all others are alike.
MAX_DISTANCE = np.float32(3.0)
LABEL = np.dtype(
    [
        ("anomaly", f"S{ID_CHARACTERS}"),  # id of the judged log, see `_ids`
        ("given", "f8"),  # when the verdict was given, Unix seconds
        ("time", "f8"),  # the log's own time, Unix seconds
        ("user", "u8"),  # keys as in `behaviour_pass.Extraction`
        ("address", "u8"),
        ("place", "u8"),
        ("hostile", "?"),
        ("row", "f4", (len(NAMES),)),  # behaviours
    ]
)


def labels_of(
    rows: NDArray[np.float32], keys: NDArray[np.uint64], time: NDArray[np.float64]
) -> NDArray[Any]:
    """Lessons without a verdict yet (m,) of logs: behaviours (m, d), keys (m, 3), times (m,).

    Not given, not hostile: what is remembered of an anomaly until somebody judges it.
    """
    labels = np.zeros(len(rows), LABEL)
    labels["row"], labels["time"] = rows, time
    labels["user"], labels["address"], labels["place"] = keys.T
    labels["anomaly"] = _ids(labels)
    return labels


def _ids(labels: NDArray[Any]) -> list[bytes]:
    """An id for each log (m,): the same for the same behaviours of the same actor at one moment.

    It is a digest of them and not the number of a counter, so a log that is scored again from the
    same past has the same id, also after a restart. About a microsecond each.
    """
    content, size = labels.tobytes(), LABEL.itemsize
    starts = range(0, len(content), size)
    digests = (blake2b(content[at : at + size], digest_size=ID_CHARACTERS // 2) for at in starts)
    return [digest.hexdigest().encode() for digest in digests]


def latest(labels: NDArray[Any]) -> NDArray[Any]:
    """Of `labels` (m,) in the order given, the last of each anomaly: a verdict can be changed."""
    if len(labels) == 0:
        return labels
    reverse = labels["anomaly"][::-1]
    _, last = np.unique(reverse, return_index=True)
    return labels[np.sort(len(labels) - 1 - last)]


def last_of_users(
    users: NDArray[np.uint64], of_user: int, most: int | None = None
) -> NDArray[np.int64]:
    """Of lessons about `users` (m,), the last given last, the places of the last `of_user` of each,
    and of those the last `most` (None: all); user by user, and a user's latest first.
    """
    late = np.arange(len(users))[::-1]
    order = late[np.argsort(users[::-1], kind="stable")]
    order = order[positions_within_groups(users[order]) < of_user]
    first = 0 if most is None else np.sort(order)[-most:].min(initial=len(users))
    kept: NDArray[np.int64] = order[order >= first]
    return kept


def distances(
    rows: NDArray[np.float32], row: NDArray[np.float32], spread: Spread
) -> NDArray[np.float32]:
    """How far each of `rows` (n, d) is apart from `row` (d,): the root of the mean square, each
    behaviour in its own `spread`, cut at `MAX_DISTANCE`.
    """
    below, above = spread
    away = rows - row
    capped = np.minimum(MAX_DISTANCE, np.maximum(away / above, -away / below))
    distance: NDArray[np.float32] = np.sqrt((capped * capped).mean(axis=1, dtype=np.float32))
    return distance


def alive(labels: NDArray[Any], now: float, seconds: float, most: int) -> NDArray[Any]:
    """Of `labels` (m,) those that still count: the `most` last ones given within `seconds`."""
    recent = labels[labels["given"] > now - seconds]
    return recent[max(0, len(recent) - most) :]
