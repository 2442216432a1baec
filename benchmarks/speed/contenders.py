"""What is measured, each in a process of its own, and the process that loads them."""

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
from benchmarks.robustness.openloop import load
from benchmarks.robustness.service import ROOT, TOKEN, Service
from benchmarks.speed.echo import Body
from benchmarks.speed.history import parts
from benchmarks.speed.load import rate, request_bytes

P = ParamSpec("P")
T = TypeVar("T")

#: One key for all services here, so that what one of them kept another one takes.
_KEY = "a-signing-key-for-the-benchmark"
KEYS = SigningKeys([_KEY])
TRAINING_LOGS = 15_000
#: Bodies that are sent before they come round again, and logs in them.
_MOST_BODIES, _MOST_BODY_LOGS = 30_000, 200_000


class Uvicorn(Service):
    """An application of this folder under uvicorn with its defaults."""

    def __init__(self, folder: Path, application: str) -> None:
        super().__init__(folder, PYTHONPATH=str(ROOT))
        self._application = application

    def command(self) -> list[str]:
        """uvicorn, without a line for each request."""
        quiet = ["--no-access-log", "--log-level", "error"]
        return ["-m", "uvicorn", self._application, "--port", str(self.port), *quiet]


class SubprocessExecutor:
    """A process of its own for one kind of work: the load, or what needs much memory."""

    def __init__(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pool = ProcessPoolExecutor(1, context)

    def begin(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Let the process do it."""
        return self._pool.submit(function, *args, **kwargs)

    def do(self, function: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Let the process do it, and wait."""
        return self.begin(function, *args, **kwargs).result()

    def end(self) -> None:
        """Give the process back to the system."""
        self._pool.shutdown()


@dataclass
class Run:
    """One run of the benchmark: how long it may take, its traffic, and a model trained once."""

    folder: Path
    logs: Sequence[dict[str, Any]]
    quick: bool
    turns: int
    seconds: float
    load: SubprocessExecutor = field(default_factory=SubprocessExecutor)

    @property
    def fresh(self) -> Sequence[dict[str, Any]]:
        """What came after the training."""
        return self.logs[TRAINING_LOGS:]

    @cached_property
    def trained(self) -> Path:
        """A folder of a service that was trained and ended."""
        say(f"training on {TRAINING_LOGS:,} logs")
        folder = self.folder / "trained"
        with self._service(folder) as service:
            post(service, "/train", self.logs[:TRAINING_LOGS])
        return folder

    def service(self, name: str, **environ: str) -> Service:
        """Our service with a copy of the trained model, not yet started."""
        folder = self.folder / name
        shutil.copytree(self.trained, folder, symlinks=True)  # the vault's links point inside
        return self._service(folder, **environ)

    def untrained(self, name: str, **environ: str) -> Service:
        """Our service without a model, not yet started."""
        return self._service(self.folder / name, **environ)

    def _service(self, folder: Path, **environ: str) -> Service:
        return Service(folder, LOG_LEVEL="WARNING", MODEL_SIGNING_KEY=_KEY, **environ)

    def bodies(self, size: int) -> list[bytes]:
        """Bodies of `size` logs each: the simulated days once more on later dates, so that time
        goes on as it does for a service. They come round again only after many seconds."""
        count = min(_MOST_BODIES, _MOST_BODY_LOGS // size)
        return list(parts(self.logs, count * size, size, first=len(self.logs)))

    def requests(self, size: int) -> list[bytes]:
        """The same, as requests of HTTP."""
        return [request_bytes(body, TOKEN) for body in self.bodies(size)]


def say(what: str) -> None:
    """A line of progress."""
    print(f"  {time.strftime('%H:%M:%S')} {what} ...", flush=True)


def post(service: Service, path: str, logs: Sequence[dict[str, Any]]) -> None:
    """Raises RuntimeError unless the answer is 200."""
    answer = service.post(path, {"logs": logs}, content_type="application/json")
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {answer.body[:300]!r}")


def parses(bodies: Sequence[bytes], seconds: float) -> tuple[float, float]:
    """How many bodies a second Pydantic parses and validates, the floor of the format, and the
    processor seconds that each takes."""
    adapter, done = TypeAdapter(Body), 0
    started, used = time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        adapter.validate_json(bodies[done % len(bodies)])
        done += 1
    took, used = time.perf_counter() - started, time.process_time() - used
    return done / took, used / done


__all__ = ["KEYS", "SubprocessExecutor", "Run", "Uvicorn", "load", "parses", "post", "rate", "say"]
