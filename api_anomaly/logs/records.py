"""Logs that were read, as columns of plain Python values."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from api_anomaly.logs.columns import Columns
    from api_anomaly.logs.schema import Log

#: The ten fields of the HTTP contract by name, as JSON has them.
LogFields = dict[str, str | int | float | None]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Records(NamedTuple):
    """n logs in the units of the HTTP contract. `position` is the line or event number from 1."""

    time: list[float]  # Unix seconds
    user_id: list[str | None]
    endpoint: list[str]
    method: list[str]
    status_code: list[int]
    response_time: list[float | None]
    ip_address: list[str | None]
    user_agent: list[str | None]
    request_size: list[float | None]
    response_size: list[float | None]
    position: list[int]

    @property
    def count(self) -> int:  # type: ignore[override]
        """The number of logs. (`len` of a named tuple counts its columns.)"""
        return len(self.time)

    def columns(self) -> "Columns":
        """The logs as arrays."""
        # Imported here: clients read logs without NumPy and Pydantic.
        from api_anomaly.logs.columns import columns_of

        return columns_of(*self[:-1])

    def log(self, index: int) -> "Log":
        """One log as the type of the HTTP contract."""
        from api_anomaly.logs.schema import Log

        fields: Any = {**self._row(index), "timestamp": _moment(self.time[index])}
        return Log(**fields)

    def as_dicts(self) -> list[LogFields]:
        """The logs as JSON objects."""
        return [self._row(index) for index in range(self.count)]

    def _row(self, index: int) -> LogFields:
        return {
            "timestamp": _moment(self.time[index]).isoformat().removesuffix("+00:00") + "Z",
            "user_id": self.user_id[index],
            "endpoint": self.endpoint[index],
            "method": self.method[index],
            "status_code": self.status_code[index],
            "response_time": self.response_time[index],
            "ip_address": self.ip_address[index],
            "user_agent": self.user_agent[index],
            "request_size": self.request_size[index],
            "response_size": self.response_size[index],
        }


def joined(parts: Sequence[Records]) -> Records:
    """The logs of all `parts` in the order of their positions."""
    if len(parts) == 1 and is_in_order(parts[0].position):
        return parts[0]
    columns = Records(*([] for _ in Records._fields))
    for part in parts:
        for column, more in zip(columns, part, strict=True):
            column.extend(more)  # type: ignore[attr-defined]
    order = sorted(range(columns.count), key=columns.position.__getitem__)
    ordered: Any = ([column[index] for index in order] for column in columns)
    return Records(*ordered)


def is_in_order(positions: Sequence[int]) -> bool:
    """Whether none of the positions is lower than the one before it."""
    return all(map(int.__le__, positions, positions[1:]))


def _moment(seconds: float) -> datetime:
    return _EPOCH + timedelta(seconds=seconds)
