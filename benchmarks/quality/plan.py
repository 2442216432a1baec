"""What is measured, piece by piece, on one or more processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from benchmarks.quality.contenders import contenders
from benchmarks.quality.datasets import Dataset, of_traffic, read_ndjson
from benchmarks.quality.measured import Measured, measure
from benchmarks.quality.pooled import Pooled
from benchmarks.quality.promises import BUDGETS, Promise, kept
from api_anomaly.simulator.scenario import Scenario, preset
from api_anomaly.simulator.simulation import simulate

CLEAN, CONTAMINATED = "simulated, clean training", "simulated, contaminated training"
CLEAN_WEEKS = "simulated weeks without attacks"
CONTAMINATION = 1.0  # as many attackers in the training part as in the test part: 4 % of its logs
TRAIN_SHARES = (0.4, 0.6)

Tell = Callable[[str], None]


class Source(NamedTuple):
    """Where a data set comes from: a scenario, or a file and the share that is trained on."""

    group: str
    scenario: Scenario | None = None
    path: Path | None = None
    train_share: float = 0.0

    def load(self) -> Dataset:
        """The logs. Raises OSError and UnreadableData for a file, ValueError for neither."""
        if self.scenario is not None:
            return of_traffic(f"{self.group}, seed {self.scenario.seed}", simulate(self.scenario))
        if self.path is None:
            raise ValueError("a source needs a scenario or a file")
        return read_ndjson(self.path, self.train_share, self.group)


@dataclass(frozen=True)
class Plan:
    """What to measure.

    compared    data sets on which all contenders are compared
    promised    data sets on which our threshold is held to its word, at each of `budgets`
    replicates  drawings of the bootstrap
    """

    compared: Sequence[Source]
    promised: Sequence[Source]
    budgets: Sequence[float] = BUDGETS
    replicates: int = 500


@dataclass(frozen=True)
class Results:
    """What was measured: groups of data sets, and promises by group and data set."""

    groups: dict[str, Pooled] = field(default_factory=dict)
    promises: dict[str, list[Promise]] = field(default_factory=dict)


# A data set, and what to do with it: compare all (drawings), or hold our threshold to a budget.
Piece = tuple[Source, int, float | None]


def plan(
    seeds: int,
    files: Sequence[Path],
    train_shares: Sequence[float] = TRAIN_SHARES,
    small: bool = False,
) -> Plan:
    """The full plan, or a small one: weeks for fortnights, fewer drawings.

    Files are compared at each train share; thresholds are held to their word at the first.
    """
    size = "week" if small else "fortnight"
    simulated = [
        Source(group, preset(size, seed=seed, contamination=share))
        for group, share in ((CLEAN, 0.0), (CONTAMINATED, CONTAMINATION))
        for seed in range(seeds)
    ]
    real = [
        Source(named(path, share), path=path, train_share=share)
        for path in files
        for share in train_shares
    ]
    calm = [Source(CLEAN_WEEKS, preset("clean_week", seed=seed)) for seed in range(seeds)]
    once = [source for source in real if source.train_share == train_shares[0]]
    return Plan([*simulated, *real], [*calm, *once], replicates=100 if small else 500)


def named(path: Path, train_share: float) -> str:
    """What a file's data set is called."""
    return f"{path.name.split('.')[0]}, trained on the first {100 * train_share:g} %"


def carry_out(plan: Plan, processes: int, tell: Tell) -> Results:
    """Measure it all. Raises OSError and UnreadableData for a file that is none."""
    pieces: list[Piece] = [(source, plan.replicates, None) for source in plan.compared]
    pieces += [(source, 0, budget) for source in plan.promised for budget in plan.budgets]
    measured: dict[int, Measured | Promise] = {}
    for place, result, what in _results(pieces, processes):
        measured[place] = result
        tell(f"{len(measured)} of {len(pieces)}: {what}")
    results = Results()
    parts: dict[str, list[Measured]] = {}
    for place, (source, _, _) in enumerate(pieces):
        result = measured[place]
        if isinstance(result, Promise):
            results.promises.setdefault(source.group, []).append(result)
        else:
            parts.setdefault(source.group, []).append(result)
    results.groups.update({group: Pooled(group, each) for group, each in parts.items()})
    return results


def _results(
    pieces: Sequence[Piece], processes: int
) -> Iterator[tuple[int, Measured | Promise, str]]:
    """Place, result and name of each piece, in the order in which they were done."""
    if processes == 1:
        for place, piece in enumerate(pieces):
            yield place, *_measure(piece)
        return
    # Fresh processes: a fork would copy the locks of threads that are not there any more.
    fresh = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=fresh) as pool:
        places = {pool.submit(_measure, piece): place for place, piece in enumerate(pieces)}
        try:
            for done in as_completed(places):
                yield places[done], *done.result()
        finally:
            pool.shutdown(cancel_futures=True)


def _measure(piece: Piece) -> tuple[Measured | Promise, str]:
    source, replicates, budget = piece
    data = source.load()
    if budget is None:
        return measure(data, contenders(), replicates), data.name
    return kept(data, budget), f"{data.name}, threshold for a budget of {budget:g}"
