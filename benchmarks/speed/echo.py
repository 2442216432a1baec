"""The minimum with this framework: a FastAPI echo with a bearer token and the same logs as body.

It parses and validates as the service does, and returns a zero for every log.
"""

import os
from datetime import datetime
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel

app = FastAPI()
_bearer = HTTPBearer()


class Log(BaseModel):
    """A log of the contract."""

    timestamp: datetime
    endpoint: str
    method: str
    status_code: int
    user_id: str | None = None
    response_time: float | None = None
    ip_address: str | None = None
    user_agent: str | None = None
    request_size: int | None = None
    response_size: int | None = None


class Body(BaseModel):
    """The body of POST /detect."""

    logs: list[Log]


@app.post("/detect")
async def detect(
    body: Body, token: Annotated[HTTPAuthorizationCredentials, Depends(_bearer)]
) -> list[float]:
    """A zero for every log."""
    if token.credentials != os.environ["AUTH_TOKEN"]:
        raise HTTPException(401)
    return [0.0] * len(body.logs)


@app.get("/health")
async def health() -> str:
    """Liveness."""
    return "ok"
