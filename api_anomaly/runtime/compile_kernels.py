"""Compiles every kernel for the types with which the service calls it:
``python -m api_anomaly.runtime.compile_kernels``.

Run when an image is built, so that a container starts with machine code on a read-only root. It
runs the service itself (two trainings, detections, feedback, a restart), so that no list of
kernels has to be maintained. Exit code 1 if the machine code could not be written.
"""

import asyncio
import sys
import time
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from api_anomaly.errors import Invalid
from api_anomaly.feedback.decode import FeedbackReader
from api_anomaly.kernels import cache_folder
from api_anomaly.runtime.state import AppState, running
from api_anomaly.settings import Settings
from api_anomaly.telemetry.journal import Journal
from api_anomaly.telemetry.metrics import Metrics

_METHODS = ("GET", "GET", "GET", "POST")
_STATUSES = (200, 200, 200, 404, 401)
_OPTIONAL = {
    "ip_address": "192.0.2.1",
    "user_agent": "client/1.0",
    "response_time": 0.1,
    "request_size": 10,
    "response_size": 1_000,
}


def create_logs(count: int) -> list[dict[str, Any]]:
    """`count` logs of 20 users in time order; two thirds of them have the optional fields."""
    return [
        {
            "timestamp": 1_700_000_000.0 + 3.0 * number,
            "user_id": f"user-{number * 7 % 20}",
            "endpoint": f"/api/orders/{number % 50}",
            "method": _METHODS[number % len(_METHODS)],
            "status_code": _STATUSES[number % len(_STATUSES)],
        }
        | (_OPTIONAL if number % 3 else {})
        for number in range(count)
    ]


async def run_service(settings: Settings) -> None:
    """Run the service twice; the second run loads the model and the memory of the first."""
    journal = Journal(settings.log_level, settings.log_file)
    try:
        for trainings in (2, 0):
            async with running(settings, Metrics(), journal) as state:
                await _use_service(state, trainings)
    finally:
        journal.close()


async def _use_service(state: AppState, trainings: int) -> None:
    history = msgspec.json.encode({"logs": create_logs(600)})
    for _ in range(trainings):
        await state.training.run(state.decoder.decode_train(history))
    item = {"log": create_logs(1)[0], "verdict": "false_positive"}
    feedback = FeedbackReader(max_items=1).read(msgspec.json.encode({"items": [item]}))
    with suppress(Invalid):  # broken JSON: the log in which it breaks is looked for
        state.decoder.decode_detect(b'{"logs": [{]}')
    for count in (1, state.settings.inline_logs + 1):
        body = msgspec.json.encode({"logs": create_logs(count)})
        request = state.decoder.decode_detect(body)
        state.setup_watch.seen("", request.columns, time.time())
        for update_state in (True, False):
            await state.registry.observe(request.columns, None, update_state)
        await state.feedback.give(feedback)
        await state.subjects.remove("user-1")


def main() -> int:
    """Compile, and print where the machine code is."""
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
        asyncio.run(run_service(settings))
    kept, writable = cache_folder()
    count = len(list(kept.glob("*/*.nbc")))
    print(f"{count} compiled kernels in {kept}")
    return 0 if writable and count else 1


if __name__ == "__main__":
    sys.exit(main())
