"""The logs that rules read: eight plain columns in time order."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class RuleLogs:
    """n logs in time order, one column each.

    time           float64 (n,)  Unix seconds, never decreasing
    actor          n texts or None  the user, or the address when there is no user
    address        n texts or None
    status         int64 (n,)    HTTP status code
    method         n texts       upper case
    response_size  float64 (n,)  bytes, NaN = unknown
    endpoint       n texts
    agent          n texts or None

    Raises ValueError when the columns differ in length, a time is not finite, or time goes back.
    """

    in_order: ClassVar[bool] = True

    time: npt.NDArray[np.float64]
    actor: Sequence[str | None]
    address: Sequence[str | None]
    status: npt.NDArray[np.int64]
    method: Sequence[str]
    response_size: npt.NDArray[np.float64]
    endpoint: Sequence[str]
    agent: Sequence[str | None]

    def __post_init__(self) -> None:
        lengths = {field.name: len(getattr(self, field.name)) for field in fields(self)}
        if len(set(lengths.values())) > 1:
            raise ValueError(f"columns of rule logs differ in length: {lengths}")
        if not bool(np.isfinite(self.time).all()):
            raise ValueError("the time of every rule log must be a finite number")
        if self.in_order and bool((np.diff(self.time) < 0).any()):
            raise ValueError("rule logs must be in time order")

    def __len__(self) -> int:
        return len(self.time)

    def __getitem__(self, rows: slice) -> RuleLogs:
        """The logs of a slice with a positive step, so still in time order."""
        return RuleLogs(*(getattr(self, field.name)[rows] for field in fields(self)))

    @classmethod
    def of(
        cls,
        time: Sequence[float],
        actor: Sequence[str | None],
        address: Sequence[str | None],
        status: Sequence[int],
        method: Sequence[str],
        response_size: Sequence[float | None],
        endpoint: Sequence[str],
        agent: Sequence[str | None],
    ) -> Self:
        """The same from plain sequences; a response size of None is unknown."""
        return cls(
            np.asarray(time, dtype=np.float64),
            actor,
            address,
            np.asarray(status, dtype=np.int64),
            method,
            np.asarray(response_size, dtype=np.float64),
            endpoint,
            agent,
        )

    @classmethod
    def of_records(cls, records: Iterable[Mapping[str, Any]]) -> RuleLogs:
        """The same from log entries in the HTTP contract's names, already in time order.

        Timestamps are ISO 8601 text (naive = UTC) or Unix seconds. Raises KeyError for a record
        without timestamp, endpoint, method or status_code.
        """
        rows = list(records)
        users = [row.get("user_id") for row in rows]
        addresses = [row.get("ip_address") for row in rows]
        return cls.of(
            [unix_seconds(row["timestamp"]) for row in rows],
            [user or address for user, address in zip(users, addresses, strict=True)],
            addresses,
            [int(row["status_code"]) for row in rows],
            [str(row["method"]).upper() for row in rows],
            [_known_size(row.get("response_size")) for row in rows],
            [row["endpoint"] for row in rows],
            [row.get("user_agent") for row in rows],
        )


def unix_seconds(timestamp: str | float) -> float:
    """Seconds since 1970 UTC of an ISO 8601 text (naive = UTC) or of a number."""
    if not isinstance(timestamp, str):
        return float(timestamp)
    moment = datetime.fromisoformat(timestamp)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _known_size(size: float | None) -> float | None:
    """Bytes, or None: a negative size means unknown in the contract."""
    return None if size is None or size < 0 else size
