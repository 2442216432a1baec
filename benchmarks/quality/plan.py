"""What is measured, task by task, in one or more processes."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from benchmarks.quality.contenders import contenders
from benchmarks.quality.datasets import Dataset, of_traffic, read_ndjson
from benchmarks.quality.figures import concatenate, pool
from benchmarks.quality.measure import BUDGETS, Tables, check_threshold, measure
from api_anomaly.simulator.scenario import Scenario, preset
from api_anomaly.simulator.simulation import simulate

CLEAN, CONTAMINATED = "simulated, clean training", "simulated, contaminated training"
CLEAN_WEEKS = "simulated weeks without attacks"
CONTAMINATION = 1.0  # as many attackers in the training part as in the test part: 4 % of its logs
TRAIN_SHARES = (0.4, 0.6)

Progress = Callable[[str], None]


class Source(NamedTuple):
    """Where a data set comes from: a scenario, or a file and the share to train on."""

    group: str
    scenario: Scenario | None = None
    path: Path | None = None
    train_share: float = 0.0

    def load(self) -> Dataset:
        """Raises OSError and UnreadableData for a file, ValueError for neither."""
        if self.scenario is not None:
            return of_traffic(f"{self.group}, seed {self.scenario.seed}", simulate(self.scenario))
        if self.path is None:
            raise ValueError("a source needs a scenario or a file")
        return read_ndjson(self.path, self.train_share, self.group)


@dataclass(frozen=True)
class Plan:
    """What to measure.

    compared    data sets on which all contenders are compared
    thresholds  data sets on which our threshold is checked for each of `budgets`
    replicates  bootstrap samples
    """

    compared: Sequence[Source]
    thresholds: Sequence[Source]
    budgets: Sequence[float] = BUDGETS
    replicates: int = 500


# A data set, and what to do with it: compare all contenders on so many bootstrap samples, or check
# our threshold for a budget.
Task = tuple[Source, int, float | None]


def plan(
    seeds: int,
    files: Sequence[Path],
    train_shares: Sequence[float] = TRAIN_SHARES,
    small: bool = False,
) -> Plan:
    """The full plan, or a small one: weeks instead of fortnights, fewer bootstrap samples.

    Files are compared at each train share; thresholds are checked at the first.
    """
    size = "week" if small else "fortnight"
    simulated = [
        Source(group, preset(size, seed=seed, contamination=share))
        for group, share in ((CLEAN, 0.0), (CONTAMINATED, CONTAMINATION))
        for seed in range(seeds)
    ]
    real = [
        Source(file_group(path, share), path=path, train_share=share)
        for path in files
        for share in train_shares
    ]
    calm = [Source(CLEAN_WEEKS, preset("clean_week", seed=seed)) for seed in range(seeds)]
    once = [source for source in real if source.train_share == train_shares[0]]
    return Plan([*simulated, *real], [*calm, *once], replicates=100 if small else 500)


def file_group(path: Path, train_share: float) -> str:
    """The group of a file."""
    return f"{path.name.split('.')[0]}, trained on the first {100 * train_share:g} %"


def run(plan: Plan, processes: int, report: Progress) -> Tables:
    """Measure everything in the plan and pool it by group. Raises OSError and UnreadableData."""
    tasks: list[Task] = [(source, plan.replicates, None) for source in plan.compared]
    tasks += [(source, 0, budget) for source in plan.thresholds for budget in plan.budgets]
    done: dict[int, Tables] = {}
    for number, tables, what in _run_tasks(tasks, processes):
        done[number] = tables
        report(f"{len(done)} of {len(tasks)}: {what}")
    for number, (source, _, _) in enumerate(tasks):
        for table in done[number].values():
            table.insert(0, "group", source.group)
    return pool(concatenate(done[number] for number in range(len(tasks))))


def _run_tasks(tasks: Sequence[Task], processes: int) -> Iterator[tuple[int, Tables, str]]:
    """Number, result and name of each task, in the order in which they end."""
    if processes == 1:
        for number, task in enumerate(tasks):
            yield number, *_run_task(task)
        return
    # Spawned, not forked: a fork would copy locks of threads that do not exist in the child.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(processes, mp_context=context) as executor:
        numbers = {executor.submit(_run_task, task): number for number, task in enumerate(tasks)}
        try:
            for done in as_completed(numbers):
                yield numbers[done], *done.result()
        finally:
            executor.shutdown(cancel_futures=True)


def _run_task(task: Task) -> tuple[Tables, str]:
    source, replicates, budget = task
    data = source.load()
    if budget is None:
        return measure(data, contenders(), replicates), data.name
    return check_threshold(data, budget), f"{data.name}, threshold for a budget of {budget:g}"
