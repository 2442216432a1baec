"""The FEATURES table: one row a feature, which names its column, unit and words.

A row is an enumeration member, so that a kernel writes ``x[F.endpoint_surge] = ...``: `A` holds the
rows of an actor, which stand twice in the matrix, for the log's user and for its address
(``x[USER + A.age]``), and `F` all others. A new feature is a row here and a formula where its enum
is written (`actor`, `user`, `endpoint`).

The matrix holds counts and amounts as log(1 + value), so that the uniform splits of an Isolation
Forest see ratios, and everything else as it is (`scale`). A count with half-life h holds about the
last 1.44 h seconds (see `decay`); the words name that time. Unknown fields have a defined meaning:
a log without a user is its address's (and the reverse), without response time or sizes it is
exactly average for its endpoint, without a user agent it has the empty one.

The reasons take unit, family and words of a feature from here; features of one family stand in for
each other. The digest of the table guards saved models.
"""

import hashlib
from enum import IntEnum
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

#: How the matrix holds a value: as log(1 + value), as it is.
LOG1P, LINEAR = "log1p", "linear"


class Feature(NamedTuple):
    """A column of the matrix. `words` hold ``{value}`` once; ``[s]`` is left out when it is 1."""

    name: str
    unit: str
    scale: str
    family: str
    meaning: str
    words: str


class _Row(IntEnum):
    """Members are rows; each is the number of its column (of `A`, within an actor's block)."""

    row: tuple[str, str, str, str, str]

    def __new__(cls, unit: str, scale: str, family: str, meaning: str, words: str) -> Self:
        column = cls.first_column() + len(cls.__members__)
        member = int.__new__(cls, column)
        member._value_ = column
        member.row = unit, scale, family, meaning, words
        return member

    @classmethod
    def first_column(cls) -> int:
        return 0


# name = unit, scale, family, meaning, words
# fmt: off
class A(_Row):
    """Features of an actor. "Counterparts" are the addresses of a user, the users of an address."""

    requests_10s = "requests", LOG1P, "rate", "requests in about 15 s (exponential decay, half-life 10 s)", "{value} request[s] in about 15 seconds"
    requests_3m = "requests", LOG1P, "rate", "requests in about 4 min (half-life 3 min)", "{value} request[s] in about 4 minutes"
    requests_1h = "requests", LOG1P, "rate", "requests in about 90 min (half-life 1 h)", "{value} request[s] in about 90 minutes"
    requests_1d = "requests", LOG1P, "rate", "requests in about 36 hours (half-life 1 day)", "{value} request[s] in about 36 hours"
    client_errors_3m = "responses", LOG1P, "errors", "responses 4xx in about 4 min (half-life 3 min)", "{value} client error[s] (4xx) in about 4 minutes"
    client_errors_1d = "responses", LOG1P, "errors", "responses 4xx in about 36 hours (half-life 1 day)", "{value} client error[s] (4xx) in about 36 hours"
    client_error_share_1h = "share", LINEAR, "errors", "responses 4xx / (requests + 3), both in about 90 min (half-life 1 h)", "{value} of the requests were client errors (4xx) in about 90 minutes"
    denied_3m = "responses", LOG1P, "denied", "responses 401 and 403 in about 4 min (half-life 3 min)", "{value} denial[s] (401, 403) in about 4 minutes"
    denied_1d = "responses", LOG1P, "denied", "responses 401 and 403 in about 36 hours (half-life 1 day)", "{value} denial[s] (401, 403) in about 36 hours"
    not_found_1h = "responses", LOG1P, "not_found", "responses 404 in about 90 min (half-life 1 h)", "{value} response[s] not found (404) in about 90 minutes"
    not_found_share_1d = "share", LINEAR, "not_found", "responses 404 / (requests + 3), both in about 36 hours (half-life 1 day)", "{value} of the requests were not found (404) in about 36 hours"
    server_errors_1h = "responses", LOG1P, "errors", "responses 5xx in about 90 min (half-life 1 h)", "{value} server error[s] (5xx) in about 90 minutes"
    writes_3m = "requests", LOG1P, "writes", "POST, PUT, PATCH and DELETE requests in about 4 min (half-life 3 min)", "{value} write[s] in about 4 minutes"
    writes_1d = "requests", LOG1P, "writes", "POST, PUT, PATCH and DELETE requests in about 36 hours (half-life 1 day)", "{value} write[s] in about 36 hours"
    write_share_1h = "share", LINEAR, "writes", "writes / (requests + 3), both in about 90 min (half-life 1 h)", "{value} of the requests were writes in about 90 minutes"
    response_kilobytes_1h = "kB", LOG1P, "volume", "response bytes in about 90 min (half-life 1 h)", "{value} received in about 90 minutes"
    response_kilobytes_1d = "kB", LOG1P, "volume", "response bytes in about 36 hours (half-life 1 day)", "{value} received in about 36 hours"
    server_seconds_1h = "s", LOG1P, "volume", "sum of response times in about 90 min (half-life 1 h)", "{value} of server time used in about 90 minutes"
    new_endpoints_3m = "endpoints", LOG1P, "new_endpoints", "endpoint templates new to it in about 4 min (half-life 3 min)", "{value} endpoint[s] new to it in about 4 minutes"
    new_endpoints_1d = "endpoints", LOG1P, "new_endpoints", "endpoint templates new to it in about 36 hours (half-life 1 day)", "{value} endpoint[s] new to it in about 36 hours"
    new_urls_3m = "URLs", LOG1P, "enumeration", "URLs (path and query) new to it in about 4 min (half-life 3 min)", "{value} different URL[s] in about 4 minutes"
    new_urls_1d = "URLs", LOG1P, "enumeration", "URLs (path and query) new to it in about 36 hours (half-life 1 day)", "{value} different URL[s] in about 36 hours"
    urls_per_endpoint_1d = "URLs", LOG1P, "enumeration", "(new URLs + 1) / (new endpoint templates + 1), both in about 36 hours (half-life 1 day)", "{value} different URL[s] for each endpoint in about 36 hours"
    new_counterparts_1d = "{counterparts}", LOG1P, "counterparts", "{counterparts} new to it in about 36 hours (half-life 1 day)", "{value} new {counterparts} in about 36 hours"
    new_user_agents_1d = "user agents", LOG1P, "counterparts", "user-agent families new to it in about 36 hours (half-life 1 day)", "{value} new user agent[s] in about 36 hours"
    request_burst = "ratio", LOG1P, "rate", "rate of requests, half-life 3 min, as a multiple of its rate with half-life 1 day", "a request rate {value} times its own daily average"
    interval_spread = "log s", LINEAR, "timing", "standard deviation of log(1 + seconds between logs), weighted towards the latest", "intervals between requests that vary by a factor of {value}"
    sequential_share = "share", LINEAR, "enumeration", "share of its latest requests whose last number in the URL differs by 1 to 3 from the one before", "{value} of the latest requests count a number up or down"
    transition_surprise_mean = "bits", LINEAR, "sequence", "mean surprise of its latest transitions between endpoint templates", "an unusual order of endpoints, {value} transitions"
    age = "h", LOG1P, "age", "hours since its first log", "first seen {value} ago"
    requests_per_url_1h = "requests", LOG1P, "repetition", "(requests + 1) / (new URLs + 1), both in about 90 min (half-life 1 h)", "{value} request[s] for each URL in about 90 minutes"
    peer_surprise_statuses_3m = "bits", LOG1P, "peers", "surprise of its statuses among clients of the same user-agent family, beyond 2 bits, in about 4 min (half-life 3 min)", "{value} unusual response[s] in about 4 minutes, each seen in 1 of 100 requests of similar clients"
    peer_surprise_statuses_1d = "bits", LOG1P, "peers", "surprise of its statuses among clients of the same user-agent family, beyond 2 bits, in about 36 hours (half-life 1 day)", "{value} unusual response[s] in about 36 hours, each seen in 1 of 100 requests of similar clients"
    peer_surprise_statuses_mean_1h = "bits", LINEAR, "peers", "surprise of its statuses among clients of the same user-agent family, beyond 2 bits, per request in about 90 min (half-life 1 h)", "responses seen in {value} requests of similar clients, over about 90 minutes"
    peer_surprise_writes_3m = "bits", LOG1P, "peers", "surprise of its writes among clients of the same user-agent family, beyond 2 bits, in about 4 min (half-life 3 min)", "{value} unusual write[s] in about 4 minutes, each seen in 1 of 100 requests of similar clients"
    peer_surprise_writes_1d = "bits", LOG1P, "peers", "surprise of its writes among clients of the same user-agent family, beyond 2 bits, in about 36 hours (half-life 1 day)", "{value} unusual write[s] in about 36 hours, each seen in 1 of 100 requests of similar clients"
    peer_surprise_writes_mean_1h = "bits", LINEAR, "peers", "surprise of its writes among clients of the same user-agent family, beyond 2 bits, per request in about 90 min (half-life 1 h)", "writes seen in {value} requests of similar clients, over about 90 minutes"
    peer_surprise_endpoints_3m = "bits", LOG1P, "peers", "surprise of its endpoint templates among clients of the same user-agent family, beyond 2 bits, in about 4 min (half-life 3 min)", "{value} unusual endpoint[s] in about 4 minutes, each seen in 1 of 100 requests of similar clients"
    peer_surprise_endpoints_1d = "bits", LOG1P, "peers", "surprise of its endpoint templates among clients of the same user-agent family, beyond 2 bits, in about 36 hours (half-life 1 day)", "{value} unusual endpoint[s] in about 36 hours, each seen in 1 of 100 requests of similar clients"
    peer_surprise_endpoints_mean_1h = "bits", LINEAR, "peers", "surprise of its endpoint templates among clients of the same user-agent family, beyond 2 bits, per request in about 90 min (half-life 1 h)", "endpoints requested in {value} requests of similar clients, over about 90 minutes"
    failed_writes_3m = "responses", LOG1P, "writes", "writes answered with 4xx in about 4 min (half-life 3 min)", "{value} failed write[s] (4xx) in about 4 minutes"
    failed_writes_1d = "responses", LOG1P, "writes", "writes answered with 4xx in about 36 hours (half-life 1 day)", "{value} failed write[s] (4xx) in about 36 hours"
    response_kilobytes_burst = "ratio", LOG1P, "volume", "rate of response bytes, half-life 1 h, as a multiple of its rate with half-life 1 day", "{value} times its own daily average of bytes received in about 90 minutes"
    new_urls_burst = "ratio", LOG1P, "enumeration", "rate of new URLs, half-life 1 h, as a multiple of its rate with half-life 1 day", "{value} times its own daily average of different URLs in about 90 minutes"


class F(_Row):
    """Features of the request, of its user or address alone, and of its endpoint."""

    @classmethod
    def first_column(cls) -> int:
        return 2 * len(A)

    address_denied_users_1d = "users", LOG1P, "denied", "different users denied at this address in about 36 hours (half-life 1 day)", "{value} user[s] denied at this address in about 36 hours"
    user_gap = "s", LOG1P, "timing", "seconds since the user's last log", "{value} since this user's last request"
    user_hour_surprise = "bits", LINEAR, "timing", "surprise of this hour of the day and day of the week, given the user's active hours", "an hour of the week at which this user is {value} times less active than on average"
    user_new_endpoint_surprise = "bits", LINEAR, "novelty", "surprise that this endpoint template is new to the user", "an endpoint new to this user, expected in {value} requests"
    user_new_address_surprise = "bits", LINEAR, "novelty", "surprise that this address is new to the user", "an address new to this user, expected in {value} requests"
    user_new_network_surprise = "bits", LINEAR, "novelty", "surprise that this network (/24, IPv6 /48) is new to the user", "a network new to this user, expected in {value} requests"
    user_new_user_agent_surprise = "bits", LINEAR, "novelty", "surprise that this user-agent family is new to the user", "a user agent new to this user, expected in {value} requests"
    latency_excess = "sd", LINEAR, "request", "log of the response time, in standard deviations above the endpoint's mean", "a response time {value} standard deviations from this endpoint's mean"
    request_size_excess = "sd", LINEAR, "request", "log of the request size, in standard deviations above the endpoint's mean", "a request size {value} standard deviations from this endpoint's mean"
    response_size_excess = "sd", LINEAR, "request", "log of the response size, in standard deviations above the endpoint's mean", "a response size {value} standard deviations from this endpoint's mean"
    status_surprise = "bits", LINEAR, "request", "-log2 of the share of this status class at this endpoint", "a status seen in {value} requests to this endpoint"
    method_surprise = "bits", LINEAR, "request", "-log2 of the share of this method at this endpoint template", "a method seen in {value} requests to this endpoint"
    endpoint_surprise = "bits", LINEAR, "request", "-log2 of the share of this endpoint template in all traffic", "an endpoint requested in {value} requests"
    transition_surprise = "bits", LINEAR, "sequence", "-log2 of the share of this endpoint template after the user's last one", "an unusual step from endpoint to endpoint, {value} transitions"
    endpoint_length = "bytes", LOG1P, "endpoint_shape", "bytes of path and query", "a URL of {value} byte[s]"
    path_depth = "segments", LINEAR, "endpoint_shape", "segments of the path", "a path of {value} segment[s]"
    query_parameters = "parameters", LOG1P, "endpoint_shape", "parameters of the query", "{value} query parameter[s]"
    unusual_characters = "bytes", LOG1P, "endpoint_shape", "bytes that do not occur in a plain path or query", "{value} unusual character[s] in the URL"
    longest_token = "bytes", LOG1P, "endpoint_shape", "bytes of the longest run between separators", "{value} byte[s] without a separator in the URL"
    endpoint_surge = "ratio", LOG1P, "endpoint_traffic", "rate of weighted requests at this endpoint, half-life 1 h, as a multiple of its rate with half-life 1 day", "an endpoint {value} times as busy as on its daily average"
    endpoint_client_error_excess = "sd", LINEAR, "endpoint_traffic", "responses 4xx at this endpoint, half-life 1 h, in standard deviations above their usual share", "client errors (4xx) at this endpoint {value} standard deviations above their usual share"
    endpoint_newcomer_excess = "sd", LINEAR, "endpoint_traffic", "requests of users with fewer than 3 logs at this endpoint, half-life 1 h, in standard deviations above their usual share", "requests of new users at this endpoint {value} standard deviations above their usual share"
    endpoint_client_error_share = "share", LINEAR, "endpoint_traffic", "share of responses 4xx at this endpoint", "an endpoint at which {value} of the requests fail (4xx)"
    endpoint_newcomer_share = "share", LINEAR, "endpoint_traffic", "share of requests of users with fewer than 3 logs at this endpoint", "an endpoint at which {value} of the requests come from new users"
    endpoint_peer_surprise = "bits", LINEAR, "endpoint_traffic", "mean peer surprise of the requests to this endpoint", "an endpoint whose clients do what is seen in {value} requests of similar clients"
# fmt: on


#: Where the blocks of the log's user and of its address begin, and the columns of `F`.
USER, ADDRESS, SINGLE = 0, len(A), 2 * len(A)
_COUNTERPARTS = {"user": ("addresses", "address[es]"), "address": ("users", "user[s]")}


def _of_actor(who: str, row: A) -> Feature:
    name, in_words = _COUNTERPARTS[who]
    unit, scale, family, meaning, words = row.row
    return Feature(
        name=f"{who}_{row.name}".replace("counterparts", name),
        unit=unit.replace("{counterparts}", name),
        scale=scale,
        family=family,
        meaning=meaning.replace("{counterparts}", name),
        words=words.replace("{counterparts}", in_words),
    )


#: Every feature, in the order of the matrix's columns.
FEATURES: tuple[Feature, ...] = (
    *(_of_actor("user", row) for row in A),
    *(_of_actor("address", row) for row in A),
    *(Feature(row.name, *row.row) for row in F),
)
NAMES = tuple(feature.name for feature in FEATURES)
#: Digest of what a model depends on. A model of another table cannot be served.
SCHEMA = hashlib.sha256(repr([feature[:3] for feature in FEATURES]).encode()).hexdigest()[:16]
#: Which columns (d,) hold log(1 + value).
IS_LOG1P = np.array([feature.scale == LOG1P for feature in FEATURES])


def to_units(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Matrix rows (..., d) in each feature's unit."""
    values = rows.astype(np.float64)
    return np.expm1(values, out=values, where=IS_LOG1P)
