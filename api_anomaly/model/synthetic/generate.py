"""Rehearsed attacks: what abuse would look like in a team's own traffic, on its own endpoints.

An unsupervised forest knows what is rare, not what is hostile: a search engine is rarer than a
patient password guesser. So training rehearses generic abuses with the team's own endpoints,
agents, sizes and users, at random paces and lengths, and computes their behaviours by the same
pass. They are the pseudo-labels of the second stage (see `classifier`); no human label and no
signature of any attack tool is used. The idea is outlier exposure (Hendrycks et al., ICLR 2019)
with outliers made from the data at hand.

Each family is one row of `FAMILIES`: a function of `attacks` that plays one attacker.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.model.synthetic import attacks
from api_anomaly.logs.columns import Columns, Texts, joined
from api_anomaly.model.synthetic.sampler import Episode, TrafficSampler

AttackGenerator = Callable[[TrafficSampler], Episode]
_ORDINARY_WRITES = 0.01  # of all logs; where writes are rarer the forest sees any of them

#: Played where users have accounts. On a public site without any, crawlers walk, miss and fetch as
#: a matter of course: rehearsing that there taught the ranker to fear them.
_WITH_ACCOUNTS: tuple[AttackGenerator, ...] = (
    attacks.enumeration,
    attacks.path_scanning,
    attacks.privilege_probing,
    attacks.token_theft,
    attacks.key_sharing,
    attacks.scraping,
    attacks.bulk_exfiltration,
    attacks.expensive_queries,
    attacks.off_hours_insider,
    attacks.fuzzing,
    attacks.account_takeover,
    attacks.lone_probe,
    attacks.distributed_stuffing,
)
#: Played where there is something to guess at: writes are an ordinary part of the traffic.
_WITH_WRITES: tuple[AttackGenerator, ...] = (
    attacks.credential_cracking,
    attacks.credential_stuffing,
)
#: Every family of abuse.
FAMILIES: tuple[AttackGenerator, ...] = (*_WITH_WRITES, *_WITH_ACCOUNTS)


class SyntheticAttacks(NamedTuple):
    """The attackers' m logs in time order; each one's family (place in FAMILIES) and attacker.

    Attackers do nothing ordinary in between: rehearsing cover taught the ranker to fear the
    ordinary, on every data set that was tried.
    """

    columns: Columns
    family: NDArray[np.int64]
    attacker: NDArray[np.int64]


def generate(
    columns: Columns, users: NDArray[np.uint64], logs: int, seed: int
) -> SyntheticAttacks | None:
    """About `logs` logs of attackers among n `columns` in time order, whose users are `users` (n,).

    None where no family has a stage: a site without accounts that is only read.
    """
    sampler = TrafficSampler(columns, users, np.random.default_rng(seed))
    with_writes = _WITH_WRITES if len(sampler.writes) > _ORDINARY_WRITES * len(columns) else ()
    generators = (*with_writes, *(_WITH_ACCOUNTS if len(sampler.accounts) else ()))
    if not generators:
        return None
    episodes: list[Columns] = []
    families: list[int] = []
    for generator in generators:
        for episode in _generated(sampler, generator, max(1, logs // len(generators))):
            episodes.append(episode)
            families.append(FAMILIES.index(generator))
    sizes = [len(episode) for episode in episodes]
    whole, attackers = joined(episodes), np.arange(len(sizes))
    order = whole.in_time_order()
    return SyntheticAttacks(
        whole.take(order), np.repeat(families, sizes)[order], np.repeat(attackers, sizes)[order]
    )


def _generated(sampler: TrafficSampler, generator: AttackGenerator, logs: int) -> list[Columns]:
    """Attackers of one family until they have sent `logs` logs."""
    episodes: list[Columns] = []
    while sum(map(len, episodes)) < logs:
        episodes.append(_logs(sampler, generator(sampler)))
    return episodes


def _logs(sampler: TrafficSampler, episode: Episode) -> Columns:
    """An episode as columns: the borrowed rows with what differs."""
    base, size = sampler.columns.take(episode.rows), len(episode.rows)
    users = episode.users or [episode.user] * size
    agent = (
        base.agent
        if episode.agent < 0
        else sampler.columns.agent.take(np.full(size, episode.agent))
    )
    method = base.method if episode.method is None else np.full(size, episode.method, np.uint8)
    return Columns(
        time=episode.time,
        user=Texts.of(users),
        endpoint=base.endpoint if episode.endpoint is None else Texts.of(episode.endpoint),
        agent=agent,
        method=method,
        status=base.status if episode.status is None else episode.status,
        response_time=base.response_time * episode.time_factor,
        request_size=base.request_size,
        response_size=base.response_size * episode.size_factor,
        address=episode.address,
    )


def merged(own: Columns, synthetic_rows: SyntheticAttacks) -> tuple[Columns, NDArray[np.int64]]:
    """Both in time order, and the rows (m,) of the merged logs that are the attackers'."""
    both = joined([own, synthetic_rows.columns])
    order = both.in_time_order()
    return both.take(order), np.flatnonzero(order >= len(own))
