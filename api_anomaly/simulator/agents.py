"""User agents: the programs that people and machines call the API with, and their versions."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

DAY = 86_400.0


class Program(NamedTuple):
    """A program whose version moves on with time.

    form     its user agent; {} is the version
    first    the version at the start of the simulation
    days     days between two versions
    share    how often it is chosen among its kind
    """

    form: str
    first: int
    days: float
    share: float


_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"

PROGRAMS: dict[str, tuple[Program, ...]] = {
    "desktop": (
        Program(
            f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/{{}}.0.0.0 Safari/537.36",
            138,
            9,
            48,
        ),
        Program(
            f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_WEBKIT}"
            " Chrome/{}.0.0.0 Safari/537.36",
            138,
            9,
            18,
        ),
        Program(
            "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:{0}.0) Gecko/20100101 Firefox/{0}.0",
            140,
            9,
            13,
        ),
        Program(
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15"
            " (KHTML, like Gecko) Version/18.{} Safari/605.1.15",
            4,
            21,
            12,
        ),
        Program(
            f"Mozilla/5.0 (X11; Linux x86_64) {_WEBKIT} Chrome/{{}}.0.0.0 Safari/537.36", 138, 9, 9
        ),
    ),
    "mobile": (
        Program("ShopApp/5.{}.0 (iPhone; iOS 18.5; Scale/3.00)", 12, 7, 40),
        Program("ShopApp/5.{}.0 (Android 15; SM-S921B)", 12, 7, 35),
        Program(
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15"
            " (KHTML, like Gecko) Version/18.{} Mobile/15E148 Safari/604.1",
            4,
            21,
            15,
        ),
        Program(
            f"Mozilla/5.0 (Linux; Android 10; K) {_WEBKIT} Chrome/{{}}.0.0.0 Mobile Safari/537.36",
            138,
            9,
            10,
        ),
    ),
    "script": (
        Program("python-requests/2.32.{}", 3, 60, 38),
        Program("curl/8.{}.0", 5, 30, 18),
        Program("Go-http-client/2.0", 0, 9999, 16),
        Program("okhttp/4.12.{}", 0, 60, 10),
        Program("axios/1.{}.2", 7, 20, 12),
        Program("PostmanRuntime/7.4{}.0", 3, 25, 6),
    ),
    "integration": (
        Program("AcmeSync/3.{} (+https://sync.example)", 4, 12, 30),
        Program("ErpConnector/11.{} Java/17.0.9", 2, 20, 30),
        Program("python-requests/2.32.{}", 3, 60, 25),
        Program("Go-http-client/2.0", 0, 9999, 15),
    ),
    "monitor": (Program("UptimeProbe/2.{} (+https://uptime.example)", 1, 30, 1),),
    "crawler": (
        Program(
            "Mozilla/5.0 (compatible; ExampleBot/2.{}; +https://bot.example/about)", 1, 9999, 55
        ),
        Program("Mozilla/5.0 (compatible; PriceSpider/1.{}; +https://spider.example)", 0, 9999, 30),
        Program("python-requests/2.32.{}", 3, 60, 15),
    ),
    "scanner": (
        Program("Mozilla/5.00 (Nikto/2.5.{}) (Evasions:None)", 0, 9999, 1),
        Program("Nuclei - Open-source project (github.com/projectdiscovery/nuclei)", 0, 9999, 1),
    ),
}
PROGRAMS["browser"] = PROGRAMS["desktop"] + PROGRAMS["mobile"]
KINDS: tuple[str, ...] = tuple(PROGRAMS)

VERSIONS = 6
_ROWS: tuple[Program, ...] = tuple(program for kind in KINDS for program in PROGRAMS[kind])
_FIRST: dict[str, int] = {
    kind: sum(len(PROGRAMS[earlier]) for earlier in KINDS[:index])
    for index, kind in enumerate(KINDS)
}
_DAYS = np.array([program.days for program in _ROWS])

# Every user agent there can be: VERSIONS of each program. Row = program x VERSIONS + version.
AGENTS: tuple[str, ...] = tuple(
    program.form.format(program.first + version) for program in _ROWS for version in range(VERSIONS)
)


def choose_programs(kind: str, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
    """int64 (count,): programs of a kind, by their shares."""
    shares = np.array([program.share for program in PROGRAMS[kind]])
    return _FIRST[kind] + rng.choice(len(shares), count, p=shares / shares.sum())


def agents_at(
    programs: npt.NDArray[np.int64],
    lag: npt.NDArray[np.float64],
    elapsed: npt.NDArray[np.float64],
) -> npt.NDArray[np.int64]:
    """int64 (n,): rows of AGENTS.

    programs  int64 (n,)    from ``choose_programs``
    lag       float64 (n,)  0..1: how late this installation updates, in update intervals
    elapsed   float64 (n,)  seconds since the simulation began
    """
    version = np.floor(elapsed / DAY / _DAYS[programs] + 1 - lag).astype(np.int64)
    indices: npt.NDArray[np.int64] = programs * VERSIONS + np.clip(version, 0, VERSIONS - 1)
    return indices
