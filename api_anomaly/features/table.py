"""The BEHAVIOURS table: one row a feature.

It names the matrix's columns, its digest guards saved models, and the reasons take their words
from it (`wording` says them). A behaviour's value is a plain number (`kind` says how the matrix holds
it): counts are held as log(1 + count), so that an Isolation Forest's uniform splits see ratios, everything else as
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


class Feature(NamedTuple):
    """One feature: its column's name, unit, kind and family, its meaning, the words of a reason."""

    name: str
    unit: str
    kind: str
    family: str
    meaning: str
    words: str


# name, unit, kind, family, meaning, words. In the words, [s] is left out when the value reads "1".
# The times are 1.44 half-lives: as long as a steady pace needs to bring the count about.
_ACTOR = (
    ("requests_10s", "requests", COUNT, "rate", "requests lately, half-life 10 s", "{value} request[s] in about 15 seconds"),
    ("requests_3m", "requests", COUNT, "rate", "requests lately, half-life 3 min", "{value} request[s] in about 4 minutes"),
    ("requests_1h", "requests", COUNT, "rate", "requests lately, half-life 1 h", "{value} request[s] in about 90 minutes"),
    ("requests_1d", "requests", COUNT, "rate", "requests lately, half-life 1 day", "{value} request[s] in about a day and a half"),
    ("client_errors_3m", "responses", COUNT, "errors", "4xx lately, 3 min", "{value} client error[s] (4xx) in about 4 minutes"),
    ("client_errors_1d", "responses", COUNT, "errors", "4xx lately, 1 day", "{value} client error[s] (4xx) in about a day and a half"),
    ("client_error_share_1h", "share", PLAIN, "errors", "4xx / (requests + 3), 1 h", "{value} of the requests were client errors (4xx) in about 90 minutes"),
    ("denied_3m", "responses", COUNT, "denied", "401 and 403 lately, 3 min", "{value} denial[s] (401, 403) in about 4 minutes"),
    ("denied_1d", "responses", COUNT, "denied", "401 and 403 lately, 1 day", "{value} denial[s] (401, 403) in about a day and a half"),
    ("not_found_1h", "responses", COUNT, "missing", "404 lately, 1 h", "{value} response[s] not found (404) in about 90 minutes"),
    ("not_found_share_1d", "share", PLAIN, "missing", "404 / (requests + 3), 1 day", "{value} of the requests were not found (404) in about a day and a half"),
    ("server_errors_1h", "responses", COUNT, "errors", "5xx lately, 1 h", "{value} server error[s] (5xx) in about 90 minutes"),
    ("writes_3m", "requests", COUNT, "writes", "POST, PUT, PATCH, DELETE lately, 3 min", "{value} write[s] in about 4 minutes"),
    ("writes_1d", "requests", COUNT, "writes", "writes lately, 1 day", "{value} write[s] in about a day and a half"),
    ("write_share_1h", "share", PLAIN, "writes", "writes / (requests + 3), 1 h", "{value} of the requests were writes in about 90 minutes"),
    ("response_kilobytes_1h", "kB", COUNT, "volume", "response bytes lately, 1 h", "{value} received in about 90 minutes"),
    ("response_kilobytes_1d", "kB", COUNT, "volume", "response bytes lately, 1 day", "{value} received in about a day and a half"),
    ("server_seconds_1h", "s", COUNT, "volume", "server time used lately, 1 h", "{value} of server time used in about 90 minutes"),
    ("new_endpoints_3m", "endpoints", COUNT, "exploring", "templates new to it, 3 min", "{value} endpoint[s] new to it in about 4 minutes"),
    ("new_endpoints_1d", "endpoints", COUNT, "exploring", "templates new to it, 1 day", "{value} endpoint[s] new to it in about a day and a half"),
    ("new_urls_3m", "objects", COUNT, "enumeration", "whole endpoints new to it, 3 min", "{value} different URL[s] in about 4 minutes"),
    ("new_urls_1d", "objects", COUNT, "enumeration", "whole endpoints new to it, 1 day", "{value} different URL[s] in about a day and a half"),
    ("urls_per_endpoint_1d", "objects", COUNT, "enumeration", "(new objects + 1) / (new endpoints + 1), 1 day", "{value} different URL[s] for each endpoint in about a day and a half"),
    ("new_{counterparts}_1d", "{counterparts}", COUNT, "counterparts", "{counterparts} new to it, 1 day", "{value} new {counterparts} in about a day and a half"),
    ("new_user_agents_1d", "agents", COUNT, "counterparts", "user-agent families new to it, 1 day", "{value} new user agent[s] in about a day and a half"),
    ("request_burst", "ratio", COUNT, "rate", "requests of 3 min against its own day", "a pace of {value} times its own daily average"),
    ("interval_spread", "log s", PLAIN, "rhythm", "standard deviation of log(1 + seconds between logs)", "gaps between requests that vary by a factor of {value}"),
    ("sequential_share", "share", PLAIN, "enumeration", "running share of steps of 1 to 3 between numbers in its endpoints", "{value} of the latest requests count a number up or down"),
    ("transition_surprise_mean", "bits", PLAIN, "sequence", "running mean surprise of its steps from endpoint to endpoint", "moves between endpoints as seen in {value} requests"),
    ("age", "h", COUNT, "history", "hours since it was first seen", "first seen {value} ago"),
    ("requests_per_url_1h", "requests", COUNT, "repetition", "(requests + 1) / (new objects + 1), 1 h", "{value} request[s] for each URL in about 90 minutes"),
    ("peer_surprise_statuses_3m", "bits", COUNT, "peers", "bits by which its statuses surprised among peers with its user-agent family, 3 min", "{value} odd answer[s] in about 4 minutes (of kinds seen in 1 of 100 requests of similar clients)"),
    ("peer_surprise_statuses_1d", "bits", COUNT, "peers", "bits by which its statuses surprised among peers with its user-agent family, 1 day", "{value} odd answer[s] in about a day and a half (of kinds seen in 1 of 100 requests of similar clients)"),
    ("peer_surprise_statuses_mean_1h", "bits", PLAIN, "peers", "the same per request, 1 h", "over about 90 minutes, answers seen in {value} requests of similar clients"),
    ("peer_surprise_writes_3m", "bits", COUNT, "peers", "bits by which its writes surprised among peers with its user-agent family, 3 min", "{value} odd write[s] in about 4 minutes (as seen in 1 of 100 requests of similar clients)"),
    ("peer_surprise_writes_1d", "bits", COUNT, "peers", "bits by which its writes surprised among peers with its user-agent family, 1 day", "{value} odd write[s] in about a day and a half (as seen in 1 of 100 requests of similar clients)"),
    ("peer_surprise_writes_mean_1h", "bits", PLAIN, "peers", "the same per request, 1 h", "over about 90 minutes, writes seen in {value} requests of similar clients"),
    ("peer_surprise_endpoints_3m", "bits", COUNT, "peers", "bits by which its endpoints surprised among peers with its user-agent family, 3 min", "{value} odd choice[s] of endpoint in about 4 minutes (as seen in 1 of 100 requests of similar clients)"),
    ("peer_surprise_endpoints_1d", "bits", COUNT, "peers", "bits by which its endpoints surprised among peers with its user-agent family, 1 day", "{value} odd choice[s] of endpoint in about a day and a half (as seen in 1 of 100 requests of similar clients)"),
    ("peer_surprise_endpoints_mean_1h", "bits", PLAIN, "peers", "the same per request, 1 h", "over about 90 minutes, endpoints asked for in {value} requests of similar clients"),
    ("failed_writes_3m", "responses", COUNT, "writes", "writes answered with 4xx lately, 3 min", "{value} refused write[s] (4xx) in about 4 minutes"),
    ("failed_writes_1d", "responses", COUNT, "writes", "writes answered with 4xx lately, 1 day", "{value} refused write[s] (4xx) in about a day and a half"),
    ("response_kilobytes_burst", "ratio", COUNT, "volume", "response bytes of 1 h against its own day", "{value} times its own daily average of bytes received in about 90 minutes"),
    ("new_urls_burst", "ratio", COUNT, "enumeration", "whole endpoints new to it of 1 h against its own day", "{value} times its own daily average of different URLs in about 90 minutes"),
)  # fmt: skip
_SINGLE = (
    ("address_denied_users_1d", "users", COUNT, "denied", "distinct users denied at this address, 1 day", "{value} user[s] denied at this address in about a day and a half"),
    ("user_gap", "s", COUNT, "rhythm", "seconds since the user's last log", "{value} since this user's last request"),
    ("user_hour_surprise", "bits", PLAIN, "rhythm", "surprise of this hour of the week against the user's own habit", "an hour of the week at which this user is {value} times less active than on average"),
    ("user_new_endpoint_surprise", "bits", PLAIN, "novelty", "surprise that this endpoint is new to the user", "an endpoint new to this user, as in {value} requests of it"),
    ("user_new_address_surprise", "bits", PLAIN, "novelty", "surprise that this address is new to the user", "an address new to this user, as in {value} requests of it"),
    ("user_new_network_surprise", "bits", PLAIN, "novelty", "surprise that this /24 (IPv6 /48) is new to the user", "a network new to this user, as in {value} requests of it"),
    ("user_new_user_agent_surprise", "bits", PLAIN, "novelty", "surprise that this user-agent family is new to the user", "a user agent new to this user, as in {value} requests of it"),
    ("latency_excess", "sd", PLAIN, "request", "log latency against the endpoint's usual, in standard deviations", "a response time {value} standard deviations from this endpoint's usual"),
    ("request_size_excess", "sd", PLAIN, "request", "log request size against the endpoint's usual", "a request size {value} standard deviations from this endpoint's usual"),
    ("response_size_excess", "sd", PLAIN, "request", "log response size against the endpoint's usual", "a response size {value} standard deviations from this endpoint's usual"),
    ("status_surprise", "bits", PLAIN, "request", "-log2 of this status class's share at this endpoint", "an answer seen in {value} requests to this endpoint"),
    ("method_surprise", "bits", PLAIN, "request", "-log2 of this method's share at this endpoint", "a method seen in {value} requests to this endpoint"),
    ("endpoint_surprise", "bits", PLAIN, "request", "-log2 of this endpoint's share of all logs", "an endpoint asked for in {value} requests"),
    ("transition_surprise", "bits", PLAIN, "sequence", "-log2 of the share of this endpoint after the user's last one", "an endpoint that follows the one before it in {value} requests"),
    ("endpoint_length", "bytes", COUNT, "shape", "length of the endpoint with its query", "an endpoint of {value} byte[s]"),
    ("path_depth", "segments", PLAIN, "shape", "segments of the path", "a path of {value} segment[s]"),
    ("query_parameters", "parameters", COUNT, "shape", "parameters of the query", "{value} query parameter[s]"),
    ("unusual_characters", "bytes", COUNT, "shape", "bytes that a plain path or query does not hold", "{value} odd character[s] in the endpoint"),
    ("longest_token", "bytes", COUNT, "shape", "longest run between separators", "{value} byte[s] without a separator in the endpoint"),
    ("endpoint_surge", "ratio", COUNT, "endpoint", "voices at this endpoint of 1 h against its own day", "an endpoint {value} times as busy as on its daily average"),
    ("endpoint_client_error_excess", "sd", PLAIN, "endpoint", "4xx at this endpoint of 1 h above its usual share, in standard deviations", "refusals (4xx) at this endpoint {value} standard deviations above its usual"),
    ("endpoint_newcomer_excess", "sd", PLAIN, "endpoint", "newcomers at this endpoint of 1 h above their usual share, in standard deviations", "newcomers at this endpoint {value} standard deviations above its usual"),
    ("endpoint_client_error_share", "share", PLAIN, "endpoint", "share of 4xx at this endpoint", "an endpoint at which {value} of the requests are refused (4xx)"),
    ("endpoint_newcomer_share", "share", PLAIN, "endpoint", "share of users hardly known at this endpoint", "an endpoint at which {value} of the requests come from newcomers"),
    ("endpoint_peer_surprise", "bits", PLAIN, "endpoint", "mean bits by which this endpoint's visitors surprised among their peers", "an endpoint whose visitors do what is seen in {value} requests of similar clients"),
)  # fmt: skip

_COUNTERPARTS = {"user": "addresses", "address": "users"}
_COUNTERPART_WORDS = {"user": "address[es]", "address": "user[s]"}


def _actor_rows(who: str) -> tuple[Feature, ...]:
    return tuple(
        Feature(
            name=f"{who}_{name}".replace("{counterparts}", _COUNTERPARTS[who]),
            unit=unit.replace("{counterparts}", _COUNTERPARTS[who]),
            kind=kind,
            family=family,
            meaning=meaning.replace("{counterparts}", _COUNTERPARTS[who]),
            words=words.replace("{counterparts}", _COUNTERPART_WORDS[who]),
        )
        for name, unit, kind, family, meaning, words in _ACTOR
    )


#: Every behaviour, in the order of the matrix's columns.
FEATURES: tuple[Feature, ...] = (
    *_actor_rows("user"),
    *_actor_rows("address"),
    *(Feature(*row) for row in _SINGLE),
)
NAMES = tuple(row.name for row in FEATURES)
#: Where the user's block, the address's block and the single rows begin.
USER, ADDRESS, SINGLE = 0, len(_ACTOR), 2 * len(_ACTOR)
#: Digest of all that a model depends on, which words are not; a model of another table cannot be
#: served.
SCHEMA = hashlib.sha256(repr([row[:-1] for row in FEATURES]).encode()).hexdigest()[:16]

#: Which columns hold log(1 + value).
COUNTS = np.array([row.kind == COUNT for row in FEATURES])


def in_units(rows: NDArray[np.float32]) -> NDArray[np.float64]:
    """Matrix rows (..., d) as the values that a person would read, in each behaviour's unit."""
    values = rows.astype(np.float64)
    return np.expm1(values, out=values, where=COUNTS)
