"""kill -9 at random moments of whatever touches the disk, and what the next start finds: a verified
model no older than the last one told, a memory no older than a snapshot interval, and every answer
that was given under an idempotency key."""

import argparse
import os
import random
import signal
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

from benchmarks.robustness.service import Service, encoded

_SNAPSHOT_SECONDS = 0.3
#: What a snapshot may take on a busy machine, besides the time between two of them.
_WRITING_SECONDS = 2.0
_USERS = 8


class Forked(Service):
    """The service in a fork of this process, which has imported everything once."""

    def __enter__(self) -> Self:
        return self

    def begin(self) -> None:
        """Fork; the child serves until it is killed."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self._child = os.fork()
        if self._child:
            return
        try:
            self._serve()
        finally:
            os._exit(1)

    def _serve(self) -> None:
        output = os.open(self.folder / "output", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.dup2(output, 1)
        os.dup2(output, 2)
        from api_anomaly.http.app import create_app
        from api_anomaly.http.server import serve
        from api_anomaly.settings import Settings

        os.environ.update(self._environment)
        settings = Settings()
        serve(create_app(settings), settings)

    def start(self) -> None:
        """Fork, and wait until it answers."""
        self.begin()
        while True:
            if os.waitpid(self._child, os.WNOHANG)[0]:
                raise RuntimeError((self.folder / "output").read_text()[-2_000:])
            try:
                if self.ask("GET", "/health").status == 200:
                    return
            except OSError:
                time.sleep(0.01)

    def kill(self) -> None:
        """kill -9."""
        os.kill(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)

    def stop(self) -> None:
        """The last one has nothing to say."""
        self.kill()


@dataclass
class Told:
    """What the service has acknowledged."""

    version: str = ""
    keyed: dict[str, tuple[bytes, bytes]] = field(default_factory=dict)
    #: (moment, actors remembered then), after each acknowledged batch.
    actors: list[tuple[float, int]] = field(default_factory=list)
    sent: int = 0
    #: Verdicts, each on a log of its own.
    verdicts: int = 0
    #: Actors that the last start found.
    base: int = _USERS


def _train(service: Service, told: Told) -> None:
    answer = service.post("/train", {"logs": [_log(n, n % _USERS) for n in range(200)]})
    if answer.status == 200:
        told.version = answer.json()["model_version"]


def _detect(service: Service, told: Told) -> None:
    """Strangers, each seen once: how many are remembered tells how old a memory is."""
    while True:
        told.sent += 1
        body = encoded({"logs": [_log(10_000 + told.sent, _USERS + told.sent)]})
        key = f"key-{told.sent}"
        answer = service.ask("POST", "/detect", body, Idempotency_Key=key)
        if answer.status != 200:
            return
        told.keyed[key] = (body, answer.body)
        told.actors.append((time.monotonic(), told.sent))


def _load(service: Service, _told: Told) -> None:
    service.post("/load-model")


def _judge(service: Service, told: Told) -> None:
    """Verdicts on logs, one after the other."""
    while True:
        log = _log(1_000_000 + told.verdicts, 1_000_000 + told.verdicts)
        answer = service.post("/feedback", {"items": [{"log": log, "verdict": "false_positive"}]})
        if answer.status != 200:
            return
        told.verdicts += 1


#: What may be going on, and how many seconds it is watched at most. Add a step for whatever else
#: writes to the disk.
STEPS: dict[str, tuple[Callable[[Service, Told], None], float]] = {
    "training": (_train, 4.0),
    "snapshots": (_detect, 1.2),
    "loading": (_load, 0.2),
    "verdicts": (_judge, 0.6),
}


def _log(moment: int, user: int) -> dict[str, Any]:
    return {
        "timestamp": 1_700_000_000 + moment,
        "user_id": f"user-{user}",
        "endpoint": f"/api/things/{moment % 7}",
        "method": "GET",
        "status_code": 200,
        "response_time": 0.1,
    }


def add_arguments(words: argparse.ArgumentParser) -> None:
    """What the command takes."""
    words.add_argument("--kills", type=int, default=200, help="how many (default 200)")
    words.add_argument("--seed", type=int, default=1, help="of the moments (default 1)")


def run(options: argparse.Namespace) -> int:
    """Kill and look, as often as asked; 1 when anything was lost."""
    # Everything is imported before the first fork.
    __import__("api_anomaly.http.app")
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "SNAPSHOT_SECONDS": str(_SNAPSHOT_SECONDS),
            "FOREST_TREES": "5",
            "MEMORY_ENTITIES": "100000",
            "IDEMPOTENCY_SECONDS": "86400",
        }
        service, told = Forked(Path(folder), **environment), Told()
        service.start()
        _train(service, told)
        found = _Found()
        chance = random.Random(options.seed)
        for number in range(options.kills):
            _round(service, told, chance, found)
            if number % 20 == 19:
                print(f"  {number + 1} kills, lost: {dict(found.lost) or 'nothing'}", flush=True)
        service.kill()
        found.tell(options.kills)
    return int(bool(found.lost))


@dataclass
class _Found:
    """Of all rounds."""

    steps: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    oldest: float = 0.0

    def tell(self, kills: int) -> None:
        """What was done and what was lost."""
        print(f"{kills} kills: {dict(self.steps)}")
        print(f"lost: {dict(self.lost) or 'nothing'}; {self.answers} kept answers asked for again")
        print(f"oldest memory found: {self.oldest:.2f} s (a snapshot every {_SNAPSHOT_SECONDS} s)")


def _round(service: Forked, told: Told, chance: random.Random, found: _Found) -> None:
    name = chance.choice([*STEPS, "starting"])
    found.steps[name] += 1
    told.actors.clear()
    if name == "starting":
        service.kill()
        service.begin()
        time.sleep(chance.uniform(0.0, 1.5))
        service.kill()
    else:
        step, seconds = STEPS[name]
        at_work = threading.Thread(target=_quietly, args=(step, service, told))
        at_work.start()
        time.sleep(chance.uniform(0.0, seconds))
        service.kill()
        at_work.join()
    killed = time.monotonic()
    service.start()
    _look(service, told, killed, chance, found)


def _quietly(step: Callable[[Service, Told], None], service: Service, told: Told) -> None:
    try:
        step(service, told)
    except OSError:  # it was killed: that is the point
        return


def _look(
    service: Service, told: Told, killed: float, chance: random.Random, found: _Found
) -> None:
    status = service.ask("GET", "/status").json()
    if not status["is_trained"] or (status["model_version"] or "") < told.version:
        found.lost["model"] += 1
    elif status["memory"]["snapshot_age_seconds"] is None:
        found.lost["memory"] += 1
    else:
        _look_at_memory(status["memory"]["entities"]["actors"], told, killed, found)
    # The one that was being kept when it was killed may be there without having been acknowledged.
    kept = sum(status["feedback"]["active"].values())
    if kept < told.verdicts:
        found.lost["verdict"] += 1
    told.verdicts = kept
    for key in chance.sample(sorted(told.keyed), min(5, len(told.keyed))):
        body, first = told.keyed[key]
        again = service.ask("POST", "/detect", body, Idempotency_Key=key)
        found.answers += 1
        if again.body != first or again.headers.get("idempotency-replayed") != "true":
            found.lost["answer"] += 1


def _look_at_memory(actors: int, told: Told, killed: float, found: _Found) -> None:
    """Strangers are remembered in the order they came: the first that is missing tells the age.

    A kill before the next snapshot may have lost earlier ones too, so numbers are compared with
    what was remembered when this life began.
    """
    born = told.actors[0][1] - 1 if told.actors else told.sent
    remembered = actors - told.base
    missing = [moment for moment, number in told.actors if number - born > remembered]
    if missing:
        age = killed - missing[0]
        found.oldest = max(found.oldest, age)
        if age > _SNAPSHOT_SECONDS + _WRITING_SECONDS:
            found.lost["memory"] += 1
    told.base = actors
