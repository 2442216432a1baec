"""The model step alone (features in, a score out), beside those of PyOD and River.

PyOD and River are installed in a separate folder, SPEED_PACKAGES (see scripts/speed), so that they
change no package of the project; where they are missing, their rows say so.
"""

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.features.extract import extract
from api_anomaly.features.memory import Memory
from benchmarks.speed.contenders import TRAINING_LOGS, SubprocessExecutor, Run, print_progress
from benchmarks.speed.full_memory import columns, load_model
from benchmarks.speed.measures import spread
from benchmarks.speed.report import Result, Table

Rows = NDArray[np.float32]
Score = Callable[[Any], Any]

_BATCH = 1_000
_OURS = "our model (forest and classifier)"
_PYOD, _RIVER = "PyOD IForest, 100 trees", "River HalfSpaceTrees, 10 trees"
_HEAD = ("", "one row at a time, µs per log", "against ours", "in batches of 1,000", "against ours")


class Contender(NamedTuple):
    """Functions that score one row and many, and the number of single rows in a turn."""

    one: Score
    many: Score
    rows: int


def measure(run: Run) -> Result:
    """Microseconds per log, without the extraction of features."""
    print_progress("the model step alone")
    executor = SubprocessExecutor()
    try:
        times = executor.run(seconds_per_log, run.trained, run.logs, run.turns)
    finally:
        executor.close()
    one, many = times[_OURS]
    rows = []
    for name in (_OURS, _PYOD, _RIVER):
        if name not in times:
            rows.append((name, "not installed", "", "not installed", ""))
            continue
        cells = [
            (spread(theirs).text(",.2f", 1e6), f"{np.median(np.divide(theirs, ours)):,.1f} x")
            for theirs, ours in zip(times[name], (one, many), strict=True)
        ]
        rows.append((name, *cells[0], *cells[1]))
    notes = [
        "The same features for all, each with its defaults. River learns from each log while"
        " it scores it; its rows are scaled to [0, 1] and converted to dicts beforehand, and it has"
        " no batches."
    ]
    return Result([Table("The model step alone", _HEAD, rows, notes)], {})


def seconds_per_log(
    trained: Path, logs: Sequence[dict[str, Any]], turns: int
) -> dict[str, tuple[list[float], list[float]]]:
    """Seconds per log of each contender, one row at a time and in batches, turn by turn."""
    rows = _features(logs)
    model = load_model(trained)
    contenders = {_OURS: Contender(model.evidence, model.evidence, 300)}
    contenders |= dict(_references(rows[:TRAINING_LOGS]))
    fresh = np.ascontiguousarray(rows[TRAINING_LOGS : TRAINING_LOGS + 3 * _BATCH])
    found: dict[str, tuple[list[float], list[float]]] = {name: ([], []) for name in contenders}
    for turn in range(turns + 1):
        for name, contender in contenders.items():
            singles = [fresh[i : i + 1] for i in range(contender.rows)]
            batches = [fresh[i : i + _BATCH] for i in range(0, len(fresh), _BATCH)]
            seconds = _timed(contender.one, singles), _timed(contender.many, batches)
            for kept, value in zip(found[name], seconds, strict=True):
                if turn:  # the first turn warms caches
                    kept.append(value)
    return found


def _timed(score: Score, parts: Sequence[Rows]) -> float:
    prepared = [getattr(score, "prepared", _same)(part) for part in parts]
    started = perf_counter()
    for part in prepared:
        score(part)
    return (perf_counter() - started) / sum(len(part) for part in parts)


def _same(rows: Rows) -> Any:
    return rows


def _features(logs: Sequence[dict[str, Any]]) -> Rows:
    times = [datetime.fromisoformat(log["timestamp"]).timestamp() for log in logs]
    users, addresses = ([log[name] for log in logs] for name in ("user_id", "ip_address"))
    return extract(Memory.empty(65_536), columns(logs, times, users, addresses)).rows


def _references(rows: Rows) -> Iterator[tuple[str, Contender]]:
    """PyOD and River, trained on the same rows, if they are installed."""
    # Behind all others, so that the project's own versions of what they need are used.
    sys.path.append(os.environ.get("SPEED_PACKAGES", ""))
    try:
        forest = import_module("pyod.models.iforest").IForest(n_estimators=100, random_state=0)
        yield _PYOD, Contender(forest.fit(rows).decision_function, forest.decision_function, 20)
    except ImportError:
        pass
    try:
        trees = import_module("river.anomaly").HalfSpaceTrees(seed=0)
        stream = _Stream(trees, rows)
        yield _RIVER, Contender(stream, stream, 300)
    except ImportError:
        pass


class _Stream:
    """River: one dict at a time is scored and then learned."""

    def __init__(self, trees: Any, rows: Rows) -> None:
        self._trees = trees
        self._low = rows.min(axis=0)
        self._range = np.maximum(rows.max(axis=0) - self._low, 1e-9)
        for row in self.prepared(rows[-_BATCH:]):
            trees.learn_one(row)

    def prepared(self, rows: Rows) -> list[dict[int, float]]:
        """Rows scaled to [0, 1], as dicts."""
        scaled = np.clip((rows - self._low) / self._range, 0.0, 1.0)
        return [dict(enumerate(row)) for row in scaled.tolist()]

    def __call__(self, rows: Sequence[dict[int, float]]) -> list[float]:
        scores = []
        for row in rows:
            scores.append(self._trees.score_one(row))
            self._trees.learn_one(row)
        return scores
