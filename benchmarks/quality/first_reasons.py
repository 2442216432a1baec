"""Which features each attack family changes, to check the first reason of an alert.

What a family changes follows from its row in the simulator's table of attacks: targets, pace,
statuses, networks and sizes. A reason that is true but says nothing about the attack ("first seen
3 h ago") is not in the list. The features are given as patterns of their names: ``*_denied_*`` is
that of the user and of its address, over minutes and days.
"""

from __future__ import annotations

from fnmatch import fnmatchcase

_RATE = ("*_requests_10s", "*_requests_3m", "*_burst", "*_requests_1h", "*_requests_1d")
_LONG_RATE = ("*_requests_1h", "*_requests_1d")
_RHYTHM = ("*_interval_spread",)
_ERRORS = ("*_client_error*", "*_peer_surprise_statuses_*", "status_surprise")
_DENIED = ("*_denied_*", "address_denied_users_1d", *_ERRORS)
_MISSING = ("*_not_found_*", *_ERRORS)
_WRITES = ("*_writes_*", "*_write_share_*")
_REPEATS = ("*_requests_per_url_1h",)
_URLS = ("*_new_urls_*", "*_urls_per_endpoint_1d", "*_sequential_share")
_TARGETS = ("*_peer_surprise_endpoints_*", "*_transition_surprise_mean", "transition_surprise")
_ENDPOINTS = ("*_new_endpoints_*", "user_new_endpoint_surprise", "endpoint_surprise", *_TARGETS)
_ORIGIN = (
    "user_new_address_surprise",
    "user_new_network_surprise",
    "user_new_user_agent_surprise",
    "user_new_addresses_1d",
    "address_new_users_1d",
    "*_new_user_agents_1d",
)
_VOLUME = ("*_kilobytes_*", "response_size_excess")
_SERVER_LOAD = ("*_server_seconds_1h", "latency_excess", "*_server_errors_1h")
_HOURS = ("user_hour_surprise",)

#: Family -> patterns of the features that it changes.
CHANGED: dict[str, tuple[str, ...]] = {
    "credential_stuffing": (*_DENIED, *_WRITES, *_REPEATS, *_TARGETS, *_RATE),
    "distributed_stuffing": (*_DENIED, *_WRITES, *_REPEATS, *_TARGETS),
    "enumeration_fast": (*_URLS, *_MISSING, *_RATE, *_TARGETS),
    "enumeration_slow": (*_URLS, *_MISSING, *_LONG_RATE, *_TARGETS),
    "token_theft": (*_ORIGIN, *_ENDPOINTS, *_VOLUME, *_RATE),
    "bulk_exfiltration": (*_VOLUME, *_ORIGIN, *_ENDPOINTS, *_URLS, *_SERVER_LOAD, *_LONG_RATE),
    "scraping": (*_URLS, *_RATE, *_VOLUME, *_TARGETS),
    "privilege_probing": (*_DENIED, *_MISSING, *_ENDPOINTS, *_WRITES),
    "path_scanning": (*_MISSING, *_DENIED, *_ENDPOINTS, *_URLS, *_RATE),
    "expensive_queries": (*_SERVER_LOAD, *_ERRORS, *_WRITES, *_ENDPOINTS, *_VOLUME, *_REPEATS),
    "off_hours_insider": (*_HOURS, *_URLS, *_ENDPOINTS, *_RATE),
    "key_sharing": (*_ORIGIN, *_URLS, *_ENDPOINTS, *_RATE, *_RHYTHM, *_MISSING),
    "account_takeover": (*_ORIGIN, *_DENIED, *_WRITES, *_ENDPOINTS),
}


def names_attack(family: str, feature: str) -> bool:
    """Whether the family changes the feature. Raises KeyError for an unknown family."""
    return any(fnmatchcase(feature, pattern) for pattern in CHANGED[family])
