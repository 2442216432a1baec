"""Generation of the attackers' logs and of their features."""

from functools import partial
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from api_anomaly.features.extract import actor_keys, extract
from api_anomaly.features.memory import Memory
from api_anomaly.logs.columns import Columns, Texts, joined
from api_anomaly.model.classifier import SyntheticRows
from api_anomaly.model.executor import Executor, serial
from api_anomaly.model.synthetic.attacks import ATTACKS, Attack
from api_anomaly.model.synthetic.sampler import Episode, TrafficSampler

#: Own logs, the latest ones, that attacks are generated from.
SAMPLED_LOGS = 100_000
_SETS = 3  # each with other attackers; their mean is steadier than one
_MIN_OWN_LOGS, _MIN_ATTACK_LOGS, _MAX_ATTACK_LOGS = 100, 2_000, 12_000
_ORDINARY_WRITES = 0.01  # share of own logs that are writes, above which writes are ordinary


class SyntheticAttacks(NamedTuple):
    """The m logs of attackers in time order; each one's kind (index into ATTACKS) and attacker.

    Attackers send no ordinary requests in between: with these, the classifier flagged ordinary
    traffic on every data set.
    """

    columns: Columns
    family: NDArray[np.int64]
    attacker: NDArray[np.int64]


def generate_rows(
    history: Columns, seed: int, memory_entities: int, executor: Executor = serial
) -> list[SyntheticRows] | None:
    """Features of attacks on n own logs in time order: three sets with other attackers each.

    None if the history has too few logs, or neither accounts nor ordinary writes. About 2 seconds
    for 100,000 logs; only the latest 100,000 are read.
    """
    if len(history) < _MIN_OWN_LOGS:
        return None
    latest = history.between(max(0, len(history) - SAMPLED_LOGS), len(history))
    size = min(_MAX_ATTACK_LOGS, max(_MIN_ATTACK_LOGS, len(latest) // 10))
    actors = actor_keys(latest)
    sets = executor(
        [partial(_rows, latest, actors, size, seed + i, memory_entities) for i in range(_SETS)]
    )
    return None if None in sets else sets


def _rows(
    latest: Columns, actors: NDArray[np.uint64], size: int, seed: int, memory_entities: int
) -> SyntheticRows | None:
    attacks = generate(latest, actors, size, seed)
    if attacks is None:
        return None
    both, attack_rows = merge(latest, attacks)
    rows = extract(Memory.empty(memory_entities), both).rows[attack_rows]
    return SyntheticRows(rows, attacks.family, attacks.attacker)


def generate(
    columns: Columns, users: NDArray[np.uint64], size: int, seed: int
) -> SyntheticAttacks | None:
    """About `size` logs of attackers, from n own logs in time order, whose users are `users` (n,).

    None if no attack is possible: no accounts and hardly any writes. Deterministic by `seed`.
    """
    sampler = TrafficSampler(columns, users, np.random.default_rng(seed))
    writes = len(sampler.writes) > _ORDINARY_WRITES * len(columns)
    possible = [
        (family, attack)
        for family, attack in enumerate(ATTACKS)
        if (writes or not attack.needs_writes)
        and (len(sampler.accounts) or not attack.needs_accounts)
    ]
    if not possible:
        return None
    episodes: list[Columns] = []
    families: list[int] = []
    for family, attack in possible:
        generated = _generate_family(sampler, attack, max(1, size // len(possible)))
        episodes += generated
        families += [family] * len(generated)
    sizes = [len(episode) for episode in episodes]
    logs, attackers = joined(episodes), np.arange(len(sizes))
    order = logs.in_time_order()
    return SyntheticAttacks(
        logs.take(order), np.repeat(families, sizes)[order], np.repeat(attackers, sizes)[order]
    )


def merge(own: Columns, attacks: SyntheticAttacks) -> tuple[Columns, NDArray[np.int64]]:
    """Own and attackers' logs in time order, and the rows (m,) among them of the attackers'."""
    both = joined([own, attacks.columns])
    order = both.in_time_order()
    return both.take(order), np.flatnonzero(order >= len(own))


def _generate_family(sampler: TrafficSampler, attack: Attack, size: int) -> list[Columns]:
    """Attackers of one kind until they have sent `size` logs."""
    episodes: list[Columns] = []
    while sum(map(len, episodes)) < size:
        episodes.append(_to_columns(sampler.columns, attack.generate(sampler)))
    return episodes


def _to_columns(own: Columns, episode: Episode) -> Columns:
    copied, size = own.take(episode.rows), len(episode.rows)
    same_agent = np.full(size, episode.agent)
    return Columns(
        time=episode.time,
        user=Texts.of(episode.users or [episode.user] * size),
        endpoint=copied.endpoint if episode.endpoint is None else Texts.of(episode.endpoint),
        agent=copied.agent if episode.agent < 0 else own.agent.take(same_agent),
        method=(
            copied.method if episode.method is None else np.full(size, episode.method, np.uint8)
        ),
        status=copied.status if episode.status is None else episode.status,
        response_time=copied.response_time * episode.time_factor,
        request_size=copied.request_size,
        response_size=copied.response_size * episode.size_factor,
        address=episode.address,
    )
