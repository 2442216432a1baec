"""Memory and idempotent responses are restored together: a retry never counts a log twice."""

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from api_anomaly.runtime.idempotency import Retry
from api_anomaly.settings import variables
from tests.support.paths import ROOT

RETRY = Retry(b"k" * 32, b"d" * 32)


def log_of_unknown_user(logs: Any, number: int) -> list[dict[str, Any]]:
    (log,) = logs(1, 1_700_003_000.0)
    return [log | {"user_id": f"unknown-{number}", "ip_address": f"198.51.100.{number}"}]


def detect(client: httpx.Client, batch: list[dict[str, Any]], key: str) -> httpx.Response:
    body = {"logs": batch, "include_scores": True}
    response = client.post("/detect", json=body, headers={"Idempotency-Key": key})
    assert response.status_code == 200
    return response


def actors(client: httpx.Client) -> int:
    return int(client.get("/status").json()["memory"]["entities"]["actors"])


def test_a_retry_after_a_restart_gets_the_first_response(serve, logs) -> None:
    with serve() as client:
        client.post("/train", json={"logs": logs(100)})
        first = detect(client, log_of_unknown_user(logs, 1), "key")
        remembered = actors(client)
    with serve() as client:
        again = detect(client, log_of_unknown_user(logs, 1), "key")
        assert again.headers["idempotency-replayed"] == "true"
        assert again.content == first.content
        assert actors(client) == remembered


def test_a_restart_without_snapshot_and_history_has_neither_memory_nor_responses(
    serve, logs, tmp_path: Path
) -> None:
    with serve(history=False) as client:
        client.post("/train", json={"logs": logs(100)})
        detect(client, log_of_unknown_user(logs, 1), "key")
    (tmp_path / "models" / "memory.snapshot").unlink()
    with serve(history=False) as client:
        assert actors(client) == 0
        assert (
            "idempotency-replayed"
            not in detect(client, log_of_unknown_user(logs, 1), "key").headers
        )
        assert actors(client) == 2  # the user and the address


@contextmanager
def process(folder: Path) -> Iterator[httpx.Client]:
    """`python main.py` in `folder`, killed with SIGKILL at the end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    environ = {name: value for name, value in os.environ.items() if name not in variables()}
    environ |= {"HOST": "127.0.0.1", "PORT": port, "AUTH_TOKEN": "token", "FOREST_TREES": "5"}
    environ |= {"MEMORY_ENTITIES": "500", "SNAPSHOT_SECONDS": "86400"}
    with subprocess.Popen(
        [sys.executable, str(ROOT / "main.py")],
        cwd=folder,
        env=environ,
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stderr is not None
        assert any("started" in line for line in server.stderr)
        transport = httpx.HTTPTransport(retries=8)
        headers = {"Authorization": "Bearer token"}
        url = f"http://127.0.0.1:{port}"
        try:
            with httpx.Client(
                base_url=url, headers=headers, transport=transport, timeout=300
            ) as client:
                yield client
        finally:  # else Popen would wait for it after a failed assertion
            server.send_signal(signal.SIGKILL)


def train(client: httpx.Client, logs: Any, snapshots: int) -> None:
    """Train, and wait for the snapshot that follows."""
    assert client.post("/train", json={"logs": logs(100)}).status_code == 200
    line = f'snapshots_total{{outcome="success"}} {snapshots}.0'
    assert any(line in client.get("/metrics").text for _ in range(20_000))


def test_after_a_kill_the_journal_restores_what_the_snapshot_does_not_have(
    logs, tmp_path: Path
) -> None:
    with process(tmp_path) as client:
        train(client, logs, 1)
        first = detect(client, log_of_unknown_user(logs, 1), "in the snapshot")
        train(client, logs, 2)
        remembered = actors(client)
        later = detect(client, log_of_unknown_user(logs, 2), "after the snapshot")
        assert actors(client) == remembered + 2
    with process(tmp_path) as client:
        assert actors(client) == remembered + 2
        again = detect(client, log_of_unknown_user(logs, 1), "in the snapshot")
        assert again.headers["idempotency-replayed"] == "true"
        assert again.content == first.content
        again = detect(client, log_of_unknown_user(logs, 2), "after the snapshot")
        assert again.headers["idempotency-replayed"] == "true"
        assert again.json()["scores"] == later.json()["scores"]
        assert actors(client) == remembered + 2


def test_a_response_that_is_computed_during_a_snapshot_is_in_it(
    with_state, history, logs, columns
) -> None:
    scored, finish = asyncio.Event(), asyncio.Event()

    async def first_run(state: Any) -> None:
        await state.training.run(history(100))

        async def compute() -> bytes:
            await state.registry.observe(columns(log_of_unknown_user(logs, 1)), None, True)
            scored.set()
            await finish.wait()
            return b"first"

        response = asyncio.create_task(state.idempotency.respond(RETRY, compute))
        await scored.wait()
        snapshot = asyncio.create_task(state.snapshots.save(state.registry))
        await asyncio.wait([snapshot], timeout=0.05)
        finish.set()
        assert await response == (b"first", False)
        await snapshot

    async def second_run(state: Any) -> None:
        async def compute() -> bytes:
            raise AssertionError("it was not stored")

        assert await state.idempotency.respond(RETRY, compute) == (b"first", True)

    with_state(first_run)
    with_state(second_run)
