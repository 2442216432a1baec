"""Columns as single logs: for responses, which show few logs of a batch."""

import ipaddress
from collections.abc import Mapping
from datetime import UTC, datetime

import numpy as np

from api_anomaly.logs.columns import METHODS, Columns, Texts
from api_anomaly.logs.schema import Log


class ColumnLogs:
    """n logs, each made when it is asked for. `methods` are the names of methods without a code, by
    row."""

    def __init__(self, columns: Columns, methods: Mapping[int, str]) -> None:
        self._columns = columns
        self._methods = methods

    def __len__(self) -> int:
        return len(self._columns)

    def __getitem__(self, row: int) -> Log:
        columns = self._columns
        return Log(
            timestamp=datetime.fromtimestamp(columns.time[row], UTC),
            endpoint=_text(columns.endpoint, row) or "-",
            method=self._methods.get(row, METHODS[columns.method[row]]),
            status_code=int(columns.status[row]),
            user_id=_text(columns.user, row),
            response_time=_known(columns.response_time[row]),
            ip_address=address_text(*columns.address[row].tolist()),
            user_agent=_text(columns.agent, row),
            request_size=_known(columns.request_size[row]),
            response_size=_known(columns.response_size[row]),
        )


def _text(texts: Texts, row: int) -> str | None:
    data = texts.data[texts.offsets[row] : texts.offsets[row + 1]]
    return data.tobytes().decode("utf-8", "replace") or None


def _known(value: np.float64) -> float | None:
    return None if np.isnan(value) else float(value)


def address_text(high: int, low: int) -> str | None:
    """The address of two words, the inverse of `address_words`; None for (0, 0)."""
    if high == low == 0:
        return None
    if high == 0 and low >> 32 == 0xFFFF:
        return str(ipaddress.IPv4Address(low & 0xFFFFFFFF))
    return str(ipaddress.IPv6Address(high << 64 | low))
