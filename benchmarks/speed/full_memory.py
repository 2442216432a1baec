"""The cost of a full memory: time per log, and resident memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from time import perf_counter, time
from typing import Any

import numpy as np

from api_anomaly.features.extract import extract
from api_anomaly.logs.columns import Columns, columns_of
from api_anomaly.detector import Detector
from api_anomaly.features.memory import Memory
from api_anomaly.model.bundle import Model
from api_anomaly.storage.snapshot import SnapshotWriter
from api_anomaly.storage.models import ModelStore
from benchmarks.speed.contenders import KEYS, SubprocessExecutor, Run, post, print_progress
from benchmarks.speed.measures import ratios, spread
from benchmarks.speed.report import Result, Table

FEW, MANY = 1_000, 1_000_000
_BATCH = 1_000
_BATCHES = 10  # in a turn
_PER_ADDRESS = 10  # users behind one address, where time is measured
_CHUNK = 50_000
_START = 1_750_000_000.0
#: Below every score, so that no anomaly is explained: the two memories flag different logs.
_NO_ALERTS = -1.5
_MIB = 1024 * 1024


def measure_time(run: Run) -> Result:
    """Time per log with 1,000 and with 1,000,000 remembered users."""
    turns = 7 if run.quick else 15
    print_progress(f"time per log with {FEW:,} and {MANY:,} remembered users")
    executor = SubprocessExecutor()
    try:
        few, many, entities = executor.run(seconds_per_log, run.trained, run.fresh, turns)
    finally:
        executor.close()
    ratio = ratios(many, few)
    rows = [
        (f"{FEW:,}", f"{entities[0]:,}", spread(few).text(".2f", 1e6), ""),
        (f"{MANY:,}", f"{entities[1]:,}", spread(many).text(".2f", 1e6), f"{ratio.text('.2f')} x"),
    ]
    notes = [
        f"The detector alone (features, memory, model), in batches of {_BATCH:,} logs whose users"
        f" are drawn from all that are remembered; {_PER_ADDRESS} users share an address."
    ]
    head = ("remembered users", "users and addresses", "µs per log", f"against {FEW:,}")
    table = Table("A full memory: time", head, rows, notes)
    return Result([table], {"users_cost": ratio.median})


def measure_resident(run: Run) -> Result:
    """Resident memory of a service with a full memory."""
    print_progress(f"a memory of {MANY:,} users and addresses")
    executor = SubprocessExecutor()
    service = run.trained_service("memory")
    try:
        executor.run(write_snapshot, service.folder / "models" / "memory.snapshot", run.fresh, MANY)
    finally:
        executor.close()
    with service:
        started = service.peak_resident_bytes()
        for start in range(0, len(run.fresh) - _BATCH, _BATCH):
            post(service, "/detect", run.fresh[start : start + _BATCH])
        remembered = service.request("GET", "/status").json()["memory"]["entities"]["actors"]
        now, most = service.resident_bytes(), service.peak_resident_bytes()
    row = (f"{remembered:,}", *(f"{size / _MIB:,.0f} MiB" for size in (now, started, most)))
    head = ("users and addresses", "resident", "peak at the start", "peak")
    table = Table(
        "A full memory: resident memory", head, [row], ["Started from a snapshot of that memory."]
    )
    return Result([table], {"memory": now / _MIB, "memory_most": most / _MIB})


def seconds_per_log(
    trained: Path, logs: Sequence[dict[str, Any]], turns: int
) -> tuple[list[float], list[float], list[int]]:
    """Seconds per log with few and with many users, turn by turn, and the entities remembered."""
    model = load_model(trained)
    counts = (FEW, MANY)
    detectors = [Detector(model, _filled_memory(logs, count, _PER_ADDRESS)) for count in counts]
    random = np.random.default_rng(1)
    found: list[list[float]] = [[], []]
    for turn in range(turns + 1):
        for seconds, detector, count in zip(found, detectors, counts, strict=True):
            batches = [
                _logs_of(logs, random.integers(count, size=_BATCH), _PER_ADDRESS, MANY + turn)
                for _ in range(_BATCHES)
            ]
            started = perf_counter()
            for batch in batches:
                detector.detect(batch, _NO_ALERTS)
            if turn:  # the first turn compiles
                seconds.append((perf_counter() - started) / (_BATCH * _BATCHES))
    entities = [detector.memory.entities["actors"] for detector in detectors]
    return found[0], found[1], entities


def write_snapshot(path: Path, logs: Sequence[dict[str, Any]], entities: int) -> None:
    """Write a snapshot of a memory with that many users and addresses, half each."""
    memory = _filled_memory(logs, entities // 2, 1)
    with SnapshotWriter(path, Model.feature_schema, KEYS, time(), 0) as writer:
        for name, array in memory.sections():
            writer.add(name, array)
        writer.commit()


def load_model(trained: Path) -> Model:
    """The model in the folder of a service."""
    models = trained / "models"
    return ModelStore(models / "isolation_forest.pkl", models / "scaler.pkl", KEYS).load()[0]


def _filled_memory(logs: Sequence[dict[str, Any]], users: int, per_address: int) -> Memory:
    """A memory after one log of each user."""
    memory = Memory.empty(users + -(-users // per_address))
    for chunk in _chunks(users):
        extract(memory, _logs_of(logs, chunk, per_address, 0))
    return memory


def _chunks(users: int) -> Iterator[Any]:
    for start in range(0, users, _CHUNK):
        yield np.arange(start, min(start + _CHUNK, users))


def _logs_of(logs: Sequence[dict[str, Any]], users: Any, per_address: int, later: int) -> Columns:
    """A real log for each of the users, `later` seconds after the first."""
    hosts = [user // per_address for user in users.tolist()]
    return columns(
        [logs[user % len(logs)] for user in users.tolist()],
        [_START + later] * len(users),
        [f"user-{user}" for user in users.tolist()],
        [f"10.{host >> 16 & 255}.{host >> 8 & 255}.{host & 255}" for host in hosts],
    )


def columns(
    logs: Sequence[dict[str, Any]],
    times: Sequence[float],
    users: Sequence[str | None],
    addresses: Sequence[str | None],
) -> Columns:
    """n logs at other times, of other users and addresses."""

    def each(name: str) -> list[Any]:
        return [log[name] for log in logs]

    return columns_of(
        times,
        users,
        each("endpoint"),
        each("method"),
        each("status_code"),
        each("response_time"),
        addresses,
        each("user_agent"),
        each("request_size"),
        each("response_size"),
    )
