"""Wrong set-ups that a single block of logs shows.

What could be an attack is no finding: a flood from one address has one endpoint or mostly fails,
and does not last; a wrong set-up is there from the first log on, or stays. No text names an
address, a user or a user agent.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

from api_anomaly.logs.setup_sample import NEARLY_ALL, Facts

_HOUR = 3_600.0


@dataclass(slots=True)
class Lasting:
    """A check of single blocks, whose finding counts if every block so far shows it, or if it
    lasts: three blocks in a row and an hour of logs. It ends when three blocks do not show it."""

    look: Callable[[Facts], str | None]
    _blocks: int = 0
    _shown: int = 0
    _row: int = 0
    _misses: int = 0
    _since: float = math.inf
    _text: str | None = None

    def judge(self, block: Facts, now: float) -> str | None:
        seen = self.look(block)
        self._blocks += 1
        if seen is None:
            self._row, self._misses, self._since = 0, self._misses + 1, math.inf
            if self._misses >= 3:
                self._text = None
            return self._text
        self._shown, self._row, self._misses = self._shown + 1, self._row + 1, 0
        self._since = min(self._since, block.first)
        lasts = self._row >= 3 and block.last - self._since >= _HOUR
        if self._text or lasts or self._shown == self._blocks:
            self._text = seen
        return self._text


#: A proxy's address has nearly all logs and ten users or user agents in 1,000 of them. One person
#: with all their devices has fewer user agents, a health probe and an integration have one.
_CROWD = 10


def one_address(block: Facts) -> str | None:
    """All have one address: the proxy's. A flood of log-ins or of probes from one address has one
    endpoint, or mostly fails."""
    behind = block.behind
    if block.address_share < NEARLY_ALL or behind.endpoints < 5 or block.behind_success < 0.5:
        return None
    if max(behind.users, behind.agents) < _CROWD:
        return None
    return (
        f"One address has {_percent(block.address_share)} of the logs, and"
        f" {_who(behind.users, behind.agents)} behind it: it is the address of a proxy or load"
        " balancer. Log the client's address instead (nginx: real_ip_header and set_real_ip_from;"
        " Apache: mod_remoteip) or, where the logs hold X-Forwarded-For, name the proxy in"
        " LOG_TRUSTED_PROXIES. If all users do share one network, ignore this."
    )


#: Nodes of a cluster, of a load balancer: few private addresses with a crowd behind them.
_MAX_NODES, _NODE_CROWD = 16, 20


def private_addresses_only(block: Facts) -> str | None:
    """A crowd comes from a few private addresses: those of proxies. (From many private addresses it
    is an internal service; from one see `one_address`.)"""
    nodes, crowd = block.crowd.addresses, max(block.crowd.users, block.crowd.agents)
    if block.private < 1.0 or not 2 <= nodes <= _MAX_NODES or one_address(block):
        return None
    if crowd < max(_NODE_CROWD, 3 * nodes) or block.crowd.endpoints < 5 or block.success < 0.5:
        return None
    return (
        f"All logs come from {nodes} private addresses, with"
        f" {_who(block.crowd.users, block.crowd.agents)} behind them. If these are proxies or nodes"
        " of a cluster, log the client's address instead (nginx: real_ip_header and"
        " set_real_ip_from; Kubernetes: externalTrafficPolicy: Local) or name their network in"
        " LOG_TRUSTED_PROXIES."
    )


def no_user_and_no_agent(block: Facts) -> str | None:
    """Neither users nor user agents; the address as a stand-in is no user."""
    if block.user_logs > 0.01 * block.n or block.present["user agents"] > 0.01:
        return None
    return (
        "The logs have neither users nor user agents, so that clients differ by their address"
        " alone: all behind one address count as one. Log the user agent (the combined format of"
        " nginx and Apache does) and, where there is one, the user or the id of the API key."
    )


#: Logs with a user that the two checks of users need.
_MIN_USERS, _MIN_NEW_USERS = 100, 500
#: Nearly every log has a new user, though the same machines (address and user agent) return.
_NEW_USERS, _MACHINES = 0.98, 0.7


def user_is_prefix(block: Facts) -> str | None:
    """The users are something else: a part of the prefix of the line, or an id of the request."""
    if block.user_logs >= _MIN_USERS and block.prefixes >= 0.5:
        return (
            f"{_percent(block.prefixes)} of the users look like a date, a time, an address or the"
            " header of syslog: a prefix of the line is read as the user. Name the format of the"
            " lines (?format= or ?log_format=), or send them without the prefix."
        )
    users = block.crowd.users
    if block.user_logs < _MIN_NEW_USERS or users < _NEW_USERS * block.user_logs:
        return None
    if block.machines > _MACHINES * users or block.crowd.endpoints < 5 or block.success < 0.5:
        return None
    return (
        f"Nearly every log has a user of its own ({users} in {block.user_logs} logs), though the"
        " same addresses and user agents come back: the user is probably an id of the request or"
        " of the session. Log the id of the account or of the API key."
    )


def _who(users: int, agents: int) -> str:
    return f"{users} users" if users >= agents else f"{agents} user agents"


def _percent(share: float) -> str:
    return f"{100.0 * share:.0f} %"
