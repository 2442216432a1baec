"""What each user, address and endpoint did lately: bounded, one writer, snapshot and restore.

A user or an address is one fixed-size record (`ACTOR`): decaying counts at a few half-lives and
small forgetting sets. An endpoint is one (`ENDPOINT`): aged status counts, decaying counts of the
last hours and days, and running moments of latency and sizes. `merge_newer` takes the later record
of each; counts are not added up.
What all users share (the endpoints, `SHARED`, the transitions) ages by count and weighs every
user's voice down as it gets louder, so no single actor owns it.

What it does not promise: an entity that was pushed out by the bound is new again when it comes
back; a set that forgets may take a new item for a known one (see `sketches`); nothing is
encrypted, but no text is kept either: only 64-bit keys.
"""

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from api_anomaly.logs.columns import METHODS
from api_anomaly.features.lru_table import (
    EVICTIONS,
    USED,
    Table,
    copy_known,
    empty_table,
    put_in_order,
    read_in,
)

#: What is counted for every actor besides its requests, and at which of the last three of
#: `windows.HALF_LIVES`: those that a behaviour reads. Every place costs four bytes an actor.
COUNTERS: dict[str, tuple[int, ...]] = {
    "client_errors": (0, 1, 2),  # status 400..499
    "denied": (0, 2),  # 401 and 403
    "not_found": (1, 2),  # 404
    "server_errors": (1,),  # 500..599
    "writes": (0, 1, 2),  # POST, PUT, PATCH, DELETE
    "response_kilobytes": (1, 2),  # of responses
    "server_seconds": (1,),  # of response time
    "new_endpoints": (0, 2),  # templates that the actor had not met lately
    "new_urls": (0, 1, 2),  # whole endpoints that it had not met lately
    "new_counterparts": (2,),  # addresses of a user, users of an address
    "denied_counterparts": (2,),  # those of them that were denied
    "new_user_agents": (2,),  # user-agent families
    "peer_surprise_statuses": (
        0,
        1,
        2,
    ),  # bits by which statuses surprised in the same agent family
    "peer_surprise_writes": (0, 1, 2),  # the same for writes
    "peer_surprise_endpoints": (0, 1, 2),  # the same for endpoint templates
    "failed_writes": (0, 2),  # writes answered with 4xx
}
_KEPT = [
    (span, counter)
    for span in range(3)
    for counter, at in enumerate(COUNTERS.values())
    if span in at
]
#: The place of each counter and half-life in a record's `counts`, -1 for none: (counters, 3).
PLACES = np.full((len(COUNTERS), 3), -1)
for _place, (_span, _counter) in enumerate(_KEPT):
    PLACES[_counter, _span] = _place
#: Where the places of each half-life begin, and the end: they lie side by side.
SPANS = np.searchsorted([span for span, _ in _KEPT], range(4))
#: What is counted of every endpoint, at the last two of `windows.HALF_LIVES`, in voices.
LATELY = ("requests", "refused", "newcomers")
STATUS_CLASSES = ("success", "redirect", "client error", "denied", "not found", "server error")
NOVELTIES = ("endpoint", "address", "network", "agent")
TRANSITIONS = 1 << 17

ACTOR = np.dtype(
    [
        ("key", "u8"),
        ("last", "f8"),
        ("first", "f8"),
        ("place", "u8"),  # key of the last endpoint template
        ("number", "f8"),  # last number in an endpoint
        ("templates", "u8", (2, 2)),
        ("objects", "u8", (2, 2)),
        ("counterparts", "u8", (2, 2)),
        ("agents", "u8", (2, 1)),
        ("requests", "f4", (4,)),
        ("counts", "f4", (len(_KEPT),)),  # see PLACES
        ("gap_mean", "f4"),  # running mean and variance of log(1 + seconds between logs)
        ("gap_variance", "f4"),
        ("sequential", "f4"),  # running share of steps by the same small number
        ("transition_surprise", "f4"),  # running mean surprise of its transitions, bits
        ("seen", "u4"),  # logs ever; it stays at its end
        ("hours", "u1", (24,)),  # in how many hours of activity, by hour of the day (UTC)
        ("days", "u1", (7,)),  # the same by day of the week, Monday first
        ("hour", "u1"),  # hour of the week of the last count in `hours`, 255 at first
    ],
    align=True,
)
# What all users share is held in float64: voices of a millionth must still count among thousands.
ENDPOINT = np.dtype(
    [
        ("key", "u8"),
        ("last", "f8"),
        ("voices", "f8"),  # sum of voices, which ages with everybody's
        ("weight", "f8"),  # the same, of the next four, which age by themselves
        ("statuses", "f8", (len(STATUS_CLASSES),)),
        ("writes", "f8"),
        ("newcomers", "f8"),  # voices of users who were hardly known
        ("odd", "f8"),  # bits by which its visitors' logs surprised among their peers
        ("now", "f8"),  # time that `lately` stands at
        ("lately", "f8", (len(LATELY), 2)),
        # (latency, request size, response size) x (weight, mean, variance), all of log
        ("moments", "f8", (3, 3)),
        ("seen", "u8"),
    ],
    align=True,
)
SHARED = np.dtype(
    [
        ("weight", "f8"),  # sum of voices
        ("statuses", "f8", (len(STATUS_CLASSES),)),
        ("methods", "f8", (len(METHODS),)),
        ("writes", "f8"),
        ("settled", "f8"),  # voices of users with enough history to be surprised by novelty
        ("novelties", "f8", (len(NOVELTIES),)),
    ],
    align=True,
)


class State(NamedTuple):
    """The arrays that the behaviour pass reads and writes."""

    actors: Table
    endpoints: Table
    shared: NDArray[Any]
    transitions: NDArray[np.float64]


class Memory:
    """The pasts of at most `entities` users and addresses, and a sixteenth as many endpoints."""

    #: Digest of the records' layout; a snapshot of another layout cannot be restored.
    schema = hashlib.sha256(
        repr((ACTOR.descr, ENDPOINT.descr, SHARED.descr, TRANSITIONS)).encode()
    ).hexdigest()[:16]
    #: Records in a section, and what is copied at a time: a few megabytes.
    _CHUNK = 16_384

    def __init__(self, state: State) -> None:
        self.state = state

    @classmethod
    def empty(cls, entities: int = 1_000_000) -> Self:
        """No past at all. `entities` >= 16; the arrays are zero pages until they are used."""
        actors = empty_table(ACTOR, max(16, entities))
        endpoints = empty_table(ENDPOINT, max(1_024, entities // 16))
        return cls(State(actors, endpoints, np.zeros(1, SHARED), np.zeros(TRANSITIONS)))

    @property
    def entities(self) -> dict[str, int]:
        """How many actors (users and addresses) and endpoints are remembered."""
        return {
            "actors": int(self.state.actors.state[USED]),
            "endpoints": int(self.state.endpoints.state[USED]),
        }

    @property
    def capacity(self) -> int:
        """How many actors can be remembered."""
        return len(self.state.actors.records)

    @property
    def evictions(self) -> int:
        """How many actors and endpoints have been forgotten to make room."""
        return int(self.state.actors.state[EVICTIONS] + self.state.endpoints.state[EVICTIONS])

    def scratch(self, actors: NDArray[np.uint64], endpoints: NDArray[np.uint64]) -> "Memory":
        """A small memory of its own that holds copies of the given keys' pasts; O(keys)."""
        copy = Memory(
            State(
                empty_table(ACTOR, max(16, len(actors))),
                empty_table(ENDPOINT, max(16, len(endpoints))),
                self.state.shared.copy(),
                self.state.transitions.copy(),
            )
        )
        copy_known(self.state.actors, copy.state.actors, actors)
        copy_known(self.state.endpoints, copy.state.endpoints, endpoints)
        return copy

    def sections(self) -> Iterator[tuple[str, NDArray[Any]]]:
        """Named copies of all there is, a chunk of records at a time: logs may join in between."""
        for name, table in (("actors", self.state.actors), ("endpoints", self.state.endpoints)):
            start = 0
            while start < table.state[USED]:
                stop = min(start + self._CHUNK, int(table.state[USED]))
                yield f"{name}.{start // self._CHUNK}", table.records[start:stop].copy()
                start = stop
        yield "shared", self.state.shared.copy()
        yield "transitions", self.state.transitions.copy()

    @classmethod
    def restore(
        cls, sections: Iterable[tuple[str, NDArray[Any]]], entities: int = 1_000_000
    ) -> Self:
        """A memory from `sections`; with less room than they need, the latest seen stay.

        Each is read in before the next one is asked for, so that no two need to exist at once.
        Raises ValueError when what all users share is not among them, or what is no memory's is.
        """
        memory = cls.empty(entities)
        state, missing = memory.state, {"shared", "transitions"}
        for name, rows in sections:
            kind = name.partition(".")[0]
            if kind in ("actors", "endpoints"):
                _join(getattr(state, kind), rows)
            elif kind in missing:
                getattr(state, kind)[:] = rows
                missing.remove(kind)
            else:
                raise ValueError(f"no section of a memory: {name}")
        if missing:
            raise ValueError(f"without {missing}")
        _order(state.actors)
        _order(state.endpoints)
        return memory

    def merge_newer(self, other: "Memory") -> None:
        """Take from `other` each actor and endpoint that it saw later than this memory did.

        With less room than both need, the latest seen stay. What all users share stays this
        memory's own; an endpoint brings its share of the voices along.
        """
        mine, theirs = self.state, other.state
        for rows in _later(mine.actors, theirs.actors, self._CHUNK):
            read_in(mine.actors, rows)
        for rows in _later(mine.endpoints, theirs.endpoints, self._CHUNK):
            rows["voices"] *= mine.shared["weight"] / theirs.shared["weight"]
            read_in(mine.endpoints, rows)


def _join(table: Table, rows: NDArray[Any]) -> None:
    """Read `rows`, which may be in any order, into `table`, whose order of being seen is to be made
    anew afterwards."""
    # The very dtype and not an equal one: kernels know it by identity, and comparing dozens of
    # fields would cost every later call microseconds.
    rows = rows.view(table.records.dtype)
    if table.state[USED] + len(rows) > len(table.records):
        _order(table)
        rows = rows[np.argsort(rows["last"], kind="stable")]
        rows = rows[_has_room(table, rows["key"], rows["last"])]
    read_in(table, rows)


def _order(table: Table) -> None:
    """Make the order in which the records of `table` were seen that of their last logs."""
    last = table.records["last"][: table.state[USED]]
    put_in_order(table, np.argsort(last, kind="stable"))


def _later(mine: Table, theirs: Table, most: int) -> Iterator[NDArray[Any]]:
    """Copies of `theirs`, oldest first and at most `most` at a time, without those for which `mine`
    has no room."""
    rows = theirs.records[: theirs.state[USED]]
    order = np.argsort(rows["last"], kind="stable")
    if mine.state[USED] + len(rows) > len(mine.records):
        order = order[_has_room(mine, rows["key"], rows["last"])[order]]
    for start in range(0, len(order), most):
        yield rows[order[start : start + most]]


def _has_room(table: Table, keys: NDArray[Any], last: NDArray[Any]) -> NDArray[np.bool_]:
    """Which of records with `keys` and `last` (m,) `table` has, or has room for when the latest
    seen of all stay."""
    known = table.records[: table.state[USED]]
    new = ~np.isin(keys, known["key"])
    surplus = len(known) + int(new.sum()) - len(table.records)
    if surplus <= 0:
        return np.ones(len(keys), np.bool_)
    seen = np.concatenate([known["last"], last[new]])
    too_old = np.partition(seen, surplus - 1)[surplus - 1]
    stays: NDArray[np.bool_] = ~new | (last > too_old)
    return stays
