"""kill -9 at random moments of everything that writes to the disk.

The next start must find a verified model no older than the last one acknowledged, a memory no older
than a snapshot interval, and every response under an idempotency key that was given before that:
a later one may be gone together with the memory that it describes, and is then scored anew.
"""

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

from benchmarks.service import Service, encode_json

_SNAPSHOT_SECONDS = 0.3
#: Longest time to write a snapshot on a busy machine, besides the interval.
_WRITING_SECONDS = 2.0
_USERS = 8
_ACTORS_OF_USER = 2  # the user, and the unknown address of its logs, which counts as the user's


class ForkedService(Service):
    """The service in a fork of this process, which has imported all modules."""

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
        """Fork, and wait until /health responds."""
        self.begin()
        while True:
            if os.waitpid(self._child, os.WNOHANG)[0]:
                raise RuntimeError((self.folder / "output").read_text()[-2_000:])
            try:
                if self.request("GET", "/health").status == 200:
                    return
            except OSError:
                time.sleep(0.01)

    def kill(self) -> None:
        """SIGKILL."""
        os.kill(self._child, signal.SIGKILL)
        os.waitpid(self._child, 0)

    def stop(self) -> None:
        self.kill()


@dataclass
class Acknowledged:
    """What the service has acknowledged so far."""

    version: str = ""
    by_key: dict[str, tuple[bytes, bytes, float]] = field(default_factory=dict)
    #: (time, number of the batch) of each acknowledged batch.
    actors: list[tuple[float, int]] = field(default_factory=list)
    sent: int = 0
    #: Verdicts, each on another log.
    verdicts: int = 0
    #: Actors that the last start found in the memory.
    base: int = _ACTORS_OF_USER * _USERS


def _train(service: Service, acknowledged: Acknowledged) -> None:
    response = service.post("/train", {"logs": [_log(n, n % _USERS) for n in range(200)]})
    if response.status == 200:
        acknowledged.version = response.json()["model_version"]


def _detect(service: Service, acknowledged: Acknowledged) -> None:
    """New users, each seen once: the number of remembered users gives the age of a memory."""
    while True:
        acknowledged.sent += 1
        body = encode_json({"logs": [_log(10_000 + acknowledged.sent, _USERS + acknowledged.sent)]})
        key = f"key-{acknowledged.sent}"
        response = service.request("POST", "/detect", body, Idempotency_Key=key)
        if response.status != 200:
            return
        acknowledged.by_key[key] = (body, response.body, time.monotonic())
        acknowledged.actors.append((time.monotonic(), acknowledged.sent))


def _load(service: Service, _acknowledged: Acknowledged) -> None:
    service.post("/load-model")


def _send_verdicts(service: Service, acknowledged: Acknowledged) -> None:
    """Verdicts, one after the other."""
    while True:
        log = _log(1_000_000 + acknowledged.verdicts, 1_000_000 + acknowledged.verdicts)
        response = service.post("/feedback", {"items": [{"log": log, "verdict": "false_positive"}]})
        if response.status != 200:
            return
        acknowledged.verdicts += 1


#: Activities that write to the disk, and the longest time in seconds until the kill.
STEPS: dict[str, tuple[Callable[[Service, Acknowledged], None], float]] = {
    "training": (_train, 4.0),
    "snapshots": (_detect, 1.2),
    "loading": (_load, 0.2),
    "verdicts": (_send_verdicts, 0.6),
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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--kills", type=int, default=200, help="how many (default 200)")
    parser.add_argument("--seed", type=int, default=1, help="of the moments (default 1)")


def run(options: argparse.Namespace) -> int:
    """Kill and check, `kills` times; 1 if anything was lost."""
    # All modules are imported before the first fork.
    __import__("api_anomaly.http.app")
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            "SNAPSHOT_SECONDS": str(_SNAPSHOT_SECONDS),
            "FOREST_TREES": "5",
            "MEMORY_ENTITIES": "100000",
            "IDEMPOTENCY_SECONDS": "86400",
        }
        service, acknowledged = ForkedService(Path(folder), **environment), Acknowledged()
        service.start()
        _train(service, acknowledged)
        found = _Counts()
        random_ = random.Random(options.seed)
        for number in range(options.kills):
            _round(service, acknowledged, random_, found)
            if number % 20 == 19:
                print(f"  {number + 1} kills, lost: {+found.lost or 'nothing'}", flush=True)
        service.kill()
        found.print_summary(options.kills)
    return int(found.lost.total() > 0)


@dataclass
class _Counts:
    """Counts over all rounds."""

    steps: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)
    responses: int = 0
    oldest: float = 0.0

    def print_summary(self, kills: int) -> None:
        print(f"{kills} kills: {dict(self.steps)}")
        print(f"lost: {+self.lost or 'nothing'}; {self.responses} stored responses checked")
        print(f"oldest memory found: {self.oldest:.2f} s (a snapshot every {_SNAPSHOT_SECONDS} s)")


def _round(
    service: ForkedService, acknowledged: Acknowledged, random_: random.Random, found: _Counts
) -> None:
    name = random_.choice([*STEPS, "starting"])
    found.steps[name] += 1
    acknowledged.actors.clear()
    if name == "starting":
        service.kill()
        service.begin()
        time.sleep(random_.uniform(0.0, 1.5))
        service.kill()
    else:
        step, seconds = STEPS[name]
        activity = threading.Thread(target=_until_killed, args=(step, service, acknowledged))
        activity.start()
        time.sleep(random_.uniform(0.0, seconds))
        service.kill()
        activity.join()
    killed = time.monotonic()
    service.start()
    _check(service, acknowledged, killed, random_, found)


def _until_killed(
    step: Callable[[Service, Acknowledged], None], service: Service, acknowledged: Acknowledged
) -> None:
    try:
        step(service, acknowledged)
    except OSError:  # killed, as planned
        return


def _check(
    service: Service,
    acknowledged: Acknowledged,
    killed: float,
    random_: random.Random,
    found: _Counts,
) -> None:
    status = service.request("GET", "/status").json()
    if not status["is_trained"] or (status["model_version"] or "") < acknowledged.version:
        found.lost["model"] += 1
    elif status["memory"]["snapshot_age_seconds"] is None:
        found.lost["memory"] += 1
    else:
        _check_memory(status["memory"]["entities"]["actors"], acknowledged, killed, found)
    # A verdict may have been stored before the kill without being acknowledged.
    stored = sum(status["feedback"]["active"].values())
    if stored < acknowledged.verdicts:
        found.lost["verdict"] += 1
    acknowledged.verdicts = stored
    _check_responses(service, acknowledged, killed, random_, found)


def _check_responses(
    service: Service,
    acknowledged: Acknowledged,
    killed: float,
    random_: random.Random,
    found: _Counts,
) -> None:
    """Ask again for five responses. One that was given since the last snapshot may be gone."""
    since = killed - _SNAPSHOT_SECONDS - _WRITING_SECONDS
    unsaved = {key for key, (_, _, given) in acknowledged.by_key.items() if given > since}
    for key in random_.sample(sorted(acknowledged.by_key), min(5, len(acknowledged.by_key))):
        body, first, _ = acknowledged.by_key[key]
        again = service.request("POST", "/detect", body, Idempotency_Key=key)
        found.responses += 1
        replayed = again.headers.get("idempotency-replayed") == "true"
        found.lost["response"] += again.body != first if replayed else key not in unsaved
        if not replayed:
            acknowledged.by_key[key] = (body, again.body, time.monotonic())
            acknowledged.base += _ACTORS_OF_USER  # the user of this log is new again
        unsaved.discard(key)
    for key in unsaved:  # whether they were in the last snapshot is not known
        del acknowledged.by_key[key]


def _check_memory(actors: int, acknowledged: Acknowledged, killed: float, found: _Counts) -> None:
    """New users are remembered in the order of arrival: the first that is missing gives the age.

    A kill before the next snapshot may have lost earlier ones too, so numbers are compared with
    what was remembered when this process started.
    """
    first = acknowledged.actors[0][1] - 1 if acknowledged.actors else acknowledged.sent
    remembered = (actors - acknowledged.base) // _ACTORS_OF_USER
    missing = [time_ for time_, number in acknowledged.actors if number - first > remembered]
    if missing:
        age = killed - missing[0]
        found.oldest = max(found.oldest, age)
        if age > _SNAPSHOT_SECONDS + _WRITING_SECONDS:
            found.lost["memory"] += 1
    acknowledged.base = actors
