"""A naive service, as written in an afternoon with FastAPI, pandas and scikit-learn.

A bearer token, a Pydantic body, `/train`, and `/detect` with a score for each log and the
anomalies. The features come from the batch (nothing is remembered between requests), vectorised
with pandas, and scikit-learn's Isolation Forest scores them in each request. It gives no reasons
and uses no history of a user.
"""

import os
from typing import Annotated, Any

import numpy as np
import pandas as pd
from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest
from sklearn.preprocessing import StandardScaler

from benchmarks.speed.echo import Body

app = FastAPI()
_bearer = HTTPBearer()
_METHODS = {"GET": 0, "HEAD": 1, "POST": 2, "PUT": 3, "PATCH": 4, "DELETE": 5, "OPTIONS": 6}
_scaler = StandardScaler()
_forest = IsolationForest(n_estimators=100, contamination=0.001, random_state=0)


def authorize(token: Annotated[HTTPAuthorizationCredentials, Depends(_bearer)]) -> None:
    """Raises 401 for another token."""
    if token.credentials != os.environ["AUTH_TOKEN"]:
        raise HTTPException(401)


def features(body: Body) -> NDArray[np.float64]:
    """float64 (n, 12): the fields of each log, and counts of its user in this batch."""
    frame = pd.DataFrame([log.model_dump() for log in body.logs])
    user = frame["user_id"].fillna(frame["ip_address"]).fillna("")
    times = pd.to_datetime(frame["timestamp"], utc=True)
    frame["hour"] = times.dt.hour
    frame["weekday"] = times.dt.day_of_week
    frame["method"] = frame["method"].map(_METHODS).fillna(len(_METHODS))
    frame["error"] = (frame["status_code"] >= 400).astype(float)
    frame["depth"] = frame["endpoint"].str.count("/")
    users = frame.groupby(user)
    frame["requests"] = users["error"].transform("size")
    frame["error_rate"] = users["error"].transform("mean")
    frame["endpoints"] = users["endpoint"].transform("nunique")
    names = ["hour", "weekday", "method", "error", "depth", "status_code", "requests"]
    names += ["error_rate", "endpoints", "response_time", "request_size", "response_size"]
    numbers: NDArray[np.float64] = frame[names].astype(float).fillna(0.0).to_numpy()
    return numbers


@app.post("/train", dependencies=[Depends(authorize)])
def train(body: Body) -> dict[str, int]:
    """Fit scaler and forest."""
    _forest.fit(_scaler.fit_transform(features(body)))
    return {"training_samples": len(body.logs)}


@app.post("/detect", dependencies=[Depends(authorize)])
def detect(body: Body) -> dict[str, Any]:
    """A score for each log, and the anomalies."""
    scores = _forest.score_samples(_scaler.transform(features(body)))
    found = np.flatnonzero(scores < _forest.offset_)
    anomalies = [{"log_index": int(i), "anomaly_score": float(scores[i])} for i in found]
    return {"scores": scores.tolist(), "anomalies": anomalies}


@app.get("/health")
def health() -> str:
    """Liveness."""
    return "ok"
