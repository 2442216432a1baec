"""Generic abuses, each played by one attacker as an episode of logs on the own stage."""

import numpy as np
from numpy.typing import NDArray

from api_anomaly.logs.columns import METHODS
from api_anomaly.model.synthetic.sampler import Episode, TrafficSampler, mixed, repeated

_POST = METHODS.index("POST")
#: A user, an address (1, 2), and the row whose agent is its own, if it has one.
_Who = tuple[str | None, NDArray[np.uint64], int | None]


def credential_cracking(sampler: TrafficSampler) -> Episode:
    """One address tries the same write again and again: passwords, coupons, one-time codes."""
    size = sampler.length()
    row = _door(sampler)
    user, address = sampler.stranger()
    status = _outcomes(sampler, row, size, (401, 403, 200, 400, 429))
    rows, times = np.full(size, row), sampler.times(size)
    agent = int(sampler.pick(sampler.all, 1)[0])
    return Episode(rows, times, user, repeated(address, size), agent, status=status, method=_POST)


def credential_stuffing(sampler: TrafficSampler) -> Episode:
    """Few addresses try the same write for many users."""
    size = sampler.length(10)
    row = _door(sampler)
    pool = sampler.new_addresses(int(sampler.rng.integers(1, 12)))
    names = _tried(sampler, row, size)
    status = _outcomes(sampler, row, size, (401, 403, 200, 404))
    address = pool[sampler.rng.integers(0, len(pool), size)]
    agent = int(sampler.pick(sampler.all, 1)[0])
    return Episode(
        np.full(size, row), sampler.times(size), None, address, agent, None, status, _POST, names
    )


def distributed_stuffing(sampler: TrafficSampler) -> Episode:
    """The same write from so many addresses that each tries once or a few times."""
    size = sampler.length(10, 150)
    row = _door(sampler)
    pool = sampler.new_addresses(max(2, int(size / sampler.rng.uniform(1.0, 3.0))))
    address = pool[sampler.rng.integers(0, len(pool), size)]
    names = _tried(sampler, row, size)
    status = _outcomes(sampler, row, size, (401, 403, 200, 404, 400))
    times = sampler.times(size, fastest=1.0)
    agent = -1 if sampler.rng.random() < 0.5 else int(sampler.pick(sampler.all, 1)[0])
    return Episode(np.full(size, row), times, None, address, agent, None, status, _POST, names)


def lone_probe(sampler: TrafficSampler) -> Episode:
    """A stranger that asks for one to five odd things and is gone."""
    size = int(sampler.rng.integers(1, 6))
    user, address = sampler.stranger()
    rows = sampler.pick(sampler.all, size)
    paths = [_unused(sampler, int(row)) for row in rows]
    if len(sampler.rare) and sampler.rng.random() < 0.5:
        rows = sampler.pick(sampler.rare, size)
        paths = [sampler.text(int(row)) for row in rows]
    status = mixed(sampler, size, (404, 403, 301, 200, 400))
    agent = _some_agent(sampler)
    method = _POST if sampler.rng.random() < 0.2 else 0
    return Episode(
        rows, sampler.times(size), user, repeated(address, size), agent, paths, status, method
    )


def fuzzing(sampler: TrafficSampler) -> Episode:
    """One actor tries what an endpoint makes of odd parameters."""
    size = sampler.length(4, 150)
    rows = sampler.pick(sampler.pick(sampler.all, int(sampler.rng.integers(1, 8))), size)
    paths = []
    for row in rows:
        path = sampler.text(int(row)).split("?")[0]
        odd = "".join(sampler.rng.choice(list("%{|}\\^`"), int(sampler.rng.integers(1, 30))))
        paths.append(f"{path}?{sampler.word()}={odd}{sampler.word()}")
    status = mixed(sampler, size, (200, 400, 403, 404, 500))
    user, address, own = _somebody(sampler)
    return Episode(
        rows,
        sampler.times(size),
        user,
        repeated(address, size),
        _some_agent(sampler) if own is None else own,
        paths,
        status,
    )


def account_takeover(sampler: TrafficSampler) -> Episode:
    """A known user's account from a new address: some refusals, then in, then changes."""
    size, tries = sampler.length(6, 120), int(sampler.rng.integers(0, 8))
    user, _ = sampler.account()
    rows = sampler.pick(sampler.writes, size)
    rows[:tries] = rows[0]
    reads = sampler.rng.random(size) < sampler.rng.uniform(0.2, 0.8)
    reads[:tries] = False
    rows[reads] = sampler.pick(sampler.all, int(reads.sum()))
    status = sampler.columns.status[rows].copy()
    status[:tries] = 401
    agent = int(sampler.pick(sampler.all, 1)[0])
    address = repeated(sampler.new_addresses(1), size)
    return Episode(rows, sampler.times(size), user, address, agent, None, status)


def _door(sampler: TrafficSampler) -> int:
    """The row of a write to try again and again: more often than not one that was refused, because
    it is where a secret is asked for that guesses are made."""
    refused = sampler.refused if sampler.rng.random() < 0.3 else sampler.writes
    return int(sampler.pick(refused if len(refused) else sampler.writes, 1)[0])


def _outcomes(
    sampler: TrafficSampler, row: int, size: int, choices: tuple[int, ...]
) -> NDArray[np.int16]:
    """What the tries come to: what that row came to, but for a few that get in, or any mix."""
    if sampler.rng.random() < 0.7:
        return mixed(sampler, size, choices)
    status = np.full(size, sampler.columns.status[row], np.int16)
    status[sampler.rng.random(size) < sampler.rng.uniform(0.0, 0.3)] = 200
    return status


def _tried(sampler: TrafficSampler, row: int, size: int) -> list[str | None]:
    """Names for as many tries: as the team's own logs of that write have one, or none."""
    nobody = sampler.columns.user.offsets[row] == sampler.columns.user.offsets[row + 1]
    if sampler.anonymous > 0.9 or nobody:
        return [None] * size
    return [f"rehearsed-{number}" for number in sampler.rng.integers(0, 1 << 40, size)]


def _unused(sampler: TrafficSampler, row: int) -> str:
    """A path that nobody uses, beside one that somebody does."""
    parts = sampler.text(row).split("?")[0].split("/")[: int(sampler.rng.integers(1, 4))]
    deeper = [sampler.word(), *([sampler.word()] if sampler.rng.random() < 0.4 else [])]
    return "/".join([*parts, *deeper])


def _agent_of(sampler: TrafficSampler, own: int | None) -> int:
    """The row of one's own agent, else of any."""
    return int(sampler.pick(sampler.all, 1)[0]) if own is None else own


def _some_agent(sampler: TrafficSampler) -> int:
    """The row of one agent, or -1: another with each log."""
    return -1 if sampler.rng.random() < 0.2 else int(sampler.pick(sampler.all, 1)[0])


def enumeration(sampler: TrafficSampler) -> Episode:
    """One actor walks through the numbers of one endpoint, in steps or at random."""
    size = sampler.length(8)
    row = int(sampler.pick(sampler.numbered, 1)[0])
    start, text = (
        1 if sampler.rng.random() < 0.5 else int(sampler.rng.integers(1, 100_000))
    ), sampler.text(row)
    numbers = (
        start + np.arange(size)
        if sampler.rng.random() < 0.5
        else sampler.rng.integers(1, 1_000_000, size)
    )
    user, address, own = _somebody(sampler)
    status = mixed(sampler, size, (200, 404, 403))
    paths = [sampler.renumbered(text, int(number)) for number in numbers]
    agent = _agent_of(sampler, own)
    return Episode(
        np.full(size, row), sampler.times(size), user, repeated(address, size), agent, paths, status
    )


def path_scanning(sampler: TrafficSampler) -> Episode:
    """One address asks for paths that nobody uses."""
    size = sampler.length(5)
    user, address = sampler.stranger()
    paths = [_unused(sampler, int(row)) for row in sampler.pick(sampler.all, size)]
    status = mixed(sampler, size, (404, 403, 301, 200, 400))
    agent = int(sampler.pick(sampler.all, 1)[0])
    method = _POST if sampler.rng.random() < 0.2 else 0
    rows = sampler.pick(sampler.all, size)
    return Episode(
        rows, sampler.times(size), user, repeated(address, size), agent, paths, status, method
    )


def privilege_probing(sampler: TrafficSampler) -> Episode:
    """A user tries doors that are not its own."""
    size = sampler.length(5, 150)
    user, address, own = _account(sampler)
    rows = sampler.pick(np.unique(sampler.pick(sampler.all, 60)), size)
    status = mixed(sampler, size, (403, 403, 401, 404, 200))
    agent = _agent_of(sampler, own)
    return Episode(rows, sampler.times(size), user, repeated(address, size), agent, None, status)


def token_theft(sampler: TrafficSampler) -> Episode:
    """A known user's token at work elsewhere: a new address, another agent and habits, writes."""
    size = sampler.length(6, 200)
    user, _ = sampler.account()
    rows = sampler.pick(sampler.all, size)
    changes = sampler.rng.random(size) < sampler.rng.uniform(0.0, 0.5)
    rows[changes] = sampler.pick(sampler.writes, int(changes.sum()))
    agent = int(sampler.pick(sampler.all, 1)[0])
    return Episode(rows, sampler.times(size), user, repeated(sampler.new_addresses(1), size), agent)


def key_sharing(sampler: TrafficSampler) -> Episode:
    """One user's key in many hands at once."""
    size = sampler.length(20, 300)
    user, _ = sampler.account()
    pool = sampler.new_addresses(int(sampler.rng.integers(3, 25)))
    address = pool[sampler.rng.integers(0, len(pool), size)]
    return Episode(
        sampler.pick(sampler.all, size), sampler.times(size, slowest=120.0), user, address, -1
    )


def scraping(sampler: TrafficSampler) -> Episode:
    """One actor fetches object after object at a human's or a machine's pace."""
    size = sampler.length(30, 600)
    user, address, own = _somebody(sampler)
    rows = sampler.pick(sampler.pick(sampler.numbered, int(sampler.rng.integers(1, 5))), size)
    numbers = sampler.rng.integers(1, 10_000_000, size)
    paths = [
        sampler.renumbered(sampler.text(int(row)), int(number))
        for row, number in zip(rows, numbers, strict=True)
    ]
    agent = _agent_of(sampler, own)
    times = sampler.times(size, fastest=1.0, slowest=120.0)
    return Episode(rows, times, user, repeated(address, size), agent, paths)


def bulk_exfiltration(sampler: TrafficSampler) -> Episode:
    """A known user takes out far more than it used to."""
    size = sampler.length(10, 300)
    user, own = sampler.account()
    row = int(sampler.pick(own, 1)[0])
    factor = float(np.exp(sampler.rng.uniform(np.log(5.0), np.log(200.0))))
    address = repeated(sampler.columns.address[row : row + 1], size)
    return Episode(
        np.full(size, row),
        sampler.times(size),
        user,
        address,
        row,
        size_factor=factor,
        time_factor=factor**0.5,
    )


def expensive_queries(sampler: TrafficSampler) -> Episode:
    """Queries made to be slow."""
    size = sampler.length(5, 150)
    user, own = sampler.account()
    row = int(sampler.pick(own, 1)[0])
    path = sampler.text(row)
    joint = "&" if "?" in path else "?"
    paths = [f"{path}{joint}{sampler.word()}={'%25' * 9}{sampler.word() * 4}"] * size
    factor = float(np.exp(sampler.rng.uniform(np.log(5.0), np.log(100.0))))
    address = repeated(sampler.columns.address[row : row + 1], size)
    return Episode(
        np.full(size, row), sampler.times(size), user, address, row, paths, time_factor=factor
    )


def _somebody(sampler: TrafficSampler) -> _Who:
    """An established user or a stranger."""
    return _account(sampler) if sampler.rng.random() < 0.5 else (*sampler.stranger(), None)


def _account(sampler: TrafficSampler) -> _Who:
    """An established user: at its own address with its own agent, or its account elsewhere."""
    user, own = sampler.account()
    if sampler.rng.random() < 0.5:
        return user, sampler.new_addresses(1), None
    row = int(sampler.pick(own, 1)[0])
    return user, sampler.columns.address[row : row + 1], row


def off_hours_insider(sampler: TrafficSampler) -> Episode:
    """A known user at an hour that it never keeps, wherever others go."""
    size = sampler.length(10, 200)
    user, own = sampler.account()
    times = sampler.times(size, slowest=60.0)
    times += _to_odd_hours(sampler, own, float(times[0]), float(times[-1]))
    rows = sampler.pick(sampler.all, size)
    address = repeated(sampler.columns.address[own[:1]], size)
    return Episode(rows, times, user, address, int(own[0]))


def _to_odd_hours(
    sampler: TrafficSampler, own: NDArray[np.int64], first: float, last: float
) -> float:
    """Seconds by which an episode from `first` to `last` has to be moved so that it begins half a
    day, give or take four hours, from the middle of the hours of the `own` logs; within the
    history where that is long enough."""
    angles = sampler.columns.time[own] / 86_400.0 * 2.0 * np.pi
    usual = float(np.angle(np.exp(1j * angles).sum())) / (2.0 * np.pi) * 86_400.0
    shift = float(sampler.rng.integers(8, 16)) * 3_600.0
    later = (usual + shift - first) % 86_400.0
    return later if last + later <= sampler.end else later - 86_400.0
