"""Generic abuses, each played by one attacker as an episode of logs on the own stage."""

import numpy as np

from api_anomaly.core.columns import METHODS
from api_anomaly.core.stage import Episode, Stage, mixed, repeated

_POST = METHODS.index("POST")


def guessing(stage: Stage) -> Episode:
    """One address tries the same write again and again: passwords, coupons, one-time codes."""
    size = stage.length()
    row = int(stage.pick(stage.writes, 1)[0])
    user, address = stage.stranger()
    status = None if stage.rng.random() < 0.4 else mixed(stage, size, (401, 403, 200, 400, 429))
    rows, times = np.full(size, row), stage.times(size)
    agent = int(stage.pick(stage.all, 1)[0])
    return Episode(rows, times, user, repeated(address, size), agent, status=status, method=_POST)


def stuffing(stage: Stage) -> Episode:
    """Few addresses try the same write for many users."""
    size = stage.length(10)
    row = int(stage.pick(stage.writes, 1)[0])
    pool = stage.new_addresses(int(stage.rng.integers(1, 12)))
    names: list[str | None] = [
        f"rehearsed-{number}" for number in stage.rng.integers(0, 1 << 40, size)
    ]
    if stage.anonymous > 0.9:
        names = [None] * size
    status = mixed(stage, size, (401, 403, 200, 404))
    address = pool[stage.rng.integers(0, len(pool), size)]
    agent = int(stage.pick(stage.all, 1)[0])
    return Episode(
        np.full(size, row), stage.times(size), None, address, agent, None, status, _POST, names
    )


def swarming(stage: Stage) -> Episode:
    """The same write from so many addresses that each tries once or a few times."""
    size = stage.length(10, 150)
    row = int(stage.pick(stage.writes, 1)[0])
    pool = stage.new_addresses(max(2, int(size / stage.rng.uniform(1.0, 3.0))))
    address = pool[stage.rng.integers(0, len(pool), size)]
    names: list[str | None] = [None] * size
    if stage.anonymous < 0.9:
        names = [f"rehearsed-{number}" for number in stage.rng.integers(0, 1 << 40, size)]
    status = mixed(stage, size, (401, 403, 200, 404, 400))
    times = stage.times(size, fastest=1.0)
    agent = -1 if stage.rng.random() < 0.5 else int(stage.pick(stage.all, 1)[0])
    return Episode(np.full(size, row), times, None, address, agent, None, status, _POST, names)


def knocking(stage: Stage) -> Episode:
    """A stranger that asks for one to five odd things and is gone."""
    size = int(stage.rng.integers(1, 6))
    user, address = stage.stranger()
    rows = stage.pick(stage.all, size)
    paths = [_unused(stage, int(row)) for row in rows]
    if len(stage.rare) and stage.rng.random() < 0.5:
        rows = stage.pick(stage.rare, size)
        paths = [stage.text(int(row)) for row in rows]
    status = mixed(stage, size, (404, 403, 301, 200, 400))
    agent = _some_agent(stage)
    method = _POST if stage.rng.random() < 0.2 else 0
    return Episode(
        rows, stage.times(size), user, repeated(address, size), agent, paths, status, method
    )


def fuzzing(stage: Stage) -> Episode:
    """One actor tries what an endpoint makes of odd parameters."""
    size = stage.length(4, 150)
    rows = stage.pick(stage.pick(stage.all, int(stage.rng.integers(1, 8))), size)
    paths = []
    for row in rows:
        path = stage.text(int(row)).split("?")[0]
        odd = "".join(stage.rng.choice(list("%{|}\\^`"), int(stage.rng.integers(1, 30))))
        paths.append(f"{path}?{stage.word()}={odd}{stage.word()}")
    status = mixed(stage, size, (200, 400, 403, 404, 500))
    user, address = _somebody(stage), stage.new_addresses(1)
    return Episode(
        rows,
        stage.times(size),
        user,
        repeated(address, size),
        _some_agent(stage),
        paths,
        status,
    )


def takeover(stage: Stage) -> Episode:
    """A known user's account from a new address: some refusals, then in, then changes."""
    size, tries = stage.length(6, 120), int(stage.rng.integers(0, 8))
    user, _ = stage.account()
    rows = stage.pick(stage.writes, size)
    rows[:tries] = rows[0]
    reads = stage.rng.random(size) < stage.rng.uniform(0.2, 0.8)
    reads[:tries] = False
    rows[reads] = stage.pick(stage.all, int(reads.sum()))
    status = stage.columns.status[rows].copy()
    status[:tries] = 401
    agent = int(stage.pick(stage.all, 1)[0])
    address = repeated(stage.new_addresses(1), size)
    return Episode(rows, stage.times(size), user, address, agent, None, status)


def _unused(stage: Stage, row: int) -> str:
    """A path that nobody uses, beside one that somebody does."""
    parts = stage.text(row).split("?")[0].split("/")[: int(stage.rng.integers(1, 4))]
    deeper = [stage.word(), *([stage.word()] if stage.rng.random() < 0.4 else [])]
    return "/".join([*parts, *deeper])


def _some_agent(stage: Stage) -> int:
    """The row of one agent, or -1: another with each log."""
    return -1 if stage.rng.random() < 0.2 else int(stage.pick(stage.all, 1)[0])


def enumeration(stage: Stage) -> Episode:
    """One actor walks through the numbers of one endpoint, in steps or at random."""
    size = stage.length(8)
    row = int(stage.pick(stage.numbered, 1)[0])
    start, text = (
        1 if stage.rng.random() < 0.5 else int(stage.rng.integers(1, 100_000))
    ), stage.text(row)
    numbers = (
        start + np.arange(size)
        if stage.rng.random() < 0.5
        else stage.rng.integers(1, 1_000_000, size)
    )
    user, address = _somebody(stage), stage.new_addresses(1)
    status = mixed(stage, size, (200, 404, 403))
    paths = [stage.renumbered(text, int(number)) for number in numbers]
    agent = int(stage.pick(stage.all, 1)[0])
    return Episode(
        np.full(size, row), stage.times(size), user, repeated(address, size), agent, paths, status
    )


def scanning(stage: Stage) -> Episode:
    """One address asks for paths that nobody uses."""
    size = stage.length(5)
    user, address = stage.stranger()
    paths = [_unused(stage, int(row)) for row in stage.pick(stage.all, size)]
    status = mixed(stage, size, (404, 403, 301, 200, 400))
    agent = int(stage.pick(stage.all, 1)[0])
    method = _POST if stage.rng.random() < 0.2 else 0
    rows = stage.pick(stage.all, size)
    return Episode(
        rows, stage.times(size), user, repeated(address, size), agent, paths, status, method
    )


def probing(stage: Stage) -> Episode:
    """A user tries doors that are not its own."""
    size = stage.length(5, 150)
    user, _ = stage.account()
    rows = stage.pick(np.unique(stage.pick(stage.all, 60)), size)
    status = mixed(stage, size, (403, 403, 401, 404, 200))
    agent = int(stage.pick(stage.all, 1)[0])
    return Episode(
        rows, stage.times(size), user, repeated(stage.new_addresses(1), size), agent, None, status
    )


def theft(stage: Stage) -> Episode:
    """A known user's token at work elsewhere: a new address, another agent and habits, writes."""
    size = stage.length(6, 200)
    user, _ = stage.account()
    rows = stage.pick(stage.all, size)
    changes = stage.rng.random(size) < stage.rng.uniform(0.0, 0.5)
    rows[changes] = stage.pick(stage.writes, int(changes.sum()))
    agent = int(stage.pick(stage.all, 1)[0])
    return Episode(rows, stage.times(size), user, repeated(stage.new_addresses(1), size), agent)


def sharing(stage: Stage) -> Episode:
    """One user's key in many hands at once."""
    size = stage.length(20, 300)
    user, _ = stage.account()
    pool = stage.new_addresses(int(stage.rng.integers(3, 25)))
    address = pool[stage.rng.integers(0, len(pool), size)]
    return Episode(stage.pick(stage.all, size), stage.times(size, slowest=120.0), user, address, -1)


def scraping(stage: Stage) -> Episode:
    """One actor fetches object after object at a human's or a machine's pace."""
    size = stage.length(30, 600)
    user, address = _somebody(stage), stage.new_addresses(1)
    rows = stage.pick(stage.pick(stage.numbered, int(stage.rng.integers(1, 5))), size)
    numbers = stage.rng.integers(1, 10_000_000, size)
    paths = [
        stage.renumbered(stage.text(int(row)), int(number))
        for row, number in zip(rows, numbers, strict=True)
    ]
    agent = int(stage.pick(stage.all, 1)[0])
    times = stage.times(size, fastest=1.0, slowest=120.0)
    return Episode(rows, times, user, repeated(address, size), agent, paths)


def hauling(stage: Stage) -> Episode:
    """A known user takes out far more than it used to."""
    size = stage.length(10, 300)
    user, own = stage.account()
    row = int(stage.pick(own, 1)[0])
    factor = float(np.exp(stage.rng.uniform(np.log(5.0), np.log(200.0))))
    address = repeated(stage.columns.address[row : row + 1], size)
    return Episode(
        np.full(size, row),
        stage.times(size),
        user,
        address,
        row,
        size_factor=factor,
        time_factor=factor**0.5,
    )


def straining(stage: Stage) -> Episode:
    """Queries made to be slow."""
    size = stage.length(5, 150)
    user, own = stage.account()
    row = int(stage.pick(own, 1)[0])
    path = stage.text(row)
    joint = "&" if "?" in path else "?"
    paths = [f"{path}{joint}{stage.word()}={'%25' * 9}{stage.word() * 4}"] * size
    factor = float(np.exp(stage.rng.uniform(np.log(5.0), np.log(100.0))))
    address = repeated(stage.columns.address[row : row + 1], size)
    return Episode(
        np.full(size, row), stage.times(size), user, address, row, paths, time_factor=factor
    )


def _somebody(stage: Stage) -> str | None:
    """An established user or a stranger."""
    return stage.account()[0] if stage.rng.random() < 0.5 else stage.stranger()[0]


def insider(stage: Stage) -> Episode:
    """A known user at an hour that it never keeps, wherever others go."""
    size = stage.length(10, 200)
    user, own = stage.account()
    times = stage.times(size, slowest=60.0)
    shift = float(stage.rng.integers(8, 16)) * 3_600.0
    usual = float(np.median(stage.columns.time[own] % 86_400.0))
    times += (usual + shift - times[0]) % 86_400.0 - 86_400.0
    rows = stage.pick(stage.all, size)
    address = repeated(stage.columns.address[own[:1]], size)
    return Episode(rows, times, user, address, int(own[0]))
