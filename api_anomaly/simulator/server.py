"""The responses of the API: status, latency and sizes, under load and during deploys."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from api_anomaly.simulator.catalogue import ENDPOINTS
from api_anomaly.simulator.events import CASE, SERVER_DECIDES, Events, Floats, Ints, World
from api_anomaly.simulator.people import HOUR
from api_anomaly.simulator.scenario import DAY

MINUTE = 60.0
FAILURES = np.array([500, 502, 503, 504])
FAILURE_SHARES = (0.45, 0.2, 0.25, 0.1)
FAILURE_RATE = 0.0006
DEPLOY_FAILURE_RATE = 0.35
DEPLOY_DAYS = 4
# Share of ordinary GETs that are answered from the cache (304).
NOT_MODIFIED = 0.06
ERROR_SIZE = 190.0
# Endpoints whose responses are never cached.
ALWAYS_FRESH = ("health", "exports.download", "queue.next", "sync.pull", "unknown")


def _column(name: str) -> Floats:
    """float64 (E,): a number of each endpoint."""
    return np.array([float(getattr(endpoint, name)) for endpoint in ENDPOINTS])


_SUCCESS = _column("success").astype(np.int64)
_CACHEABLE = np.array([e.method == "GET" and e.name not in ALWAYS_FRESH for e in ENDPOINTS])


@dataclass(frozen=True, slots=True)
class ServerState:
    """The server's state over time.

    load     float64 (minutes,)   requests a minute as a multiple of the median minute
    deploys  float64 (d, 2)       begin and end of each deploy, Unix seconds
    first    Unix seconds of the first minute
    """

    load: Floats
    deploys: Floats
    first: float

    def load_at(self, time: Floats) -> Floats:
        """float64 (n,): the load at these moments."""
        minute = ((time - self.first) // MINUTE).astype(np.int64)
        return self.load[np.clip(minute, 0, len(self.load) - 1)]

    def deploying(self, time: Floats) -> np.typing.NDArray[np.bool_]:
        """bool (n,): whether a deploy was under way."""
        begin, end = self.deploys[:, 0], self.deploys[:, 1]
        inside: np.typing.NDArray[np.bool_] = np.any(
            (time[:, None] >= begin) & (time[:, None] < end), axis=1
        )
        return inside


@dataclass(frozen=True, slots=True)
class Responses:
    """n responses: status int64, latency float64 seconds, sizes int64 bytes, case int64."""

    status: Ints
    latency: Floats
    request_size: Ints
    response_size: Ints
    case: Ints


def compute_server_state(world: World, benign: Events) -> ServerState:
    """Load computed from the benign traffic, and one deploy for every four days begun."""
    rng, scenario = world.rng("server state"), world.scenario
    minutes = int((scenario.end - scenario.first) / MINUTE)
    minute = ((benign.time - scenario.first) // MINUTE).astype(np.int64)
    counts = np.bincount(minute, minlength=minutes).astype(np.float64)
    busy = np.convolve(counts, np.ones(3) / 3, mode="same")
    days = np.arange(0, scenario.days, DEPLOY_DAYS)
    day = np.minimum(days + rng.integers(1, DEPLOY_DAYS, len(days)), scenario.days - 1)
    begin = scenario.first + day * DAY + rng.uniform(10, 16, len(days)) * HOUR
    length = rng.uniform(3, 7, len(days)) * MINUTE
    deploys = np.stack([begin, begin + length], axis=1)
    return ServerState(busy / max(1.0, float(np.median(busy))), deploys, scenario.first)


def respond(events: Events, state: ServerState, rng: np.random.Generator) -> Responses:
    """One response for each event, in their order."""
    load, deploying = state.load_at(events.time), state.deploying(events.time)
    status = _statuses(events, load, deploying, rng)
    failed = status >= 500
    case = np.where(deploying & failed & (events.case == 0), CASE["deploy"], events.case)
    return Responses(
        status=status,
        latency=_latencies(events, status, load, deploying, rng),
        request_size=_request_sizes(events, rng),
        response_size=_response_sizes(events, status, rng),
        case=case,
    )


def _statuses(
    events: Events,
    load: Floats,
    deploying: np.typing.NDArray[np.bool_],
    rng: np.random.Generator,
) -> Ints:
    """int64 (n,): the given status, or drawn by the rates of the endpoint."""
    count, endpoint = len(events), events.endpoint
    overload = np.clip((load - 6) * 0.004, 0, 0.05)
    failure = FAILURE_RATE + overload + np.where(deploying, DEPLOY_FAILURE_RATE, 0.0)
    draw, second, cached = rng.random(count), rng.random(count), rng.random(count)
    failures = FAILURES[np.searchsorted(np.cumsum(FAILURE_SHARES)[:-1], second)]
    client_errors = np.zeros(count, dtype=np.int64)
    for index in np.unique(endpoint):
        rows = np.flatnonzero(endpoint == index)
        codes = np.array(ENDPOINTS[index].client_errors)
        client_errors[rows] = codes[(second[rows] * len(codes)).astype(np.int64)]
    rejected = draw - failure < _column("client_error_rate")[endpoint]
    fine = np.where(_CACHEABLE[endpoint] & (cached < NOT_MODIFIED), 304, _SUCCESS[endpoint])
    decided = np.where(draw < failure, failures, np.where(rejected, client_errors, fine))
    return np.where(events.status == SERVER_DECIDES, decided, events.status)


def _latencies(
    events: Events,
    status: Ints,
    load: Floats,
    deploying: np.typing.NDArray[np.bool_],
    rng: np.random.Generator,
) -> Floats:
    """float64 (n,) seconds, to the tenth of a millisecond."""
    endpoint = events.endpoint
    drawn = rng.lognormal(np.log(_column("latency")[endpoint]), _column("spread")[endpoint])
    drawn *= events.size_factor**0.6 * (0.9 + 0.1 * np.minimum(load, 8))
    drawn *= np.where(deploying, 2.5, 1.0)
    # Client errors are fast, except for passwords, which are hashed anyway; failures are slow.
    quick = ((status >= 400) & (status < 500) & (status != 401)) | (status == 304)
    drawn *= np.where(quick, 0.45, 1.0) * np.where(status >= 500, 2.5, 1.0)
    latency: Floats = np.round(np.clip(drawn + (status == 504) * 10.0, 0.0008, 60.0), 4)
    return latency


def _request_sizes(events: Events, rng: np.random.Generator) -> Ints:
    """int64 (n,) bytes of the bodies."""
    median = _column("request_size")[events.endpoint]
    spread = np.where(median > 10_000, 1.1, np.where(median > 1_000, 0.5, 0.12))
    sizes: Ints = np.round(median * rng.lognormal(0.0, spread)).astype(np.int64)
    return sizes


def _response_sizes(events: Events, status: Ints, rng: np.random.Generator) -> Ints:
    """int64 (n,) bytes; an error is a short JSON text, 204 and 304 have no body."""
    endpoint = events.endpoint
    spread = _column("size_spread")[endpoint]
    full = _column("response_size")[endpoint] * rng.lognormal(0.0, spread) * events.size_factor
    short = ERROR_SIZE * rng.lognormal(0.0, 0.25, len(events))
    sizes = np.where(status >= 400, short, full) * ~np.isin(status, (204, 304))
    whole: Ints = np.round(np.minimum(sizes, 120e6)).astype(np.int64)
    return whole
