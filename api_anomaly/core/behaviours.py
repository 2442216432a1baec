"""The BEHAVIOURS table: one row a feature.

It names the matrix's columns, its digest guards saved models, and the reasons take their words
from it. A behaviour's value is what a person would read (`kind` says how the matrix holds it): counts are
held as log(1 + count), so that an Isolation Forest's uniform splits see ratios, everything else as
it is. Unknown fields have a defined meaning: a log without a user is its address's own behaviour
(and the reverse), without latency or sizes it is exactly usual for its endpoint, without a user
agent it has the empty agent.

The actor's rows stand twice, for the user and for the address of the log. Counts decay (see
`windows`): a count "lately" with half-life h holds about the last 1.44 h seconds.
"""

import hashlib
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

COUNT, PLAIN = "count", "plain"  # kinds: held as log(1 + value), held as it is


class Behaviour(NamedTuple):
    """One feature: its column's name, unit, kind and family, its meaning, the words of a reason."""

    name: str
    unit: str
    kind: str
    family: str
    meaning: str
    words: str


# name, unit, kind, family, meaning, words. The words are such that no number needs a singular.
_ACTOR = (
    ("requests_10s", "requests", COUNT, "rate", "requests lately, half-life 10 s", "requests in a few seconds: {value}"),
    ("requests_3m", "requests", COUNT, "rate", "requests lately, half-life 3 min", "requests in a few minutes: {value}"),
    ("requests_1h", "requests", COUNT, "rate", "requests lately, half-life 1 h", "requests in the last hours: {value}"),
    ("requests_1d", "requests", COUNT, "rate", "requests lately, half-life 1 day", "requests in the last days: {value}"),
    ("client_errors_3m", "responses", COUNT, "errors", "4xx lately, 3 min", "client errors in a few minutes: {value}"),
    ("client_errors_1d", "responses", COUNT, "errors", "4xx lately, 1 day", "client errors in the last days: {value}"),
    ("client_error_share_1h", "share", PLAIN, "errors", "4xx / (requests + 3), 1 h", "share of client errors: {value}"),
    ("denied_3m", "responses", COUNT, "denied", "401 and 403 lately, 3 min", "denials (401, 403) in a few minutes: {value}"),
    ("denied_1d", "responses", COUNT, "denied", "401 and 403 lately, 1 day", "denials (401, 403) in the last days: {value}"),
    ("missing_1h", "responses", COUNT, "missing", "404 lately, 1 h", "responses not found (404) in the last hours: {value}"),
    ("missing_share_1d", "share", PLAIN, "missing", "404 / (requests + 3), 1 day", "share of responses not found (404): {value}"),
    ("server_errors_1h", "responses", COUNT, "errors", "5xx lately, 1 h", "server errors in the last hours: {value}"),
    ("writes_3m", "requests", COUNT, "writes", "POST, PUT, PATCH, DELETE lately, 3 min", "writes in a few minutes: {value}"),
    ("writes_1d", "requests", COUNT, "writes", "writes lately, 1 day", "writes in the last days: {value}"),
    ("write_share_1h", "share", PLAIN, "writes", "writes / (requests + 3), 1 h", "share of writes: {value}"),
    ("kilobytes_1h", "kB", COUNT, "volume", "response bytes lately, 1 h", "volume received in the last hours: {value} kB"),
    ("kilobytes_1d", "kB", COUNT, "volume", "response bytes lately, 1 day", "volume received in the last days: {value} kB"),
    ("seconds_1h", "s", COUNT, "volume", "server time used lately, 1 h", "server time used in the last hours: {value} s"),
    ("new_endpoints_3m", "endpoints", COUNT, "exploring", "templates new to it, 3 min", "new endpoints in a few minutes: {value}"),
    ("new_endpoints_1d", "endpoints", COUNT, "exploring", "templates new to it, 1 day", "new endpoints in the last days: {value}"),
    ("new_objects_3m", "objects", COUNT, "enumeration", "whole endpoints new to it, 3 min", "different objects in a few minutes: {value}"),
    ("new_objects_1d", "objects", COUNT, "enumeration", "whole endpoints new to it, 1 day", "different objects in the last days: {value}"),
    ("objects_per_endpoint_1d", "objects", COUNT, "enumeration", "(new objects + 1) / (new endpoints + 1), 1 day", "objects for each endpoint in the last days: {value}"),
    ("new_partners_1d", "{partners}", COUNT, "partners", "{partners} new to it, 1 day", "new {partners} in the last days: {value}"),
    ("new_agents_1d", "agents", COUNT, "partners", "user-agent families new to it, 1 day", "new user agents in the last days: {value}"),
    ("burst", "ratio", COUNT, "rate", "requests of 3 min against its own day", "pace as a multiple of its own daily pace: {value}"),
    ("interval_spread", "log s", PLAIN, "rhythm", "standard deviation of log(1 + seconds between logs)", "spread of the intervals between requests, in log s: {value}"),
    ("sequential", "share", PLAIN, "enumeration", "running share of steps of 1 to 3 between numbers in its endpoints", "share of requests that count up or down: {value}"),
    ("wandering", "bits", PLAIN, "sequence", "running mean surprise of its steps from endpoint to endpoint", "mean surprise of steps from endpoint to endpoint, in bits: {value}"),
    ("age", "h", COUNT, "history", "hours since it was first seen", "time since first seen: {value} h"),
    ("repeats_1h", "requests", COUNT, "repetition", "(requests + 1) / (new objects + 1), 1 h", "requests for each object in the last hours: {value}"),
    ("odd_statuses_3m", "bits", COUNT, "peers", "bits by which its statuses surprised among peers with its user-agent family, 3 min", "statuses unlike its peers' in a few minutes, in bits: {value}"),
    ("odd_statuses_1d", "bits", COUNT, "peers", "bits by which its statuses surprised among peers with its user-agent family, 1 day", "statuses unlike its peers' in the last days, in bits: {value}"),
    ("odd_statuses_mean_1h", "bits", PLAIN, "peers", "the same per request, 1 h", "statuses unlike its peers' for each request, in bits: {value}"),
    ("odd_writes_3m", "bits", COUNT, "peers", "bits by which its writes surprised among peers with its user-agent family, 3 min", "writes unlike its peers' in a few minutes, in bits: {value}"),
    ("odd_writes_1d", "bits", COUNT, "peers", "bits by which its writes surprised among peers with its user-agent family, 1 day", "writes unlike its peers' in the last days, in bits: {value}"),
    ("odd_writes_mean_1h", "bits", PLAIN, "peers", "the same per request, 1 h", "writes unlike its peers' for each request, in bits: {value}"),
    ("odd_endpoints_3m", "bits", COUNT, "peers", "bits by which its endpoints surprised among peers with its user-agent family, 3 min", "endpoints unlike its peers' in a few minutes, in bits: {value}"),
    ("odd_endpoints_1d", "bits", COUNT, "peers", "bits by which its endpoints surprised among peers with its user-agent family, 1 day", "endpoints unlike its peers' in the last days, in bits: {value}"),
    ("odd_endpoints_mean_1h", "bits", PLAIN, "peers", "the same per request, 1 h", "endpoints unlike its peers' for each request, in bits: {value}"),
    ("failed_writes_3m", "responses", COUNT, "writes", "writes answered with 4xx lately, 3 min", "refused writes in a few minutes: {value}"),
    ("failed_writes_1d", "responses", COUNT, "writes", "writes answered with 4xx lately, 1 day", "refused writes in the last days: {value}"),
    ("volume_burst", "ratio", COUNT, "volume", "response bytes of 1 h against its own day", "volume as a multiple of its own daily pace: {value}"),
    ("object_burst", "ratio", COUNT, "enumeration", "whole endpoints new to it of 1 h against its own day", "pace of different objects as a multiple of its own daily pace: {value}"),
)  # fmt: skip
_SINGLE = (
    ("address_failed_users_1d", "users", COUNT, "denied", "distinct users denied at this address, 1 day", "users denied at this address in the last days: {value}"),
    ("user_gap", "s", COUNT, "rhythm", "seconds since the user's last log", "time since this user's last request: {value} s"),
    ("user_hour", "bits", PLAIN, "rhythm", "surprise of this hour of the week against the user's own habit", "surprise of this hour for this user, in bits: {value}"),
    ("user_new_endpoint", "bits", PLAIN, "novelty", "surprise that this endpoint is new to the user", "surprise of an endpoint new to this user, in bits: {value}"),
    ("user_new_address", "bits", PLAIN, "novelty", "surprise that this address is new to the user", "surprise of an address new to this user, in bits: {value}"),
    ("user_new_network", "bits", PLAIN, "novelty", "surprise that this /24 (IPv6 /48) is new to the user", "surprise of a network new to this user, in bits: {value}"),
    ("user_new_agent", "bits", PLAIN, "novelty", "surprise that this user-agent family is new to the user", "surprise of a user agent new to this user, in bits: {value}"),
    ("latency_excess", "sd", PLAIN, "request", "log latency against the endpoint's usual, in standard deviations", "response time above the endpoint's usual: {value} sd"),
    ("request_size_excess", "sd", PLAIN, "request", "log request size against the endpoint's usual", "request size above the endpoint's usual: {value} sd"),
    ("response_size_excess", "sd", PLAIN, "request", "log response size against the endpoint's usual", "response size above the endpoint's usual: {value} sd"),
    ("status_surprise", "bits", PLAIN, "request", "-log2 of this status class's share at this endpoint", "rarity of this status at this endpoint, in bits: {value}"),
    ("method_rarity", "bits", PLAIN, "request", "-log2 of this method's share at this endpoint", "rarity of this method at this endpoint, in bits: {value}"),
    ("endpoint_rarity", "bits", PLAIN, "request", "-log2 of this endpoint's share of all logs", "rarity of this endpoint, in bits: {value}"),
    ("step_surprise", "bits", PLAIN, "sequence", "-log2 of the share of this endpoint after the user's last one", "surprise of this endpoint after the last one, in bits: {value}"),
    ("length", "bytes", COUNT, "shape", "length of the endpoint with its query", "length of the endpoint, in bytes: {value}"),
    ("depth", "segments", PLAIN, "shape", "segments of the path", "segments of the path: {value}"),
    ("parameters", "parameters", COUNT, "shape", "parameters of the query", "parameters of the query: {value}"),
    ("odd_characters", "bytes", COUNT, "shape", "bytes that a plain path or query does not hold", "odd characters in the endpoint: {value}"),
    ("longest_part", "bytes", COUNT, "shape", "longest run between separators", "longest part of the endpoint, in bytes: {value}"),
    ("endpoint_surge", "ratio", COUNT, "endpoint", "voices at this endpoint of 1 h against its own day", "users at this endpoint as a multiple of its daily pace: {value}"),
    ("endpoint_refusals_excess", "sd", PLAIN, "endpoint", "4xx at this endpoint of 1 h above its usual share, in standard deviations", "refusals at this endpoint above its usual: {value} sd"),
    ("endpoint_newcomers_excess", "sd", PLAIN, "endpoint", "newcomers at this endpoint of 1 h above their usual share, in standard deviations", "newcomers at this endpoint above their usual: {value} sd"),
    ("endpoint_refused_share", "share", PLAIN, "endpoint", "share of 4xx at this endpoint", "usual share of refusals at this endpoint: {value}"),
    ("endpoint_newcomer_share", "share", PLAIN, "endpoint", "share of users hardly known at this endpoint", "usual share of newcomers at this endpoint: {value}"),
    ("endpoint_oddness", "bits", PLAIN, "endpoint", "mean bits by which this endpoint's visitors surprised among their peers", "how unlike their peers this endpoint's visitors are, in bits: {value}"),
)  # fmt: skip

_PARTNERS = {"user": "addresses", "address": "users"}


def _actor_rows(who: str) -> tuple[Behaviour, ...]:
    return tuple(
        Behaviour(
            name=f"{who}_{name}",
            unit=unit.replace("{partners}", _PARTNERS[who]),
            kind=kind,
            family=family,
            meaning=meaning.replace("{partners}", _PARTNERS[who]),
            words=f"this {who}'s {words.replace('{partners}', _PARTNERS[who])}",
        )
        for name, unit, kind, family, meaning, words in _ACTOR
    )


#: Every behaviour, in the order of the matrix's columns.
BEHAVIOURS: tuple[Behaviour, ...] = (
    *_actor_rows("user"),
    *_actor_rows("address"),
    *(Behaviour(*row) for row in _SINGLE),
)
NAMES = tuple(row.name for row in BEHAVIOURS)
#: Where the user's block, the address's block and the single rows begin.
USER, ADDRESS, SINGLE = 0, len(_ACTOR), 2 * len(_ACTOR)
#: Digest of the table; a model of another table cannot be served.
SCHEMA = hashlib.sha256(repr(BEHAVIOURS).encode()).hexdigest()[:16]

_COUNTS = np.array([row.kind == COUNT for row in BEHAVIOURS])


def in_units(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Matrix rows (..., d) as the values that a person would read, in each behaviour's unit."""
    values = rows.astype(np.float64)
    return np.expm1(values, out=values, where=_COUNTS)
