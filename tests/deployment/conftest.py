"""The real parts that the slow tests run: podman, Prometheus, Alertmanager, nginx, log shippers."""

import base64
import fcntl
import json
import os
import secrets
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
import yaml
from api_anomaly import __version__
from tests.support.paths import ROOT

TOKEN = "a-token-of-the-deployment-tests"
Output = subprocess.CompletedProcess[str]


class RealParts(NamedTuple):
    """Real parts, ready to run: the environment for podman, the base image, Python tools, and the
    JSON Schema of Grafana's dashboards."""

    environment: dict[str, str]
    base: str
    tools: Path
    grafana: Path

    def run(self, *command: str | Path, check: bool = True, **options: Any) -> Output:
        """A finished command; its output is text."""
        environment = self.environment | options.pop("env", {})
        done = subprocess.run(
            [str(part) for part in command],
            env=environment,
            capture_output=True,
            text=True,
            timeout=600,
            **options,
        )
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def podman(self, *arguments: str | Path, check: bool = True, **options: Any) -> Output:
        """A finished podman command."""
        return self.run("podman", *arguments, check=check, **options)


class Image(NamedTuple):
    """The image of the service."""

    name: str
    bytes: int


class Container(NamedTuple):
    """A running container of the service."""

    name: str
    client: httpx.Client
    seconds: float


@pytest.fixture(scope="session")
def parts() -> Iterator[RealParts]:
    """What scripts/slow_parts installs; skips where it says that this machine cannot have it.

    Names of images, pods and secrets are the machine's, so one run at a time has them.
    """
    done = subprocess.run([ROOT / "scripts" / "slow_parts"], capture_output=True, text=True)
    if done.returncode == 3:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    found = dict(line.split("=", 1) for line in done.stdout.splitlines())
    environment = {**os.environ, **found}
    with open(found["LOCK"], "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield RealParts(
            environment, found["BASE_IMAGE"], Path(found["TOOLS"]), Path(found["GRAFANA_SCHEMA"])
        )


@pytest.fixture(scope="session")
def build_options(parts: RealParts) -> list[str]:
    """Options for `podman build` here: the base of Debian packages, and this machine's own
    certificates and pip settings, without which a closed network has no packages."""
    options = ["--pull=never", "--network=host", "--format=docker"]
    options += ["--build-arg", f"PYTHON_IMAGE={parts.base}"]
    for file in ("/etc/ssl/certs/ca-certificates.crt", "/etc/pip.conf"):
        if Path(file).exists():
            options += ["--volume", f"{file}:{file}:ro"]
    return options


@pytest.fixture(scope="session")
def image(parts: RealParts, build_options: list[str]) -> Image:
    """The image, built from the Dockerfile."""
    name = f"localhost/api-anomaly-detection:{__version__}"
    parts.podman("build", *build_options, "--tag", name, ROOT)
    (facts,) = json.loads(parts.podman("image", "inspect", name).stdout)
    return Image(name, facts["Size"])


@pytest.fixture(scope="module")
def kept_secret(parts: RealParts, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The Secret of k8s/secret.yaml.example, filled in, where podman's pods find it."""
    secret = yaml.safe_load((ROOT / "k8s" / "secret.yaml.example").read_text())
    values = {"auth-token": TOKEN, "model-signing-key": "a-signing-key-of-the-tests"}
    assert set(secret.pop("stringData")) == set(values)
    secret["data"] = {
        name: base64.b64encode(text.encode()).decode() for name, text in values.items()
    }
    # Up to 4.3 podman wants its data alone, later the object.
    version = parts.podman("version", "--format", "{{.Client.Version}}").stdout
    older = tuple(int(part) for part in version.split(".")[:2]) < (4, 4)
    file = tmp_path_factory.mktemp("secret") / "secret.json"
    file.write_text(json.dumps(secret["data"] if older else secret))
    name = secret["metadata"]["name"]
    parts.podman("secret", "rm", name, check=False)  # of a run that was killed
    parts.podman("secret", "create", name, file)
    yield
    parts.podman("secret", "rm", name, check=False)


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def until(true: Callable[[], Any], what: str, seconds: float = 60.0) -> Any:
    """What `true` returns as soon as it is true; asks ten times a second. Real parts only tell by
    being asked."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = true()
        if found:
            return found
        time.sleep(0.1)
    raise AssertionError(f"not within {seconds:g} s: {what}")


def answers(client: httpx.Client, path: str = "/health") -> bool:
    """Whether a GET is answered with 200."""
    try:
        return client.get(path).status_code == 200
    except httpx.HTTPError:
        return False


def caller(port: int) -> httpx.Client:
    """A client with the tests' token."""
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=120)


Start = Callable[..., AbstractContextManager[Container]]


@pytest.fixture
def start(parts: RealParts, image: Image) -> Iterator[Start]:
    """Runs the image as an orchestrator would: read-only root, not even a writable /tmp, no
    capability. Named volumes of one test live as long as the test."""
    mark = secrets.token_hex(4)
    volumes = [f"models-{mark}", f"logs-{mark}"]

    @contextmanager
    def started(*options: str) -> Iterator[Container]:
        port, name = free_port(), f"service-{secrets.token_hex(4)}"
        hard = ("--read-only", "--read-only-tmpfs=false", "--cap-drop=ALL")
        hard += ("--security-opt=no-new-privileges", "--env", f"AUTH_TOKEN={TOKEN}")
        kept = ("-v", f"{volumes[0]}:/app/models", "-v", f"{volumes[1]}:/app/logs")
        publish = ("--publish", f"127.0.0.1:{port}:8000")
        begun = time.monotonic()
        parts.podman("run", "-d", "--name", name, *hard, *kept, *publish, *options, image.name)
        try:
            with caller(port) as client:
                until(lambda: answers(client), "the container answers")
                yield Container(name, client, time.monotonic() - begun)
        finally:
            parts.podman("rm", "--force", "--time=0", name, check=False)

    yield started
    parts.podman("volume", "rm", "--force", *volumes, check=False)


class Process(NamedTuple):
    """A program that runs beside the test, and where its output goes."""

    popen: subprocess.Popen[bytes]
    output: Path


Spawn = Callable[..., Process]


@contextmanager
def spawning(folder: Path) -> Iterator[Spawn]:
    """Starts programs, which write their output into files of a folder; all of them end with it."""
    running: list[Process] = []

    def spawned(*command: str | Path, **options: Any) -> Process:
        output = folder / f"output-{len(running)}.txt"
        with output.open("wb") as out:
            popen = subprocess.Popen(
                [str(part) for part in command],
                stdout=out,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                **options,
            )
        running.append(Process(popen, output))
        return running[-1]

    yield spawned
    for process in reversed(running):
        process.popen.terminate()
        try:
            process.popen.wait(30)
        except subprocess.TimeoutExpired:
            process.popen.kill()
            process.popen.wait()


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Starts programs; all of them end with the test."""
    with spawning(tmp_path) as spawned:
        yield spawned


class Running(NamedTuple):
    """The service as its own process, and its port."""

    process: Process
    port: int


def start_service(spawn: Spawn, folder: Path) -> Running:
    """The service, started with `python main.py`; its files are in a folder."""
    port = free_port()
    environment = os.environ | {
        "HOST": "127.0.0.1",
        "PORT": str(port),
        "AUTH_TOKEN": TOKEN,
        "MODEL_PATH": str(folder / "models" / "isolation_forest.pkl"),
        "SCALER_PATH": str(folder / "models" / "scaler.pkl"),
        "LOG_FILE": str(folder / "logs" / "journal.log"),
        "MEMORY_ENTITIES": "10000",
        "SNAPSHOT_SECONDS": "2",
        "LOG_LEVEL": "DEBUG",
    }
    process = spawn(sys.executable, ROOT / "main.py", env=environment, cwd=folder)
    return Running(process, port)


@pytest.fixture
def running(spawn: Spawn, tmp_path: Path) -> Running:
    """The service, started with `python main.py`."""
    return start_service(spawn, tmp_path)


@contextmanager
def calling(running: Running) -> Iterator[httpx.Client]:
    """A client with the token, when the service answers."""
    process = running.process
    with caller(running.port) as client:
        # The very first start compiles the kernels.
        up = lambda: answers(client) or process.popen.poll() is not None  # noqa: E731
        until(up, "the service answers", 300)
        assert process.popen.poll() is None, process.output.read_text()
        yield client


@pytest.fixture
def service(running: Running) -> Iterator[httpx.Client]:
    """A client with the token, when the service answers."""
    with calling(running) as client:
        yield client


@pytest.fixture
def program() -> Callable[[str], str]:
    """The path of a program; skips where it is not installed."""

    def found(name: str) -> str:
        path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
        if path is None:
            pytest.skip(f"{name} is not installed: run scripts/slow_parts as root")
        return path

    return found
