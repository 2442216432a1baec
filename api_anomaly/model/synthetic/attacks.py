"""Generic abuses, each played by one attacker as an episode of logs on the own stage."""

import numpy as np
from numpy.typing import NDArray

from api_anomaly.logs.columns import METHODS
from api_anomaly.model.synthetic.sampler import Episode, Stage, mixed, repeated

_POST = METHODS.index("POST")
#: A user, an address (1, 2), and the row whose agent is its own, if it has one.
_Who = tuple[str | None, NDArray[np.uint64], int | None]


def guessing(stage: Stage) -> Episode:
    """One address tries the same write again and again: passwords, coupons, one-time codes."""
    size = stage.length()
    row = _door(stage)
    user, address = stage.stranger()
    status = _outcomes(stage, row, size, (401, 403, 200, 400, 429))
    rows, times = np.full(size, row), stage.times(size)
    agent = int(stage.pick(stage.all, 1)[0])
    return Episode(rows, times, user, repeated(address, size), agent, status=status, method=_POST)


def stuffing(stage: Stage) -> Episode:
    """Few addresses try the same write for many users."""
    size = stage.length(10)
    row = _door(stage)
    pool = stage.new_addresses(int(stage.rng.integers(1, 12)))
    names = _tried(stage, row, size)
    status = _outcomes(stage, row, size, (401, 403, 200, 404))
    address = pool[stage.rng.integers(0, len(pool), size)]
    agent = int(stage.pick(stage.all, 1)[0])
    return Episode(
        np.full(size, row), stage.times(size), None, address, agent, None, status, _POST, names
    )


def swarming(stage: Stage) -> Episode:
    """The same write from so many addresses that each tries once or a few times."""
    size = stage.length(10, 150)
    row = _door(stage)
    pool = stage.new_addresses(max(2, int(size / stage.rng.uniform(1.0, 3.0))))
    address = pool[stage.rng.integers(0, len(pool), size)]
    names = _tried(stage, row, size)
    status = _outcomes(stage, row, size, (401, 403, 200, 404, 400))
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
    user, address, own = _somebody(stage)
    return Episode(
        rows,
        stage.times(size),
        user,
        repeated(address, size),
        _some_agent(stage) if own is None else own,
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


def _door(stage: Stage) -> int:
    """The row of a write to try again and again: more often than not one that was refused, because
    it is where a secret is asked for that guesses are made."""
    refused = stage.refused if stage.rng.random() < 0.3 else stage.writes
    return int(stage.pick(refused if len(refused) else stage.writes, 1)[0])


def _outcomes(stage: Stage, row: int, size: int, choices: tuple[int, ...]) -> NDArray[np.int16]:
    """What the tries come to: what that row came to, but for a few that get in, or any mix."""
    if stage.rng.random() < 0.7:
        return mixed(stage, size, choices)
    status = np.full(size, stage.columns.status[row], np.int16)
    status[stage.rng.random(size) < stage.rng.uniform(0.0, 0.3)] = 200
    return status


def _tried(stage: Stage, row: int, size: int) -> list[str | None]:
    """Names for as many tries: as the team's own logs of that write have one, or none."""
    nobody = stage.columns.user.offsets[row] == stage.columns.user.offsets[row + 1]
    if stage.anonymous > 0.9 or nobody:
        return [None] * size
    return [f"rehearsed-{number}" for number in stage.rng.integers(0, 1 << 40, size)]


def _unused(stage: Stage, row: int) -> str:
    """A path that nobody uses, beside one that somebody does."""
    parts = stage.text(row).split("?")[0].split("/")[: int(stage.rng.integers(1, 4))]
    deeper = [stage.word(), *([stage.word()] if stage.rng.random() < 0.4 else [])]
    return "/".join([*parts, *deeper])


def _agent_of(stage: Stage, own: int | None) -> int:
    """The row of one's own agent, else of any."""
    return int(stage.pick(stage.all, 1)[0]) if own is None else own


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
    user, address, own = _somebody(stage)
    status = mixed(stage, size, (200, 404, 403))
    paths = [stage.renumbered(text, int(number)) for number in numbers]
    agent = _agent_of(stage, own)
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
    user, address, own = _account(stage)
    rows = stage.pick(np.unique(stage.pick(stage.all, 60)), size)
    status = mixed(stage, size, (403, 403, 401, 404, 200))
    agent = _agent_of(stage, own)
    return Episode(rows, stage.times(size), user, repeated(address, size), agent, None, status)


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
    user, address, own = _somebody(stage)
    rows = stage.pick(stage.pick(stage.numbered, int(stage.rng.integers(1, 5))), size)
    numbers = stage.rng.integers(1, 10_000_000, size)
    paths = [
        stage.renumbered(stage.text(int(row)), int(number))
        for row, number in zip(rows, numbers, strict=True)
    ]
    agent = _agent_of(stage, own)
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


def _somebody(stage: Stage) -> _Who:
    """An established user or a stranger."""
    return _account(stage) if stage.rng.random() < 0.5 else (*stage.stranger(), None)


def _account(stage: Stage) -> _Who:
    """An established user: at its own address with its own agent, or its account elsewhere."""
    user, own = stage.account()
    if stage.rng.random() < 0.5:
        return user, stage.new_addresses(1), None
    row = int(stage.pick(own, 1)[0])
    return user, stage.columns.address[row : row + 1], row


def insider(stage: Stage) -> Episode:
    """A known user at an hour that it never keeps, wherever others go."""
    size = stage.length(10, 200)
    user, own = stage.account()
    times = stage.times(size, slowest=60.0)
    times += _to_odd_hours(stage, own, float(times[0]), float(times[-1]))
    rows = stage.pick(stage.all, size)
    address = repeated(stage.columns.address[own[:1]], size)
    return Episode(rows, times, user, address, int(own[0]))


def _to_odd_hours(stage: Stage, own: NDArray[np.int64], first: float, last: float) -> float:
    """Seconds by which an episode from `first` to `last` has to be moved so that it begins half a
    day, give or take four hours, from the middle of the hours of the `own` logs; within the
    history where that is long enough."""
    angles = stage.columns.time[own] / 86_400.0 * 2.0 * np.pi
    usual = float(np.angle(np.exp(1j * angles).sum())) / (2.0 * np.pi) * 86_400.0
    shift = float(stage.rng.integers(8, 16)) * 3_600.0
    later = (usual + shift - first) % 86_400.0
    return later if last + later <= stage.end else later - 86_400.0
