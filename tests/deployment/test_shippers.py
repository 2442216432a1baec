"""Real access logs, real log shippers with the files of deploy/shippers, and what arrives."""

import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.deployment.conftest import TOKEN, Spawn, calling, spawning, start_service, until
from tests.deployment.log_shippers import (
    OUTPUTS,
    REAL,
    WEBSITES,
    Here,
    Parts,
    Shipper,
    Website,
    with_output,
)
from tests.support.paths import ROOT
from tests.support.shipper_target import Target, shipper_target

pytestmark = pytest.mark.slow
ODD = 'quotes " and \\ backslashes \t and ümlauts'
Program = Callable[[str], str]


@pytest.fixture(scope="session")
def installed() -> dict[str, Path]:
    """What scripts/shipper_parts installs; skips where it says that this machine cannot have it."""
    done = subprocess.run([ROOT / "scripts" / "shipper_parts"], capture_output=True, text=True)
    if done.returncode == 3:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    found = dict(line.split("=", 1) for line in done.stdout.splitlines())
    return {name: Path(path) for name, path in found.items()}


@pytest.fixture
def shippers(installed: dict[str, Path], program: Program) -> Parts:
    """All shippers that can be had here."""
    names = ("RSYSLOG", "FILEBEAT", "OTELCOL", "FLUENT_BIT")
    return Parts(*(installed[name] for name in names), program("syslog-ng"))


@pytest.fixture
def target() -> Iterator[Target]:
    """A server that keeps what the shippers send."""
    with shipper_target() as running:
        yield running


@pytest.fixture(scope="module")
def watcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of the service, one for all shippers."""
    folder = tmp_path_factory.mktemp("watcher")
    with spawning(folder) as spawn, calling(start_service(spawn, folder)) as client:
        yield client


@pytest.fixture
def shipper(request: pytest.FixtureRequest) -> Shipper:
    """The shipper that a test names, or Fluent Bit with another output."""
    name = request.param
    return with_output(name) if name in OUTPUTS else REAL[name]


@pytest.fixture
def website(shipper: Shipper, spawn: Spawn, program: Program, tmp_path: Path) -> Iterator[Website]:
    """The web server whose log the shipper sends in these tests."""
    folder = tmp_path / "website"
    folder.mkdir()
    with WEBSITES[shipper.website](program, spawn, folder) as running:
        yield running


@pytest.fixture
def here(shippers: Parts, website: Website, tmp_path: Path) -> Callable[[str], Here]:
    """The place of a run that sends to an address."""
    state = tmp_path / "state"
    state.mkdir()
    return lambda url: Here(shippers, website.log, state, url)


each_shipper = pytest.mark.parametrize("shipper", REAL, indirect=True)


@each_shipper
def test_shipper_accepts_its_configuration(shipper: Shipper, here: Callable[[str], Here]) -> None:
    assert not shipper.is_accepted(here("http://127.0.0.1:9"))


@each_shipper
def test_shipper_sends_every_line_again_until_it_is_taken(
    shipper: Shipper,
    here: Callable[[str], Here],
    website: Website,
    target: Target,
    spawn: Spawn,
) -> None:
    target.refusals = 1
    website.visit([f"/page/{number}?q=%22x" for number in range(30)], ODD)
    process = shipper.start(here(target.url), spawn)
    until(lambda: target.taken() and target.refused(), "it is refused, then taken", 30)
    website.visit([f"/page/late/{number}" for number in range(5)], "late/1.0")
    lines = [shipper.sent(line) for line in website.lines("/page/")]
    assert len(lines) == 35
    bodies = lambda: b"\n".join(request.body for request in target.taken())  # noqa: E731
    until(lambda: all(line in bodies() for line in lines), process.output.read_text()[-2000:], 20)
    positions = [bodies().index(line) for line in lines]
    assert positions == sorted(positions), "lines came in another order"
    paths = {request.path.split("?")[0].rstrip("/") for request in target.taken()}
    assert paths == {shipper.posts}


def test_restart_while_the_service_is_away_loses_no_line(shippers: Parts, tmp_path: Path) -> None:
    """All shippers at the same time, each with a log and a server of its own."""
    lines = [f"line {number:03} of this log" for number in range(300)]
    with ExitStack() as open_targets:
        places = {}
        for name in REAL:
            place = tmp_path / name
            place.mkdir()
            (place / "access.log").write_text("\n".join(lines[:200]) + "\n")
            target = open_targets.enter_context(shipper_target(refusals=1_000_000))
            places[name] = (Here(shippers, place / "access.log", place, target.url), target)
        with spawning(tmp_path) as spawn:
            for name, (here, target) in places.items():
                REAL[name].start(here, spawn)
            for here, target in places.values():
                until(lambda: len(target.refused()) > 1, f"{here.log} is refused", 20)
                with here.log.open("a") as log:
                    log.write("\n".join(lines[200:]) + "\n")
        for _, target in places.values():
            target.refusals = 0
        (tmp_path / "again").mkdir()
        with spawning(tmp_path / "again") as spawn:
            for name, (here, target) in places.items():
                REAL[name].start(here, spawn)
            for name, (here, target) in places.items():
                until(lambda: not _missing(lines, target), f"all lines of {name} arrive", 30)


def _missing(lines: list[str], target: Target) -> list[str]:
    sent = b"".join(request.body for request in target.taken())
    return [line for line in lines if line.encode() not in sent]


def counted(service: httpx.Client, metric: str) -> int:
    """The sum of a counter of the service over its labels."""
    lines = service.get("/metrics").text.splitlines()
    return int(sum(float(line.split()[-1]) for line in lines if line.startswith(metric)))


@pytest.mark.parametrize("shipper", [*REAL, *OUTPUTS], indirect=True)
def test_every_request_to_a_website_reaches_the_service(
    shipper: Shipper,
    here: Callable[[str], Here],
    website: Website,
    watcher: httpx.Client,
    spawn: Spawn,
) -> None:
    before = counted(watcher, "logs_ingested_total")
    process = shipper.start(here(str(watcher.base_url)), spawn)
    website.visit([f"/{shipper.file}/{number}?q=%22x" for number in range(100)], ODD)
    written = len(website.log.read_text("utf-8", "replace").splitlines())
    assert written > 100
    arrived = lambda: counted(watcher, "logs_ingested_total") - before  # noqa: E731
    try:
        until(lambda: arrived() >= written, "all lines arrive", 20)
    except AssertionError as late:
        raise AssertionError(f"{arrived()} of {written}\n{process.output.read_text()}") from late
    assert arrived() == written


@pytest.mark.parametrize("shipper", ["syslog-ng"], indirect=True)
def test_attack_on_a_website_is_found(
    shipper: Shipper,
    here: Callable[[str], Here],
    website: Website,
    watcher: httpx.Client,
    spawn: Spawn,
    logs: Callable[[int], list[dict[str, object]]],
) -> None:
    watcher.post("/train", json={"logs": logs(500)}).raise_for_status()
    shipper.start(here(str(watcher.base_url)), spawn)
    website.visit([f"/missing/{number}.php" for number in range(200)], "sqlmap/1.7")
    until(lambda: counted(watcher, "anomalies_detected_total"), "an anomaly is found", 30)
    assert TOKEN not in website.log.read_text()
