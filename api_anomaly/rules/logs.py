"""The logs that rules read: eight plain columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from datetime import UTC, datetime
from typing import Any, Self

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True)
class RuleLogs:
    """n logs in the order in which they arrived, one column each.

    time           float64 (n,)  Unix seconds
    actor          n texts or None  the user, or the address when there is no user
    address        n texts or None
    status         int64 (n,)    HTTP status code
    method         n texts       upper case
    response_size  float64 (n,)  bytes, NaN = unknown
    endpoint       n texts
    agent          n texts or None

    Raises ValueError when the columns differ in length or a time is not finite.
    """

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

    def __len__(self) -> int:
        return len(self.time)

    def __getitem__(self, rows: slice) -> RuleLogs:
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
    def of_records(cls, records: Iterable[Mapping[str, Any]]) -> Self:
        """The same from log entries with the field names of the HTTP contract.

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
            [_size_or_none(row.get("response_size")) for row in rows],
            [row["endpoint"] for row in rows],
            [row.get("user_agent") for row in rows],
        )


def unix_seconds(timestamp: str | float) -> float:
    """Seconds since 1970 UTC of an ISO 8601 text (naive = UTC) or of a number."""
    if not isinstance(timestamp, str):
        return float(timestamp)
    moment = datetime.fromisoformat(timestamp)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _size_or_none(size: float | None) -> float | None:
    # A negative size means unknown in the contract.
    return None if size is None or size < 0 else size
