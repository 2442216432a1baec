"""A service of its own for a demo: in a temporary folder, on a free port, with a random token."""

import os
import secrets
import shutil
import socket
import subprocess  # nosec B404  # starts this program itself, with fixed arguments
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import httpx

import api_anomaly
from api_anomaly.cli.command import CommandError

# The first start compiles the numeric kernels.
_START_SECONDS = 180.0
_STOP_SECONDS = 30.0
_OUTPUT_LINES_SHOWN = 30
#: Settings of the caller that reach the service. All others stay out, so that MODEL_PATH and the
#: like of the caller's shell cannot change the demo.
_PASSED_ON = ("PATH", "HOME", "TMPDIR", "ALERT_BUDGET", "KERNEL_CACHE_DIR")


class TemporaryService(NamedTuple):
    """A running service."""

    url: str
    token: str
    folder: Path
    process: subprocess.Popen[bytes]

    def wait(self) -> None:
        """Wait for Ctrl-C. Raises CommandError when the service ends by itself."""
        try:
            self.process.wait()
        except KeyboardInterrupt:
            return
        raise CommandError("the service ended by itself")


@contextmanager
def run_temporary_service() -> Iterator[TemporaryService]:
    """Start a service and wait until it answers; stop it and remove its folder at the end.

    The folder is kept, and named in the error, when the service ended by itself.
    """
    folder = Path(tempfile.mkdtemp(prefix="api-anomaly-demo."))
    service = _start(folder)
    try:
        _wait_until_healthy(service)
        yield service
    finally:
        if service.process.poll() is None:
            _stop(service.process)
            shutil.rmtree(folder, ignore_errors=True)
        else:
            print(f"The output of the service is in {_output(folder)}.", file=sys.stderr)


def _start(folder: Path) -> TemporaryService:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    token = secrets.token_urlsafe(24)
    (folder / "models").mkdir()
    (folder / "logs").mkdir()
    environment = {
        "ALERT_BUDGET": "0.01",
        **{name: os.environ[name] for name in _PASSED_ON if name in os.environ},
        "PYTHONPATH": str(Path(api_anomaly.__file__).parents[1]),
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "AUTH_TOKEN": token,
        "MODEL_PATH": str(folder / "models" / "isolation_forest.pkl"),
        "SCALER_PATH": str(folder / "models" / "scaler.pkl"),
        "LOG_FILE": str(folder / "logs" / "anomaly_detection.log"),
    }
    with _output(folder).open("wb") as output:
        process = subprocess.Popen(  # nosec B603
            [sys.executable, "-P", "-m", "api_anomaly", "serve"],
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    return TemporaryService(f"http://127.0.0.1:{port}", token, folder, process)


def _wait_until_healthy(service: TemporaryService) -> None:
    deadline = time.monotonic() + _START_SECONDS
    with httpx.Client(trust_env=False, timeout=5) as client:
        while service.process.poll() is None and time.monotonic() < deadline:
            try:
                if client.get(f"{service.url}/health").is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
    output = _output(service.folder).read_text("utf-8", "replace").splitlines()
    last_lines = "\n".join(output[-_OUTPUT_LINES_SHOWN:])
    raise CommandError(f"the service did not start. Its last output:\n{last_lines}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _output(folder: Path) -> Path:
    return folder / "service.out"
