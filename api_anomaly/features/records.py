"""The records of the memory: what is kept of an actor, of an endpoint and of all traffic.

An actor is a user or an address; its record decays with time. The record of an endpoint stands for
a template with a method, for a template alone or for a family of user agents (a peer group); it
ages by count and has decaying counts of the last hours and days besides.
"""

from enum import IntEnum
from typing import Self

import numpy as np

from api_anomaly.features.decay import DAY_1, HALF_LIVES, HOUR_1, MINUTES_3
from api_anomaly.logs.columns import METHODS


class Count(IntEnum):
    """What is counted for every actor besides its requests, and at which half-lives: those that a
    feature reads. Each pair of the two costs four bytes an actor."""

    half_lives: tuple[int, ...]

    def __new__(cls, *half_lives: int) -> Self:
        member = int.__new__(cls, len(cls.__members__))
        member._value_ = len(cls.__members__)
        member.half_lives = half_lives
        return member

    client_errors = MINUTES_3, HOUR_1, DAY_1  # status 400 to 499
    denied = MINUTES_3, DAY_1  # status 401 and 403
    not_found = HOUR_1, DAY_1  # status 404
    server_errors = HOUR_1  # status 500 to 599
    writes = MINUTES_3, HOUR_1, DAY_1  # POST, PUT, PATCH, DELETE
    response_kilobytes = HOUR_1, DAY_1
    server_seconds = HOUR_1  # sum of response times
    new_endpoints = MINUTES_3, DAY_1  # templates that are new to the actor
    new_urls = MINUTES_3, HOUR_1, DAY_1  # URLs (path and query) that are new to it
    new_counterparts = DAY_1  # addresses that are new to a user, users that are new to an address
    denied_counterparts = DAY_1  # counterparts denied for the first time
    new_user_agents = DAY_1  # user-agent families that are new to it
    peer_surprise_statuses = MINUTES_3, HOUR_1, DAY_1  # bits, see `peers`
    peer_surprise_writes = MINUTES_3, HOUR_1, DAY_1
    peer_surprise_endpoints = MINUTES_3, HOUR_1, DAY_1
    failed_writes = MINUTES_3, DAY_1  # writes answered with 400 to 499


_KEPT = [
    (half_life, count)
    for half_life in range(len(HALF_LIVES))
    for count in Count
    if half_life in count.half_lives
]
#: Column of a count and a half-life in a record's `counts`, -1 for none: (counts, half-lives).
COUNT_COLUMNS = np.full((len(Count), len(HALF_LIVES)), -1)
for _column, (_half_life, _count) in enumerate(_KEPT):
    COUNT_COLUMNS[_count, _half_life] = _column
#: Where the columns of each half-life begin, and the end: those of one half-life are adjacent.
COUNT_STARTS = np.searchsorted([half_life for half_life, _ in _KEPT], range(len(HALF_LIVES) + 1))


class Recent(IntEnum):
    """What is counted of every endpoint at the last two half-lives, in weights of logs."""

    requests = 0
    client_errors = 1
    newcomers = 2


class Moment(IntEnum):
    """Of what an endpoint keeps running mean and variance, as logarithms."""

    latency = 0
    request_size = 1
    response_size = 2


class StatusClass(IntEnum):
    """The kinds of statuses that the features distinguish."""

    success = 0
    redirect = 1
    client_error = 2
    denied = 3
    not_found = 4
    server_error = 5


class Novelty(IntEnum):
    """What can be new to a user."""

    endpoint = 0
    address = 1
    network = 2
    user_agent = 3


#: Cells of the hashed table of transitions and peers (see `peers`).
TRANSITIONS = 1 << 17

ACTOR = np.dtype(
    [
        ("key", "u8"),
        ("last", "f8"),  # time of the last log; the record's clock
        ("first", "f8"),  # time of the first log
        ("template", "u8"),  # of the last log
        ("number", "f8"),  # last number in a URL, -1 for none
        # Sets, see `sketches`.
        ("templates", "u8", (2, 2)),
        ("urls", "u8", (2, 2)),
        ("counterparts", "u8", (2, 2)),
        ("user_agents", "u8", (2, 1)),
        ("requests", "f4", (len(HALF_LIVES),)),
        ("counts", "f4", (len(_KEPT),)),  # see COUNT_COLUMNS
        ("interval_mean", "f4"),  # running mean and variance of log(1 + seconds between logs)
        ("interval_variance", "f4"),
        ("sequential_share", "f4"),  # running means, as the features of the same names
        ("transition_surprise", "f4"),
        ("seen", "u4"),  # logs ever; stays at its largest value
        ("hours", "u1", (24,)),  # active hours by hour of the day (UTC)
        ("days", "u1", (7,)),  # active hours by day of the week, Monday first
        ("hour", "u1"),  # hour of the week of the last active hour, 255 for none
    ],
    align=True,
)
# float64: weights of a millionth must still count among thousands.
ENDPOINT = np.dtype(
    [
        ("key", "u8"),
        ("last", "f8"),  # time of the last log
        ("total", "f8"),  # sum of weights, halved together with TRAFFIC's
        ("weight", "f8"),  # the same sum, halved together with the next four
        ("statuses", "f8", (len(StatusClass),)),  # weight of each class
        ("writes", "f8"),
        ("newcomers", "f8"),  # weight of users with few logs
        ("peer_surprise", "f8"),  # bits by which its logs surprised among their peers
        ("clock", "f8"),  # of `recent`
        ("recent", "f8", (len(Recent), 2)),
        ("moments", "f8", (len(Moment), 3)),  # weight, mean and variance
        ("seen", "u8"),
    ],
    align=True,
)
#: Of all traffic.
TRAFFIC = np.dtype(
    [
        ("weight", "f8"),  # sum of weights
        ("statuses", "f8", (len(StatusClass),)),
        ("methods", "f8", (len(METHODS),)),
        ("writes", "f8"),
        ("settled", "f8"),  # weight of users with enough logs to tell how often novelties occur
        ("novelties", "f8", (len(Novelty),)),
    ],
    align=True,
)
