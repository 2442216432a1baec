"""What is usual for this very actor, computed from its current features alone.

The count of a day less the count of an hour is what happened before the last hours. Divided by the
difference of the times that both counts cover, it is the actor's own rate. So an attack of minutes
does not become usual at once, and no record grows. Limits: whether a count of a day is usual would
need more than a day of memory, so for those only the part before the last hours is known; an attack
that lasts for hours slowly becomes the past; an actor first seen within two hours has no baseline.
"""

import math

import numpy as np
from numpy.typing import NDArray

from api_anomaly.kernels import kernel
from api_anomaly.model.peer_baseline import AGE_COLUMN
from api_anomaly.features.actor import SHARE_PRIOR
from api_anomaly.features.table import ADDRESS, NAMES, SINGLE

MIN_AGE_HOURS = 2.0  # since it was first seen, before which an actor has no baseline
_MIN_PAST_REQUESTS = 3.0  # for a share of them
_DAY, _HOUR = 86_400.0, 3_600.0

# How the count of an hour is computed from its feature.
_COUNT, _SHARE, _URLS, _CLIENT_ERRORS, _SHARE_OF_DAY = range(5)
#: Window of a baseline that is for each request instead of for a time.
_PER_REQUEST = 0.0

# feature: feature of a day, feature of an hour and its kind, window in seconds (half-life)
_SOURCES = {
    "requests_10s": ("requests_1d", "requests_1h", _COUNT, 10.0),
    "requests_3m": ("requests_1d", "requests_1h", _COUNT, 180.0),
    "requests_1h": ("requests_1d", "requests_1h", _COUNT, _HOUR),
    "requests_1d": ("requests_1d", "requests_1h", _COUNT, _DAY),
    "client_errors_3m": ("client_errors_1d", "client_error_share_1h", _SHARE, 180.0),
    "client_errors_1d": ("client_errors_1d", "client_error_share_1h", _SHARE, _DAY),
    "client_error_share_1h": ("client_errors_1d", "client_error_share_1h", _SHARE, _PER_REQUEST),
    "denied_3m": ("denied_1d", "client_error_share_1h", _CLIENT_ERRORS, 180.0),
    "denied_1d": ("denied_1d", "client_error_share_1h", _CLIENT_ERRORS, _DAY),
    "failed_writes_3m": ("failed_writes_1d", "client_error_share_1h", _CLIENT_ERRORS, 180.0),
    "failed_writes_1d": ("failed_writes_1d", "client_error_share_1h", _CLIENT_ERRORS, _DAY),
    "not_found_1h": ("not_found_share_1d", "not_found_1h", _SHARE_OF_DAY, _HOUR),
    "writes_3m": ("writes_1d", "write_share_1h", _SHARE, 180.0),
    "writes_1d": ("writes_1d", "write_share_1h", _SHARE, _DAY),
    "write_share_1h": ("writes_1d", "write_share_1h", _SHARE, _PER_REQUEST),
    "response_kilobytes_1h": ("response_kilobytes_1d", "response_kilobytes_1h", _COUNT, _HOUR),
    "response_kilobytes_1d": ("response_kilobytes_1d", "response_kilobytes_1h", _COUNT, _DAY),
    "new_urls_3m": ("new_urls_1d", "requests_per_url_1h", _URLS, 180.0),
    "new_urls_1d": ("new_urls_1d", "requests_per_url_1h", _URLS, _DAY),
    **{
        f"peer_surprise_{what}_{over}": (
            f"peer_surprise_{what}_1d",
            f"peer_surprise_{what}_mean_1h",
            _SHARE,
            window,
        )
        for what in ("statuses", "writes", "endpoints")
        for over, window in (("3m", 180.0), ("1d", _DAY), ("mean_1h", _PER_REQUEST))
    },
}


def _column(name: str) -> NDArray[np.int64]:
    """Column (d,) of `name` of the same actor, for each feature of a user or address; else -1."""
    found = np.full(len(NAMES), -1)
    found[:ADDRESS] = NAMES.index(f"user_{name}")
    found[ADDRESS:SINGLE] = NAMES.index(f"address_{name}")
    return found


def _sources() -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Per feature: columns of day and hour and the kind of the latter (d, 3), -1 without a
    baseline; and windows (d,) in seconds.
    """
    columns, windows = np.full((len(NAMES), 3), -1), np.zeros(len(NAMES))
    for who in ("user", "address"):
        for name, (day, hour, kind, window) in _SOURCES.items():
            row = NAMES.index(f"{who}_{name}")
            columns[row] = NAMES.index(f"{who}_{day}"), NAMES.index(f"{who}_{hour}"), kind
            windows[row] = window
    return columns, windows


_COLUMNS, _WINDOWS = _sources()
_REQUESTS_1H, _REQUESTS_1D = _column("requests_1h"), _column("requests_1d")
_ERRORS_1D = _column("client_errors_1d")


@kernel
def actor_baseline(x: NDArray[np.float32], j: int) -> float:
    """The usual value of feature `j` of the row x (d,) for its actor; NaN if not known.

    A count in its unit, a share as it is, bits of peer surprise for each request.
    """
    age = math.expm1(x[AGE_COLUMN[j]])
    if _COLUMNS[j, 0] < 0 or age < MIN_AGE_HOURS:
        return math.nan
    past = _past(x, j)
    requests = math.expm1(x[_REQUESTS_1D[j]]) - math.expm1(x[_REQUESTS_1H[j]])
    window = _WINDOWS[j]
    if window > 0.0:
        covered = _DAY * (1.0 - 2.0 ** (-age * _HOUR / _DAY)) - _HOUR * (1.0 - 2.0**-age)
        return float(past / covered * window)
    if requests < _MIN_PAST_REQUESTS:
        return math.nan
    return past / requests


@kernel
def _past(x: NDArray[np.float32], j: int) -> float:
    """The part of the count of feature `j` that is from before the last hours."""
    day, hour, kind = x[_COLUMNS[j, 0]], x[_COLUMNS[j, 1]], _COLUMNS[j, 2]
    recent_requests = math.expm1(x[_REQUESTS_1H[j]])
    if kind == _SHARE_OF_DAY:
        whole, recent = day * (math.expm1(x[_REQUESTS_1D[j]]) + SHARE_PRIOR), math.expm1(hour)
    else:
        whole, recent = math.expm1(day), math.expm1(hour)
    if kind == _SHARE:
        recent = hour * (recent_requests + SHARE_PRIOR)
    elif kind == _URLS:
        recent = (recent_requests + 1.0) / max(recent, 1e-9) - 1.0
    elif kind == _CLIENT_ERRORS:  # a part of the client errors, and as recent as they are
        errors = max(math.expm1(x[_ERRORS_1D[j]]), 1e-9)
        recent = whole * min(1.0, hour * (recent_requests + SHARE_PRIOR) / errors)
    return float(max(0.0, whole - recent))


@kernel
def counts_a_day(j: int) -> bool:
    """Whether feature `j` counts a day, so that its baseline is only what came before."""
    return bool(_WINDOWS[j] == _DAY)


@kernel
def rate_window(j: int) -> float:
    """Half-life in seconds of a count whose baseline is a rate; 0 of every other feature."""
    return max(0.0, _WINDOWS[j]) if _COLUMNS[j, 0] >= 0 else 0.0
