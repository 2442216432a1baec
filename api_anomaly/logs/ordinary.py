"""The short way from a body to columns, for bodies that are ordinary.

A scan in machine code reads what it is sure of; a log that is odd is read by Pydantic, alone. The
short way declines and never refuses: what is not ordinary, faults above all, goes the long way.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple, overload

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from api_anomaly.logs.columns import Columns, joined
from api_anomaly.logs.scan.bodies import Scanned, scan
from api_anomaly.logs.from_models import columns_from
from api_anomaly.logs.schema import Log

_LOG = TypeAdapter(Log)


class SentLogs(Sequence[Log]):
    """The n logs of a valid body. Each is made when it is asked for, and not kept: of a batch, an
    answer shows the few that are anomalies."""

    __slots__ = ("_body", "_scanned")

    def __init__(self, body: bytes, scanned: Scanned) -> None:
        self._body, self._scanned = body, scanned

    def __len__(self) -> int:
        return self._scanned.logs

    @overload
    def __getitem__(self, place: int) -> Log: ...
    @overload
    def __getitem__(self, place: slice) -> list[Log]: ...

    def __getitem__(self, place: int | slice) -> Log | list[Log]:
        if isinstance(place, slice):
            return [self._log(i) for i in range(len(self))[place]]
        return self._log(range(len(self))[place])

    def _log(self, place: int) -> Log:
        return _LOG.validate_json(self._body[self._scanned.extent(place)])


class Ordinary(NamedTuple):
    """An ordinary body: n logs as columns, and as they were sent; what was scanned of it; and the
    labels (n,) where some logs were odd, so that those that were scanned are not all."""

    columns: Columns
    logs: SentLogs
    scanned: Scanned
    mixed_labels: NDArray[np.float64] | None = None

    @property
    def labels(self) -> NDArray[np.float64]:
        """Labels (n,): 0, 1 or NaN."""
        return self.scanned.labels if self.mixed_labels is None else self.mixed_labels

    @property
    def odd(self) -> int:
        """How many logs took Pydantic."""
        return len(self.columns) - len(self.scanned.columns)

    @property
    def number(self) -> float | None:
        """The number among the options; None when it is null or absent."""
        return None if math.isnan(self.scanned.value) else self.scanned.value


def ordinary(body: bytes, most_logs: int, options: int) -> Ordinary | None:
    """What `body` holds if it is ordinary, has at most so many logs, and of the options no odd one;
    else None."""
    scanned = scan(body, most_logs, options)
    if scanned is None:
        return None
    logs = SentLogs(body, scanned)
    if scanned.logs == len(scanned.columns):
        return Ordinary(scanned.columns, logs, scanned)
    try:
        columns, labels = _with_odd(scanned, logs)
    except ValidationError:
        return None
    return Ordinary(columns, logs, scanned, labels)


def _with_odd(scanned: Scanned, logs: SentLogs) -> tuple[Columns, NDArray[np.float64]]:
    """The columns and labels of all logs, in the order in which they were sent."""
    is_odd = scanned.is_odd
    odd = [logs[place] for place in np.flatnonzero(is_odd).tolist()]
    # Scanned logs first, then the odd ones; a stable sort of that is a permutation of the places.
    order = np.argsort(np.argsort(is_odd, kind="stable"), kind="stable")
    labels = np.concatenate([scanned.labels, np.array([log.label for log in odd], np.float64)])
    return joined([scanned.columns, columns_from(odd)]).take(order), labels[order]
