"""Wrong set-ups that show in the logs themselves, said in plain words.

Each source of logs (a caller and a format) has a block of its latest logs. When 1,000 are together
each check judges the facts of the block by what it remembers of the blocks before: a few numbers.
Clocks are compared at every batch. A warning stays while the logs show what it says. No text names
an address, a user or a user agent.

    setup_sample    the block and its facts
    setup_findings  what a single block shows
    setup_changes   what changes from block to block
    setup_clock     times against the clock of this machine
"""

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol, get_args

from api_anomaly.logs.columns import Columns
from api_anomaly.logs.setup_changes import FieldStopped, OneClient, UnitChanged
from api_anomaly.logs.setup_clock import Clock
from api_anomaly.logs.setup_findings import (
    Lasting,
    no_user_and_no_agent,
    one_address,
    private_addresses_only,
    user_is_prefix,
)
from api_anomaly.logs.setup_sample import BLOCK_LOGS, Block, Facts, stretches

Code = Literal[
    "one_address",
    "one_client",
    "clock_ahead",
    "clock_behind",
    "clocks_differ",
    "field_stopped",
    "unit_changed",
    "user_is_prefix",
    "no_user_and_no_agent",
    "private_addresses_only",
]
CODES: tuple[Code, ...] = get_args(Code)

#: Sources that are remembered; the one that was silent longest goes first. About 60 kB each.
MAX_SOURCES = 64
#: Logs of a block that is judged although it is not full, when a training ends.
_MIN_LOGS = 200
#: With a proxy's address for everybody, a client is an address with a user agent: one browser.
_HIDE_ONE_CLIENT: tuple[Code, ...] = ("one_address", "private_addresses_only")


class SetupWarning(NamedTuple):
    """`text`: what was seen in how many `logs` of `source` since when (Unix seconds), and what to
    do."""

    code: Code
    source: str
    text: str
    since: float
    logs: int


class Check(Protocol):
    """Judges the blocks of one source, one after the other."""

    def judge(self, block: Facts, now: float) -> str | None:
        """What is wrong, or None."""


def _checks() -> dict[Code, Check]:
    return {
        "one_address": Lasting(one_address),
        "private_addresses_only": Lasting(private_addresses_only),
        "no_user_and_no_agent": Lasting(no_user_and_no_agent),
        "user_is_prefix": Lasting(user_is_prefix),
        "one_client": OneClient(),
        "field_stopped": FieldStopped(),
        "unit_changed": UnitChanged(),
    }


@dataclass(slots=True)
class _Source:
    name: str
    block: Block = field(default_factory=Block)
    clock: Clock = field(default_factory=Clock)
    checks: dict[Code, Check] = field(default_factory=_checks)
    warnings: dict[Code, SetupWarning] = field(default_factory=dict)

    def add(self, columns: Columns, now: float) -> bool:
        """Read a batch (at least one log), and judge every block that it fills. Whether its clock
        is to be compared with others."""
        compare = self.clock.seen(columns.time, now)
        parts, arrays = stretches(columns), columns.arrays()
        weight = len(columns) / sum(end - first for first, end in parts)
        for first, end in parts:
            while first < end:
                count = min(end - first, BLOCK_LOGS - len(self.block))
                self.block.add(arrays, first, count, weight)
                first += count
                if len(self.block) == BLOCK_LOGS:
                    self.judge(now)
        self.say("clock_ahead", self.clock.ahead, now, len(columns))
        self.say("clock_behind", self.clock.behind, now, len(columns))
        return compare

    def judge(self, now: float) -> None:
        """Judge the block (at least one log), and begin a new one."""
        facts = self.block.take()
        for code, check in self.checks.items():
            self.say(code, check.judge(facts, now), now, facts.weight)
        if any(code in self.warnings for code in _HIDE_ONE_CLIENT):
            self.warnings.pop("one_client", None)

    def say(self, code: Code, text: str | None, now: float, logs: float) -> None:
        """Begin, continue or end a warning."""
        if text is None:
            self.warnings.pop(code, None)
            return
        before = self.warnings.get(code)
        since, seen = (before.since, before.logs) if before else (now, 0)
        self.warnings[code] = SetupWarning(code, self.name, text, since, seen + round(logs))


class SetupChecks:
    """The checks of all sources. Not safe for threads."""

    def __init__(self) -> None:
        self._sources: OrderedDict[str, _Source] = OrderedDict()

    def seen(self, source: str, columns: Columns, now: float) -> list[SetupWarning]:
        """Logs of `source` arrived at `now` (Unix seconds). Returns what is wrong with it now.

        About 0.2 µs a log, and less for more than 8,000 logs; a single log costs about 20 µs.
        """
        known = self._sources.get(source)
        if len(columns) == 0:
            return list(known.warnings.values()) if known else []
        if known is None:
            known = self._sources[source] = _Source(source)
            if len(self._sources) > MAX_SOURCES:
                self._sources.popitem(last=False)
        self._sources.move_to_end(source)
        if known.add(columns, now):
            self._compare_clocks(known, now, len(columns))
        return list(known.warnings.values())

    def seen_all(self, source: str, columns: Columns, now: float) -> list[SetupWarning]:
        """A whole history, as for a training: what was known of `source` is forgotten, and the last
        logs are judged even if they are not enough for a block."""
        self._sources.pop(source, None)
        found = self.seen(source, columns, now)
        known = self._sources.get(source)
        if known is None or len(known.block) < _MIN_LOGS:
            return found
        known.judge(now)
        return list(known.warnings.values())

    @property
    def warnings(self) -> list[SetupWarning]:
        """What is wrong now, the sources that were heard last first."""
        sources = reversed(self._sources.values())
        return [warning for source in sources for warning in source.warnings.values()]

    def _compare_clocks(self, known: _Source, now: float, logs: int) -> None:
        others = (source.clock for source in self._sources.values() if source is not known)
        texts = (known.clock.differs(clock, now) for clock in others)
        known.say("clocks_differ", next(filter(None, texts), None), now, logs)
