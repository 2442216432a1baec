"""The service as a client sees it: JSON over HTTP, safe retries, failures said in a sentence."""

import json
import math
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple
from uuid import uuid4

import httpx

from api_anomaly.logs.formats.fields import Log

TRIES = 6
PAUSE_MOST = 30.0  # seconds between two tries, at most
_REFUSED_UNREAD = frozenset({429, 503})
_AGAIN_WHEN_SAFE = _REFUSED_UNREAD | {502, 504}  # from a proxy: the service may have begun
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})

_MEANINGS = {
    400: "it cannot do that now",
    401: "it refuses the token: give the right one with --token or in AUTH_TOKEN",
    403: "it refuses the token: give the right one with --token or in AUTH_TOKEN",
    404: "it has no such endpoint: is --url the address of the anomaly detection service?",
    409: "it is busy with another training or refuses the model; try again later",
    413: "the body is larger than it accepts",
    422: "it cannot read the logs",
    429: "it has too much to do",
    503: "it has too much to do or is starting",
}


class ServiceFailed(Exception):
    """The service did not do what was asked; the text says what happened and what helps."""


class TooLarge(ServiceFailed):
    """413: the same request in smaller parts may pass."""


class LogsRefused(ServiceFailed):
    """422: the logs at these places of the request are faulty; the others may pass."""

    def __init__(self, sentence: str, places: Mapping[int, str]) -> None:
        super().__init__(sentence)
        self.places = places


def connection(url: str, token: str | None, timeout: float) -> httpx.Client:
    """An HTTP client of the service at `url`. No proxy stands between this machine and itself."""
    try:
        return httpx.Client(
            base_url=url,
            headers={"Authorization": f"Bearer {token}"} if token else {},
            timeout=httpx.Timeout(timeout, connect=10.0),
            trust_env=httpx.URL(url).host not in _LOOPBACK,
        )
    except (httpx.InvalidURL, UnicodeEncodeError) as error:
        raise ServiceFailed(f"{url!r} with this token is no usable address: {error}") from error


class Answer(NamedTuple):
    """A 2xx answer: its JSON body, or its text where it is no JSON."""

    body: Any
    text: str


class Service:
    """One service. `timeout` (seconds) is for one answer; `pause` waits between two tries."""

    def __init__(
        self,
        url: str,
        token: str | None,
        timeout: float = 120.0,
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = url.rstrip("/")
        self._pause = pause
        self._http = connection(self.url, token, timeout)

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def get(self, path: str) -> Answer:
        """GET, tried again on lost connections and while the service is busy."""
        return self._ask(self._http.build_request("GET", path), safe=True)

    def post(self, path: str, body: bytes, *, safe: bool, timeout: float | None = None) -> Answer:
        """POST a JSON body. `safe`: twice does no harm, so it may be repeated once it was sent."""
        headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid4())}
        request = self._http.build_request("POST", path, content=body, headers=headers)
        if timeout is not None:
            request.extensions["timeout"] = httpx.Timeout(timeout, connect=10.0).as_dict()
        return self._ask(request, safe=safe)

    def train(self, logs: Sequence[bytes], timeout: float) -> Any:
        """Train on logs (JSON texts). Not repeated once it was sent: it may still be running."""
        return self.post("/train", logs_body(logs), safe=False, timeout=timeout).body

    def detect(self, logs: Sequence[Log], options: Mapping[str, Any]) -> Any:
        """Score one batch. The key of the request makes a second try remember nothing twice."""
        body = json.dumps({**options, "logs": logs}, separators=(",", ":")).encode()
        return self.post("/detect", body, safe=True).body

    def _ask(self, request: httpx.Request, *, safe: bool) -> Answer:
        again = _AGAIN_WHEN_SAFE if safe else _REFUSED_UNREAD
        for attempt in range(1, TRIES + 1):
            try:
                response = self._http.send(request)
            except httpx.TransportError as error:
                sent = not isinstance(
                    error, (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)
                )
                if attempt == TRIES or (sent and not safe):
                    raise ServiceFailed(self._lost(request, error)) from error
                self._pause(waiting(attempt, None))
                continue
            if response.status_code not in again or attempt == TRIES:
                return self._answered(response)
            self._pause(waiting(attempt, response.headers.get("Retry-After")))
        raise AssertionError("the last try returns or raises")

    def _lost(self, request: httpx.Request, error: httpx.TransportError) -> str:
        path = request.url.path
        if isinstance(error, httpx.ConnectError):
            return f"no service answers at {self.url}: {error}. Is it running, and is --url right?"
        if isinstance(error, httpx.TimeoutException):
            return f"{self.url} did not answer {path} in time; --timeout gives it longer"
        return f"the connection to {self.url} broke during {path}: {error}"

    def _answered(self, response: httpx.Response) -> Answer:
        body = _json(response)
        if response.is_success:
            return Answer(body, response.text)
        sentence = self._sentence(response, body)
        if response.status_code == 413:
            raise TooLarge(sentence)
        places = _places(body) if response.status_code == 422 else {}
        if places:
            raise LogsRefused(sentence, places)
        raise ServiceFailed(sentence)

    def _sentence(self, response: httpx.Response, body: Any) -> str:
        code = response.status_code
        meaning = _MEANINGS.get(code, "it failed")
        said = body.get("detail") if isinstance(body, dict) else None
        words = f' It says: "{_first_detail(said)}"' if said else ""
        return f"{self.url} answered {response.request.url.path} with {code}: {meaning}.{words}"


def logs_body(logs: Sequence[bytes]) -> bytes:
    """A request body around logs that are JSON texts already."""
    return b'{"logs":[' + b",".join(logs) + b"]}"


def waiting(attempt: int, retry_after: str | None) -> float:
    """Seconds before the next try: as the service asks, else 0.5, 1, 2 ..; at most PAUSE_MOST."""
    try:
        asked = float(retry_after) if retry_after is not None else math.nan
    except ValueError:  # a date: rare, and the usual wait does as well
        asked = math.nan
    seconds = asked if asked >= 0 else 0.5 * 2.0 ** (attempt - 1)
    return min(seconds, PAUSE_MOST)


def _json(response: httpx.Response) -> Any:
    try:
        return response.json()
    except ValueError:
        return None


def _first_detail(said: Any) -> str:
    if isinstance(said, list) and said and isinstance(said[0], dict):
        return f"{said[0].get('loc')}: {said[0].get('msg')}"
    return str(said)[:300]


def _places(body: Any) -> dict[int, str]:
    """Log index -> what is wrong with it, out of a 422 body (`loc` is body, logs, index, field)."""
    items = body.get("detail") if isinstance(body, dict) else None
    places: dict[int, str] = {}
    for item in items if isinstance(items, list) else []:
        location = (item.get("loc") if isinstance(item, dict) else None) or ()
        after = [place for place in location if place not in ("body", "logs")]
        if after and isinstance(after[0], int) and "logs" in location:
            places.setdefault(
                after[0], f"{'.'.join(map(str, after[1:]))} {item.get('msg')}".strip()
            )
    return places
