"""The service over HTTP: safe retries, errors that say what happened."""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from urllib.parse import urlencode
from uuid import uuid4

import httpx

MAX_ATTEMPTS = 6
MAX_PAUSE_SECONDS = 30.0  # between two attempts
# As long as the service says when to come again, that is waited for, this long in all.
MAX_WAIT_SECONDS = 600.0
_NOT_PROCESSED = frozenset({429, 503})
# 502 and 504 come from a proxy: the service may have processed the request.
_RETRY_IF_SAFE = _NOT_PROCESSED | {502, 504}
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

_MEANINGS = {
    400: "it cannot do that now",
    401: "it refuses the token: give the right one with --token or in AUTH_TOKEN",
    403: "it refuses the token: give the right one with --token or in AUTH_TOKEN",
    404: "it has no such endpoint: is --url the address of the anomaly detection service?",
    409: "it is busy with another training or refuses the model; try again later",
    413: "the body is larger than it accepts",
    422: "it cannot read the logs",
    429: "it is overloaded",
    503: "it is overloaded or starting",
}


class ServiceError(Exception):
    """The service did not do what was asked; the text says what happened and how to go on.

    `code` and `detail` are those of its answer, empty without one.
    """

    def __init__(self, message: str, code: str = "", detail: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.detail = detail


class TooLarge(ServiceError):
    """413: the same request in smaller parts may pass."""


class LogsRefused(ServiceError):
    """422: some logs of the request are invalid; the others may pass.

    `reasons`: index of the log in the request -> what is wrong with it.
    """

    def __init__(self, message: str, reasons: Mapping[int, str]) -> None:
        super().__init__(message)
        self.reasons = reasons


def open_connection(url: str, token: str | None, timeout: float) -> httpx.Client:
    """An HTTP client of the service at `url`; a loopback address is never reached by a proxy."""
    try:
        return httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx.Timeout(timeout, connect=10.0),
            trust_env=httpx.URL(url).host not in _LOOPBACK,
        )
    except (httpx.InvalidURL, UnicodeEncodeError) as error:
        raise ServiceError(f"{url!r} with this token is not a usable address: {error}") from error


class Answer(NamedTuple):
    """A 2xx answer: its JSON body (None where it is not JSON) and its text."""

    body: Any
    text: str


class Service:
    """One service. `timeout`: seconds for one answer; `pause` waits between two attempts."""

    def __init__(
        self,
        url: str,
        token: str | None,
        timeout: float = 120.0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self._pause = pause
        self._http = open_connection(self.url, token, timeout)

    def close(self) -> None:
        self._http.close()

    def get(self, path: str) -> Answer:
        """GET, repeated after a lost connection and while the service is overloaded."""
        return self._send(self._http.build_request("GET", path), safe=True)

    def post(
        self, path: str, body: bytes, *, safe: bool, media_type: str = "application/json"
    ) -> Answer:
        """POST a body. `safe`: it may be repeated although it may have been processed."""
        headers = {"Content-Type": media_type, "Idempotency-Key": str(uuid4())}
        request = self._http.build_request("POST", path, content=body, headers=headers)
        return self._send(request, safe=safe)

    def train(self, logs: Sequence[bytes]) -> Any:
        """Train on logs (JSON texts). Not repeated once sent: the training may still be running."""
        return self.post("/train", build_logs_body(logs), safe=False).body

    def ingest(self, body: bytes, query: Mapping[str, str]) -> dict[str, Any]:
        """Send lines as they are. Repeated safely: its Idempotency-Key lets the service count it
        once."""
        path = f"/ingest?{urlencode(query)}"
        answer = self.post(path, body, safe=True, media_type="text/plain")
        if not isinstance(answer.body, dict):
            raise ServiceError(f"{self.url} answered /ingest with no JSON object")
        return answer.body

    def _send(self, request: httpx.Request, *, safe: bool) -> Answer:
        retried = _RETRY_IF_SAFE if safe else _NOT_PROCESSED
        attempt, waited = 1, 0.0
        while True:
            try:
                response = self._http.send(request)
            except httpx.TransportError as error:
                sent = not isinstance(
                    error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
                )
                if attempt == MAX_ATTEMPTS or (sent and not safe):
                    raise ServiceError(self._explain_lost(request, error)) from error
                asked = None
            else:
                asked = response.headers.get("Retry-After")
                patient = asked is not None and waited < MAX_WAIT_SECONDS
                if response.status_code not in retried or not (patient or attempt < MAX_ATTEMPTS):
                    return self._read(response)
            seconds = retry_seconds(attempt, asked)
            self._pause(seconds)
            waited += seconds
            attempt = min(attempt + 1, MAX_ATTEMPTS)

    def _explain_lost(self, request: httpx.Request, error: httpx.TransportError) -> str:
        path = request.url.path
        if isinstance(error, httpx.ConnectError):
            return f"no service answers at {self.url}: {error}. Is it running, and is --url right?"
        if isinstance(error, httpx.TimeoutException):
            return f"{self.url} did not answer {path} in time; --timeout gives it longer"
        return f"the connection to {self.url} broke during {path}: {error}"

    def _read(self, response: httpx.Response) -> Answer:
        body = _json(response)
        if response.is_success:
            return Answer(body, response.text)
        message = self._explain(response, body)
        if response.status_code == 413:
            raise TooLarge(message)
        reasons = _refused_logs(body) if response.status_code == 422 else {}
        if reasons:
            raise LogsRefused(message, reasons)
        fields = body if isinstance(body, dict) else {}
        raise ServiceError(message, str(fields.get("code", "")), _message(fields.get("detail")))

    def _explain(self, response: httpx.Response, body: Any) -> str:
        code = response.status_code
        meaning = _MEANINGS.get(code, "it failed")
        detail = body.get("detail") if isinstance(body, dict) else None
        words = f' It says: "{_first_detail(detail)}"' if detail else ""
        return f"{self.url} answered {response.request.url.path} with {code}: {meaning}.{words}"


def build_logs_body(logs: Sequence[bytes]) -> bytes:
    """The request body for logs that are JSON texts."""
    return b'{"logs":[' + b",".join(logs) + b"]}"


def retry_seconds(attempt: int, retry_after: str | None) -> float:
    """Seconds before the next attempt: Retry-After, else 0.5, 1, 2 ...; at most 30."""
    try:
        asked = float(retry_after) if retry_after is not None else math.nan
    except ValueError:  # a date: rare, and not worth parsing
        asked = math.nan
    seconds = asked if asked >= 0 else 0.5 * 2.0 ** (attempt - 1)
    return min(seconds, MAX_PAUSE_SECONDS)


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _first_detail(detail: Any) -> str:
    if isinstance(detail, list) and detail and isinstance(detail[0], dict):
        return f"{detail[0].get('loc')}: {detail[0].get('msg')}"
    return str(detail)[:300]


def _message(detail: Any) -> str:
    """The words of the first fault."""
    first = detail[0] if isinstance(detail, list) and detail else detail
    return str(first.get("msg", "")) if isinstance(first, dict) else str(first or "")


def _refused_logs(body: Any) -> dict[int, str]:
    """Index of the log -> what is wrong, from a 422 body (`loc` is body, logs, index, field)."""
    items = body.get("detail") if isinstance(body, dict) else None
    reasons: dict[int, str] = {}
    for item in items if isinstance(items, list) else []:
        location = (item.get("loc") if isinstance(item, dict) else None) or ()
        path = [step for step in location if step not in ("body", "logs")]
        if path and isinstance(path[0], int) and "logs" in location:
            reason = f"{'.'.join(map(str, path[1:]))} {item.get('msg')}".strip()
            reasons.setdefault(path[0], reason)
    return reasons
