"""The short way from a body to columns, for bodies that are ordinary.

A scan in machine code reads what it is sure of; a log that is odd is read by Pydantic, alone. The
short way declines and never refuses: what is not ordinary, faults above all, goes the long way.
"""

from collections.abc import Sequence
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from api_anomaly.core.columns import Columns, joined
from api_anomaly.scan.bodies import Scanned, scan
from api_anomaly.service.columns import columns_from
from api_anomaly.service.schemas import Log

_LOG = TypeAdapter(Log)


class SentLogs(Sequence[Log]):
    """The n logs of a valid body. Each is made when it is asked for, and not kept: of a batch, an
    answer shows the few that are anomalies."""

    __slots__ = ("_body", "_count", "_starts", "_stops")

    def __init__(self, body: bytes, scanned: Scanned) -> None:
        self._body, self._count = body, scanned.logs
        self._starts, self._stops = scanned.starts, scanned.stops

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, place: int) -> Log: ...
    @overload
    def __getitem__(self, place: slice) -> list[Log]: ...

    def __getitem__(self, place: int | slice) -> Log | list[Log]:
        if isinstance(place, slice):
            return [self._log(i) for i in range(self._count)[place]]
        return self._log(range(self._count)[place])

    def _log(self, place: int) -> Log:
        stop = abs(self._stops[place])
        return _LOG.validate_json(self._body[self._starts[place] : stop])


class Ordinary(NamedTuple):
    """An ordinary body: n logs as columns, their labels (n,), and the same logs as they were sent;
    how many of them took Pydantic; and the options, `number` None when it is null or absent."""

    columns: Columns
    labels: NDArray[np.float64]
    logs: SentLogs
    odd: int
    number: float | None
    scanned: Scanned


def ordinary(body: bytes, most_logs: int, options: int) -> Ordinary | None:
    """What `body` holds if it is ordinary, has at most so many logs, and of the options no odd one;
    else None."""
    scanned = scan(body, most_logs, options)
    if scanned is None:
        return None
    logs = SentLogs(body, scanned)
    columns, labels, odd = scanned.columns, scanned.labels, scanned.logs - len(scanned.columns)
    if odd:
        try:
            columns, labels = _with_odd(scanned, logs)
        except ValidationError:
            return None
    number = None if scanned.value != scanned.value else scanned.value
    return Ordinary(columns, labels, logs, odd, number, scanned)


def _with_odd(scanned: Scanned, logs: SentLogs) -> tuple[Columns, NDArray[np.float64]]:
    """The columns and labels of all logs, in the order in which they were sent."""
    is_odd = scanned.stops[: scanned.logs] < 0
    odd = [logs[place] for place in np.flatnonzero(is_odd).tolist()]
    # Scanned logs first, then the odd ones; a stable sort of that is a permutation of the places.
    order = np.argsort(np.argsort(is_odd, kind="stable"), kind="stable")
    labels = np.concatenate([scanned.labels, np.array([log.label for log in odd], np.float64)])
    return joined([scanned.columns, columns_from(odd)]).take(order), labels[order]
