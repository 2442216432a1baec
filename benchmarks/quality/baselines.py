"""Two baselines besides the rules: a forest without memory, and z-scores per user."""

from __future__ import annotations

import re
from collections import Counter

import numpy as np
import pandas as pd

from benchmarks.quality.datasets import Dataset, Floats

TREES, SAMPLE = 100, 256
MIN_HISTORY = 10  # training logs of a user, below which the overall mean is used
MIN_DEVIATION = 0.1  # of the overall deviation: a user that never varied has no infinite z-score

_NUMBERED = re.compile(r"[^/]*\d[^/]*")


def forest_scores(data: Dataset) -> tuple[Floats, Floats]:
    """An Isolation Forest on the fields of the request: no user, no address, no history.

    Fields: frequency of the endpoint's template in training, method, status, sizes,
    latency, hour. Returns the scores of the training part and of the test part.
    """
    from sklearn.ensemble import IsolationForest

    fields = _request_fields(data)
    forest = IsolationForest(n_estimators=TREES, max_samples=SAMPLE, random_state=0)
    forest.fit(fields[: data.cut])
    scores = -forest.score_samples(fields)
    return scores[: data.cut], scores[data.cut :]


def _request_fields(data: Dataset) -> Floats:
    """float64 (n, 9); unknown numbers are the training part's median, or 0."""
    columns = data.columns
    templates = [template(endpoint) for endpoint in data.rules.endpoint]
    frequency = Counter(templates[: data.cut])
    hour = columns.time % 86_400.0 / 86_400.0 * 2.0 * np.pi
    return np.column_stack(
        [
            np.log1p([frequency[each] for each in templates]),
            columns.method.astype(np.float64),
            columns.status.astype(np.float64),
            columns.status.astype(np.float64) // 100,
            _filled(np.log1p(columns.request_size), data.cut),
            _filled(np.log1p(columns.response_size), data.cut),
            _filled(np.log(columns.response_time + 1e-4), data.cut),
            np.sin(hour),
            np.cos(hour),
        ]
    )


def template(endpoint: str) -> str:
    """The path without its query, segments that hold a digit folded into one name."""
    return _NUMBERED.sub("{}", endpoint.partition("?")[0])


def _filled(values: Floats, cut: int) -> Floats:
    finite = values[:cut][np.isfinite(values[:cut])]
    median = float(np.median(finite)) if len(finite) else 0.0
    return np.where(np.isfinite(values), values, median)


def zscores_per_user(data: Dataset) -> tuple[Floats, Floats]:
    """The largest |z| of a user's current minute against its training part.

    Per log: requests, share of 4xx and 5xx, and bytes of its user in this minute so far. Mean and
    deviation are the user's in training, or those of all logs for users with too few logs there.
    Returns the scores of the training part and of the test part.
    """
    frame = _current_minutes(data)
    measured = ["requests", "errors", "bytes"]
    early = frame.iloc[: data.cut]
    by_user = early.groupby("user")[measured].agg(["mean", "std", "count"])
    largest = np.zeros(len(frame))
    for name in measured:
        mean, spread = float(early[name].mean()), float(early[name].std(ddof=0))
        enough = by_user[(name, "count")] >= MIN_HISTORY
        means = frame["user"].map(by_user[(name, "mean")][enough]).fillna(mean).to_numpy(np.float64)
        spreads = (
            frame["user"].map(by_user[(name, "std")][enough]).fillna(spread).to_numpy(np.float64)
        )
        floor = max(MIN_DEVIATION * spread, 1e-9)
        z = np.abs(frame[name].to_numpy(np.float64) - means) / np.maximum(spreads, floor)
        largest = np.maximum(largest, z)
    return largest[: data.cut], largest[data.cut :]


def _current_minutes(data: Dataset) -> pd.DataFrame:
    """One row per log: its user, and that user's minute up to and including the log."""
    users = [actor or "" for actor in data.rules.actor]
    frame = pd.DataFrame({"user": users, "minute": (data.columns.time // 60.0).astype(np.int64)})
    failed = pd.Series((data.columns.status >= 400).astype(np.float64))
    size = pd.Series(np.nan_to_num(data.columns.response_size, nan=0.0))
    keys = [frame["user"], frame["minute"]]
    requests = frame.groupby(["user", "minute"]).cumcount() + 1
    frame["requests"] = np.log(requests)
    frame["errors"] = failed.groupby(keys).cumsum() / requests
    frame["bytes"] = np.log1p(size.groupby(keys).cumsum())
    return frame
