"""Whether the first reason of a found attack names something that the attack is known to change.

What a family changes follows from its row in ``traffic.attacks``: its targets, pace, answers,
networks and sizes. A reason that is true but says nothing of the attack ("first seen 3 h ago")
does not count. The behaviours are given as patterns of their names, so ``*_denied_*`` is that of
the user and of its address, over minutes and days.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from fnmatch import fnmatchcase
from typing import NamedTuple

from api_anomaly.detector import Detections

_RATE = ("*_requests_10s", "*_requests_3m", "*_burst", "*_requests_1h", "*_requests_1d")
_LASTING = ("*_requests_1h", "*_requests_1d")
_RHYTHM = ("*_interval_spread",)
_ERRORS = ("*_client_error*", "*_peer_surprise_statuses_*", "status_surprise")
_DENIED = ("*_denied_*", "address_denied_users_1d", *_ERRORS)
_MISSING = ("*_not_found_*", *_ERRORS)
_WRITES = ("*_writes_*", "*_write_share_*")
_REPEATS = ("*_requests_per_url_1h",)
_OBJECTS = ("*_new_urls_*", "*_urls_per_endpoint_1d", "*_sequential_share")
_TARGETS = ("*_peer_surprise_endpoints_*", "*_transition_surprise_mean", "transition_surprise")
_PLACES = ("*_new_endpoints_*", "user_new_endpoint_surprise", "endpoint_surprise", *_TARGETS)
_ELSEWHERE = (
    "user_new_address_surprise",
    "user_new_network_surprise",
    "user_new_user_agent_surprise",
    "user_new_addresses_1d",
    "address_new_users_1d",
    "*_new_user_agents_1d",
)
_VOLUME = ("*_kilobytes_*", "response_size_excess")
_STRAIN = ("*_server_seconds_1h", "latency_excess", "*_server_errors_1h")
_HOURS = ("user_hour_surprise",)

#: Family -> patterns of the behaviours that it changes.
CHANGED: dict[str, tuple[str, ...]] = {
    "stuffing_concentrated": (*_DENIED, *_WRITES, *_REPEATS, *_TARGETS, *_RATE),
    "stuffing_spread": (*_DENIED, *_WRITES, *_REPEATS, *_TARGETS),
    "enumeration_fast": (*_OBJECTS, *_MISSING, *_RATE, *_TARGETS),
    "enumeration_slow": (*_OBJECTS, *_MISSING, *_LASTING, *_TARGETS),
    "token_theft": (*_ELSEWHERE, *_PLACES, *_VOLUME, *_RATE),
    "slow_exfiltration": (*_VOLUME, *_ELSEWHERE, *_PLACES, *_OBJECTS, *_STRAIN, *_LASTING),
    "scraping": (*_OBJECTS, *_RATE, *_VOLUME, *_TARGETS),
    "privilege_probing": (*_DENIED, *_MISSING, *_PLACES, *_WRITES),
    "path_scanning": (*_MISSING, *_DENIED, *_PLACES, *_OBJECTS, *_RATE),
    "expensive_queries": (*_STRAIN, *_ERRORS, *_WRITES, *_PLACES, *_VOLUME, *_REPEATS),
    "insider_off_hours": (*_HOURS, *_OBJECTS, *_PLACES, *_RATE),
    "shared_key": (*_ELSEWHERE, *_OBJECTS, *_PLACES, *_RATE, *_RHYTHM, *_MISSING),
    "account_takeover": (*_ELSEWHERE, *_DENIED, *_WRITES, *_PLACES),
}


class Explained(NamedTuple):
    """Of one family: found attack logs, those explained, and the other first reasons."""

    found: int
    explained: int
    others: Counter[str]

    def plus(self, other: Explained) -> Explained:
        """Both together."""
        return Explained(
            self.found + other.found, self.explained + other.explained, self.others + other.others
        )


def names_what_changed(family: str, feature: str) -> bool:
    """Whether the family changes the behaviour. Raises KeyError for no family of ours."""
    return any(fnmatchcase(feature, pattern) for pattern in CHANGED[family])


def explained(verdicts: Detections, family: Sequence[str | None]) -> dict[str, Explained]:
    """By family, over the anomalies among m logs; `family` (m,) is None for benign logs.

    Families that are not in CHANGED (those of real logs) are left out.
    """
    found: dict[str, Explained] = {}
    for anomaly in verdicts.anomalies:
        name = family[anomaly.index]
        if name not in CHANGED:
            continue
        first = anomaly.reasons[0].feature if anomaly.reasons else "no reason"
        good = names_what_changed(name, first)
        one = Explained(1, int(good), Counter() if good else Counter([first]))
        found[name] = found[name].plus(one) if name in found else one
    return found
