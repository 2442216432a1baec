"""Compiles every kernel for the types the service calls it with: ``python -m
api_anomaly.runtime.compile_kernels``.

Run when an image is built, so that a container starts with machine code on a read-only root. It
lives a short life of the service itself (two trainings, detections, a stop, a restart), so that no
list of kernels has to be kept here. Exit code 1 when the machine code could not be kept.
"""

import asyncio
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from api_anomaly.http.feedback_body import FeedbackReader
from api_anomaly.kernels import cache_folder
from api_anomaly.runtime.state import AppState, running
from api_anomaly.telemetry.journal import Journal
from api_anomaly.telemetry.metrics import Metrics
from api_anomaly.settings import Settings

_USERS = 20
_METHODS = ("GET", "GET", "GET", "POST")
_STATUSES = (200, 200, 200, 404, 401)


def body(count: int) -> bytes:
    """A body for /train or /detect: `count` logs of 20 users, with and without optional fields."""
    logs = []
    for number in range(count):
        user = number * 7 % _USERS
        log = {
            "timestamp": 1_700_000_000.0 + 3.0 * number,
            "user_id": f"user-{user}",
            "endpoint": f"/api/orders/{number % 50}",
            "method": _METHODS[number % len(_METHODS)],
            "status_code": _STATUSES[number % len(_STATUSES)],
        }
        if number % 3:
            log |= {"ip_address": f"192.0.2.{user}", "user_agent": "client/1.0"}
            log |= {"response_time": 0.1, "request_size": 10, "response_size": 1_000}
        logs.append(log)
    return msgspec.json.encode({"logs": logs})


def verdict() -> bytes:
    """A body for /feedback."""
    log = {"timestamp": 1_700_009_000.0, "user_id": "user-1", "endpoint": "/api/orders/1"}
    log |= {"method": "GET", "status_code": 200}
    return msgspec.json.encode({"items": [{"log": log, "verdict": "false_positive"}]})


async def live(settings: Settings) -> None:
    """Two lives of a service: the second one finds model and memory of the first on disk."""
    journal = Journal(settings.log_level, settings.log_file)
    try:
        for trainings in (2, 0):
            async with running(settings, Metrics(), journal) as state:
                await _work(state, trainings)
    finally:
        journal.close()


async def _work(state: AppState, trainings: int) -> None:
    feedback_reader = FeedbackReader(most_items=1)
    for _ in range(trainings):
        await state.training.run(state.decoder.history(body(600)))
    for count in (1, state.settings.inline_logs + 1):
        detection = state.decoder.detection(body(count))
        for remember in (True, False):
            await state.detection.observe(detection.columns, None, remember)
        await state.feedback.give(feedback_reader.read(verdict()))


def main() -> int:
    """Compile, and say where the machine code is kept."""
    with TemporaryDirectory() as name:
        folder = Path(name)
        settings = Settings(
            auth_token=("never listens",),
            model_path=folder / "forest.pkl",
            scaler_path=folder / "scaler.pkl",
            log_file=folder / "journal.log",
            memory_entities=16,
            forest_trees=2,
        )
        asyncio.run(live(settings))
    kept, writable = cache_folder()
    count = len(list(kept.glob("*/*.nbc")))
    print(f"{count} compiled kernels in {kept}")
    return 0 if writable and count else 1


if __name__ == "__main__":
    sys.exit(main())
