"""The service in a process of its own, with the resources that this process uses."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NamedTuple, Self

ROOT = Path(__file__).resolve().parents[1]
TOKEN = "a-token-for-the-benchmarks"
_START_SECONDS = 300.0


class Response(NamedTuple):
    """A status, the headers by lower-case name, and the body."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Service:
    """`python main.py` with its files in `folder`. Its output goes to `folder`/output."""

    #: A program that executes the service, with its arguments.
    wrapper: tuple[str, ...] = ()

    def __init__(self, folder: Path, **environ: str) -> None:
        self.folder = folder
        self.port = free_port()
        settings = {
            "HOST": "127.0.0.1",
            "PORT": str(self.port),
            "AUTH_TOKEN": TOKEN,
            "MODEL_PATH": str(folder / "models" / "isolation_forest.pkl"),
            "SCALER_PATH": str(folder / "models" / "scaler.pkl"),
            "LOG_FILE": str(folder / "logs" / "journal.log"),
        }
        self._environment = {**os.environ, **settings, **environ}
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def command(self) -> list[str]:
        """The arguments of Python."""
        return [str(ROOT / "main.py")]

    @property
    def ended(self) -> bool:
        """Whether the started process has ended."""
        return self._process is not None and self._process.poll() is not None

    def begin(self) -> None:
        """Start the process without waiting for it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with open(self.folder / "output", "ab") as output:
            self._process = subprocess.Popen(
                [*self.wrapper, sys.executable, *self.command()],
                cwd=self.folder,
                env=self._environment,
                stdout=output,
                stderr=output,
            )

    def start(self) -> None:
        """Start, and wait until /health responds."""
        self.begin()
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            assert self._process is not None
            if self._process.poll() is not None:
                raise RuntimeError((self.folder / "output").read_text()[-2_000:])
            try:
                if self.request("GET", "/health").status == 200:
                    return
            except OSError:
                time.sleep(0.02)
        raise RuntimeError("the service did not respond")

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def stop(self) -> None:
        """SIGTERM, and wait."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(60)
            self._process = None

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        timeout: float = 300.0,
        **headers: str,
    ) -> Response:
        """One request on a new connection. Raises OSError if there is no response."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        sent = {"Authorization": f"Bearer {TOKEN}"}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        try:
            connection.request(method, path, body, sent)
            response = connection.getresponse()
            named = {name.lower(): value for name, value in response.getheaders()}
            return Response(response.status, named, response.read())
        except http.client.HTTPException as error:
            raise ConnectionError(str(error)) from error
        finally:
            connection.close()

    def post(self, path: str, value: Any = None, **headers: str) -> Response:
        """POST a JSON value."""
        return self.request(
            "POST", path, None if value is None else encode_json(value), 300.0, **headers
        )

    def metrics(self) -> dict[str, float]:
        """Each sample of /metrics by its name with labels."""
        lines = self.request("GET", "/metrics").body.decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if line and not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    def cpu_seconds(self) -> float:
        """CPU seconds that the process has used."""
        fields = (Path("/proc") / str(self.pid) / "stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def resident_bytes(self) -> int:
        """Resident memory now."""
        fields = (Path("/proc") / str(self.pid) / "statm").read_text().split()
        return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")

    def peak_resident_bytes(self) -> int:
        """The largest resident memory since the start."""
        lines = (Path("/proc") / str(self.pid) / "status").read_text().splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM")) * 1024

    def open_files(self) -> int:
        """Number of open files and connections."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    def threads(self) -> int:
        """Number of threads."""
        return len(os.listdir(f"/proc/{self.pid}/task"))


def encode_json(value: Any) -> bytes:
    return json.dumps(value).encode()


def free_port() -> int:
    """A free loopback port."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
