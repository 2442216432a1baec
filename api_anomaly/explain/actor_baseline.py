"""What is usual for this very actor, worked out from its behaviours of the moment alone.

The count of a day less the count of an hour is what happened before the last hours: divided by the
time that both remember differently, it is the actor's own pace. So an attack of minutes does not
pass for a habit and no record grows. What it cannot tell: whether a count of a day is usual, which
needs more than a day's memory; of that it only says how much is not of the last hours. An attack
that lasts for hours slowly becomes the past. An actor that was first seen within two hours has no
habits yet.
"""

import math

import numpy as np
from numpy.typing import NDArray

from api_anomaly.kernels import kernel
from api_anomaly.model.peer_baseline import AGE_COLUMN
from api_anomaly.features.actor import SHARE_PRIOR
from api_anomaly.features.table import ADDRESS, NAMES, SINGLE

OLD_ENOUGH = 2.0  # hours since it was first seen, before which an actor has no habits
_ENOUGH = 3.0  # past requests, below which a share of them says nothing
_DAY, _HOUR = 86_400.0, 3_600.0
_LATELY = 1.0 / math.log(2.0)  # half-lives that a steady pace needs to bring its count about

# Where a count of an hour comes from.
_COUNT, _SHARE, _OBJECTS, _REFUSED, _SHARE_OF_DAY = range(5)
# How the past is told: at the pace of so many seconds (half-life), or for each past request.
_OF_REQUESTS = 0.0

# behaviour: count of a day, count of an hour and how it is held, how the past is told
_SOURCES = {
    "requests_10s": ("requests_1d", "requests_1h", _COUNT, 10.0),
    "requests_3m": ("requests_1d", "requests_1h", _COUNT, 180.0),
    "requests_1h": ("requests_1d", "requests_1h", _COUNT, _HOUR),
    "requests_1d": ("requests_1d", "requests_1h", _COUNT, _DAY),
    "client_errors_3m": ("client_errors_1d", "client_error_share_1h", _SHARE, 180.0),
    "client_errors_1d": ("client_errors_1d", "client_error_share_1h", _SHARE, _DAY),
    "client_error_share_1h": ("client_errors_1d", "client_error_share_1h", _SHARE, _OF_REQUESTS),
    "denied_3m": ("denied_1d", "client_error_share_1h", _REFUSED, 180.0),
    "denied_1d": ("denied_1d", "client_error_share_1h", _REFUSED, _DAY),
    "failed_writes_3m": ("failed_writes_1d", "client_error_share_1h", _REFUSED, 180.0),
    "failed_writes_1d": ("failed_writes_1d", "client_error_share_1h", _REFUSED, _DAY),
    "not_found_1h": ("not_found_share_1d", "not_found_1h", _SHARE_OF_DAY, _HOUR),
    "writes_3m": ("writes_1d", "write_share_1h", _SHARE, 180.0),
    "writes_1d": ("writes_1d", "write_share_1h", _SHARE, _DAY),
    "write_share_1h": ("writes_1d", "write_share_1h", _SHARE, _OF_REQUESTS),
    "response_kilobytes_1h": ("response_kilobytes_1d", "response_kilobytes_1h", _COUNT, _HOUR),
    "response_kilobytes_1d": ("response_kilobytes_1d", "response_kilobytes_1h", _COUNT, _DAY),
    "new_urls_3m": ("new_urls_1d", "requests_per_url_1h", _OBJECTS, 180.0),
    "new_urls_1d": ("new_urls_1d", "requests_per_url_1h", _OBJECTS, _DAY),
    **{
        f"peer_surprise_{what}_{over}": (
            f"peer_surprise_{what}_1d",
            f"peer_surprise_{what}_mean_1h",
            _SHARE,
            telling,
        )
        for what in ("statuses", "writes", "endpoints")
        for over, telling in (("3m", 180.0), ("1d", _DAY), ("mean_1h", _OF_REQUESTS))
    },
}


def _column(name: str) -> NDArray[np.int64]:
    """Column of the actor's behaviour `name`, for each behaviour of user or address; else -1."""
    found = np.full(len(NAMES), -1)
    found[:ADDRESS] = NAMES.index(f"user_{name}")
    found[ADDRESS:SINGLE] = NAMES.index(f"address_{name}")
    return found


def _sources() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Of each behaviour: columns of day and hour and the kind of the latter (-1: no habit is
    known), and how the past is told.
    """
    columns, told = np.full((len(NAMES), 3), -1), np.zeros(len(NAMES))
    for who in ("user", "address"):
        for name, (day, hour, kind, telling) in _SOURCES.items():
            row = NAMES.index(f"{who}_{name}")
            columns[row] = NAMES.index(f"{who}_{day}"), NAMES.index(f"{who}_{hour}"), kind
            told[row] = telling
    return columns, told


_COLUMNS, _TOLD = _sources()
_REQUESTS_1H, _REQUESTS_1D = _column("requests_1h"), _column("requests_1d")
_ERRORS_1D = _column("client_errors_1d")


@kernel
def actor_baseline(x, j):  # type: ignore[no-untyped-def]
    """What behaviour `j` of the row x (d,) usually is for its actor; NaN when that is not known.

    A count in its unit, a share as it is, bits against the peers for each request.
    """
    age = math.expm1(x[AGE_COLUMN[j]])
    if _COLUMNS[j, 0] < 0 or age < OLD_ENOUGH:
        return math.nan
    past = _past(x, j)
    requests = math.expm1(x[_REQUESTS_1D[j]]) - math.expm1(x[_REQUESTS_1H[j]])
    telling = _TOLD[j]
    if telling > 0.0:
        whole = _DAY * (1.0 - 2.0 ** (-age * _HOUR / _DAY)) - _HOUR * (1.0 - 2.0**-age)
        return past / whole * telling
    if requests < _ENOUGH:
        return math.nan
    return past / requests


@kernel
def _past(x, j):  # type: ignore[no-untyped-def]
    """How much of what behaviour `j` counts happened before the last hours."""
    day, hour, kind = x[_COLUMNS[j, 0]], x[_COLUMNS[j, 1]], _COLUMNS[j, 2]
    recent_requests = math.expm1(x[_REQUESTS_1H[j]])
    if kind == _SHARE_OF_DAY:
        whole, recent = day * (math.expm1(x[_REQUESTS_1D[j]]) + SHARE_PRIOR), math.expm1(hour)
    else:
        whole, recent = math.expm1(day), math.expm1(hour)
    if kind == _SHARE:
        recent = hour * (recent_requests + SHARE_PRIOR)
    elif kind == _OBJECTS:
        recent = (recent_requests + 1.0) / max(recent, 1e-9) - 1.0
    elif kind == _REFUSED:  # a part of the client errors: as recent as these
        errors = max(math.expm1(x[_ERRORS_1D[j]]), 1e-9)
        recent = whole * min(1.0, hour * (recent_requests + SHARE_PRIOR) / errors)
    return max(0.0, whole - recent)


@kernel
def of_a_day(j):  # type: ignore[no-untyped-def]
    """Whether behaviour `j` counts a day, so that its own usual is but what came before."""
    return _TOLD[j] == _DAY


@kernel
def pace_window(j):  # type: ignore[no-untyped-def]
    """Half-life in seconds of a count whose own usual is a pace; 0 of everything else."""
    return max(0.0, _TOLD[j]) if _COLUMNS[j, 0] >= 0 else 0.0
