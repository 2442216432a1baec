"""The measured programs, each in a process of its own, and the process that loads them."""

import multiprocessing
import shutil
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

from pydantic import TypeAdapter

from api_anomaly.storage.keys import SigningKeys
from benchmarks.open_loop import load
from benchmarks.service import ROOT, TOKEN, Service
from benchmarks.speed.echo import Body
from benchmarks.speed.history import split_history
from benchmarks.closed_loop import rate, request_bytes

P = ParamSpec("P")
T = TypeVar("T")

#: One key for all services, so that each can load what another one wrote.
_KEY = "a-signing-key-for-the-benchmark"
KEYS = SigningKeys([_KEY])
TRAINING_LOGS = 15_000
#: Largest number of different bodies, and of logs in them, before they repeat.
_MAX_BODIES, _MAX_BODY_LOGS = 30_000, 200_000


class Uvicorn(Service):
    """An application of this folder under uvicorn with default settings."""

    def __init__(self, folder: Path, application: str) -> None:
        super().__init__(folder, PYTHONPATH=str(ROOT))
        self._application = application

    def command(self) -> list[str]:
        """uvicorn without access log."""
        quiet = ["--no-access-log", "--log-level", "error"]
        return ["-m", "uvicorn", self._application, "--port", str(self.port), *quiet]


class SubprocessExecutor:
    """A separate process for the load, or for work that needs much memory."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, context)

    def submit(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Start the call in the process."""
        return self._pool.submit(function, *args, **kwargs)

    def run(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Call in the process, and wait."""
        return self.submit(function, *args, **kwargs).result()

    def close(self) -> None:
        """End the process."""
        self._pool.shutdown()


@dataclass
class Run:
    """One run of the benchmark: its length, its traffic, and a model that is trained once."""

    folder: Path
    logs: Sequence[dict[str, Any]]
    quick: bool
    turns: int
    seconds: float
    load: SubprocessExecutor = field(default_factory=SubprocessExecutor)

    @property
    def fresh(self) -> Sequence[dict[str, Any]]:
        """The logs after those of the training."""
        return self.logs[TRAINING_LOGS:]

    @cached_property
    def trained(self) -> Path:
        """The folder of a service that was trained and stopped."""
        print_progress(f"training on {TRAINING_LOGS:,} logs")
        folder = self.folder / "trained"
        with self._service(folder) as service:
            post(service, "/train", self.logs[:TRAINING_LOGS])
        return folder

    def trained_service(self, name: str, **environ: str) -> Service:
        """The service with a copy of the trained model, not started."""
        folder = self.folder / name
        shutil.copytree(self.trained, folder, symlinks=True)  # links stay relative
        return self._service(folder, **environ)

    def untrained_service(self, name: str, **environ: str) -> Service:
        """The service without a model, not started."""
        return self._service(self.folder / name, **environ)

    def _service(self, folder: Path, **environ: str) -> Service:
        return Service(folder, LOG_LEVEL="WARNING", MODEL_SIGNING_KEY=_KEY, **environ)

    def bodies(self, size: int) -> list[bytes]:
        """Bodies of `size` logs each: the simulated days repeated on later dates, so that time
        never goes back until they repeat, after many seconds.
        """
        count = min(_MAX_BODIES, _MAX_BODY_LOGS // size)
        return list(split_history(self.logs, count * size, size, first=len(self.logs)))

    def requests(self, size: int) -> list[bytes]:
        """The same, as HTTP requests."""
        return [request_bytes(body, TOKEN) for body in self.bodies(size)]


def print_progress(what: str) -> None:
    print(f"  {time.strftime('%H:%M:%S')} {what} ...", flush=True)


def post(service: Service, path: str, logs: Sequence[dict[str, Any]]) -> None:
    """Raises RuntimeError unless the status is 200."""
    response = service.post(path, {"logs": logs}, content_type="application/json")
    if response.status != 200:
        raise RuntimeError(f"{path}: {response.status} {response.body[:300]!r}")


def parse_rate(bodies: Sequence[bytes], seconds: float) -> tuple[float, float]:
    """Bodies a second that Pydantic parses and validates (the lower limit of the format), and CPU
    seconds per body.
    """
    adapter, done = TypeAdapter(Body), 0
    started, used = time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        adapter.validate_json(bodies[done % len(bodies)])
        done += 1
    took, used = time.perf_counter() - started, time.process_time() - used
    return done / took, used / done


__all__ = [
    "KEYS",
    "SubprocessExecutor",
    "Run",
    "Uvicorn",
    "load",
    "parse_rate",
    "post",
    "rate",
    "print_progress",
]
