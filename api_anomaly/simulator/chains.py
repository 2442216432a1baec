"""How people of each role move through the API: one Markov chain a role.

A line reads ``from > to weight, to weight``; the weights of a line are shares of their sum. A
state without a line goes on as from ``start``.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from api_anomaly.simulator.catalogue import ENDPOINTS, INDEX

CHAINS: dict[str, str] = {
    "customer": """
        start > me.get 5, home 2, products.list 3, orders.list 2, cart.get 1, search.products 2
        home > me.get 4, products.list 4, search.suggest 3
        me.get > me.notify 5, cart.get 3, products.list 3, users.get 2, auth.sessions 0.4
        me.notify > orders.get 3, products.list 3, orders.list 2, tickets.list 1
        users.get > users.addresses 3, users.orders 3, users.update 1, me.preferences 1.5
        products.list > media.thumb 5, products.get 6, products.list 3, search.products 1
        media.thumb > media.thumb 5, products.get 4, products.list 1
        products.get > products.reviews 4, media.get 3, media.thumb 3, cart.add 2, products.list 2
        products.reviews > cart.add 2, products.get 3, products.review 0.4, products.list 2
        search.suggest > search.suggest 4, search.products 5
        search.products > products.get 6, media.thumb 3, search.products 2, search.suggest 1
        cart.add > cart.get 6, products.list 2, products.get 2
        cart.get > orders.create 2, products.get 2, cart.remove 1, users.addresses 2
        orders.create > orders.get 8, me.payment 0.5
        orders.list > orders.get 7, orders.list 2, orders.invoice 1
        orders.get > orders.invoice 2, orders.list 3, orders.cancel 0.3, tickets.create 0.4
        tickets.list > tickets.get 6, tickets.create 1
        tickets.get > tickets.reply 2, tickets.list 2
        users.update > users.get 4, me.password 0.4, me.email 0.3, auth.sessions 0.3
        users.addresses > orders.create 3, users.get 1
        me.preferences > me.get 4, auth.logout 1, me.password 0.6, me.email 0.5
    """,
    "power": """
        start > me.get 4, graphql 1, orders.list 4, files.list 2, reports.list 2
        graphql > graphql 2, orders.list 4, reports.get 2, products.list 2
        me.get > me.notify 4, graphql 1, files.list 3, hooks.list 1
        me.notify > orders.get 3, files.list 2, graphql 2
        orders.list > orders.get 6, orders.list 4, orders.invoice 2, exports.create 0.4
        orders.get > orders.invoice 3, orders.list 4, users.get 1
        files.list > files.get 5, files.upload 3, files.list 2
        files.get > files.list 4, files.get 2
        files.upload > files.list 4, files.upload 2, files.get 2
        reports.list > reports.get 5, reports.sales 2, reports.run 1
        reports.get > reports.list 3, exports.create 1, reports.get 1
        reports.run > reports.get 5
        reports.sales > reports.sales 2, reports.list 2, exports.create 1
        exports.create > exports.status 8
        exports.status > exports.status 3, exports.download 5
        hooks.list > hooks.create 1, me.keys 2, graphql 2
        search.advanced > search.advanced 2, orders.get 5, products.get 2
        products.list > products.get 4, search.advanced 2, media.thumb 3
        products.get > products.list 3, graphql 1, media.get 2
        me.keys > me.key_create 0.5, hooks.list 2, me.get 3
    """,
    "support": """
        start > tickets.list 8, me.get 2, me.notify 2
        me.get > tickets.list 5, me.notify 3
        me.notify > tickets.get 5, tickets.list 3
        tickets.list > tickets.get 8, tickets.list 2, search.advanced 1
        tickets.get > users.get 5, users.orders 3, tickets.reply 3, orders.get 3, admin.user 0.4
        users.get > users.orders 5, users.addresses 2, users.update 1, tickets.get 2
        users.orders > orders.get 7, tickets.get 2
        orders.get > orders.invoice 1, orders.refund 0.7, tickets.reply 4, orders.cancel 0.4
        orders.refund > orders.get 3, tickets.reply 5
        tickets.reply > tickets.list 6, tickets.get 3
        search.advanced > users.get 4, orders.get 4, tickets.get 2
        users.update > users.get 4, tickets.reply 3
        admin.user > users.get 3, tickets.get 3
    """,
    "analyst": """
        start > reports.list 6, me.get 2, reports.sales 3, graphql 2
        me.get > reports.list 5, me.notify 1
        reports.list > reports.get 6, reports.run 2, reports.sales 3
        reports.get > reports.get 3, reports.list 3, exports.create 2, graphql 1
        reports.sales > reports.sales 5, reports.get 2, exports.create 1.5, search.advanced 1
        reports.run > reports.get 6, exports.create 1
        search.advanced > search.advanced 4, reports.sales 2, orders.list 1
        exports.create > exports.status 9
        exports.status > exports.status 4, exports.download 6
        exports.download > reports.list 4, reports.sales 2, exports.download 1
        graphql > graphql 3, reports.sales 3, reports.list 2
        orders.list > orders.list 4, orders.get 2, reports.sales 2
    """,
    "admin": """
        start > admin.users 4, admin.audit 2, me.get 2, admin.flags 2
        me.get > admin.users 4, me.notify 1, admin.settings 1
        admin.users > admin.user 7, admin.users 4
        admin.user > admin.role 1, users.get 3, users.orders 1, admin.users 4, admin.audit 1
        admin.role > admin.user 5, admin.audit 2
        admin.audit > admin.audit 6, admin.user 2
        admin.settings > admin.flags 3, hooks.list 1, admin.users 1
        admin.flags > admin.settings 2, admin.users 2
        users.get > users.update 1, admin.user 3, auth.sessions 1
        hooks.list > hooks.create 0.5, me.keys 1, admin.settings 1
    """,
    "developer": """
        start > docs 3, graphql 2, health 2, openapi 1, me.get 4, me.keys 1
        docs > openapi 3, graphql 3, me.keys 1, unknown 1
        openapi > graphql 3, docs 2, unknown 1
        graphql > graphql 3, orders.get 4, products.get 4, unknown 0.4
        me.get > graphql 3, orders.list 2, hooks.list 1, admin.flags 0.7
        me.keys > me.key_create 1, hooks.list 2, graphql 2
        hooks.list > hooks.create 1, graphql 2, me.keys 1
        orders.list > orders.get 4, orders.create 1, orders.list 1
        orders.create > orders.get 4, orders.cancel 2
        orders.get > orders.list 3, graphql 2, orders.get 2
        products.get > products.list 2, search.products 2, graphql 1
        search.products > search.advanced 1, search.products 2, products.get 2
        batch > batch 2, graphql 2
        health > me.get 2, batch 1, admin.settings 0.5
        unknown > docs 3, openapi 1, unknown 1
    """,
    "visitor": """
        start > home 6, products.list 4, products.get 5, search.products 2
        home > products.list 6, search.suggest 2, products.get 2
        products.list > media.thumb 6, products.get 5, products.list 3
        media.thumb > media.thumb 6, products.get 3
        products.get > media.thumb 4, products.reviews 3, media.get 2, products.list 2
        products.reviews > products.list 3, products.get 2
        search.suggest > search.suggest 3, search.products 5
        search.products > products.get 5, media.thumb 3, search.products 2
    """,
}

ROLES: tuple[str, ...] = tuple(CHAINS)


class Chain(NamedTuple):
    """A role's chain as arrays over the whole catalogue of E endpoints.

    start  float64 (E,)    cumulative shares of the first endpoint
    after  float64 (E, E)  cumulative shares of the next endpoint, one row each
    """

    start: npt.NDArray[np.float64]
    after: npt.NDArray[np.float64]


def chain_of(role: str) -> Chain:
    """The chain of a role. Raises KeyError for an unknown role or endpoint."""
    lines = [line.split(" > ") for line in CHAINS[role].strip().splitlines()]
    shares = {source.strip(): _shares(targets) for source, targets in lines}
    start = shares.pop("start")
    after = np.tile(start, (len(ENDPOINTS), 1))
    for source, row in shares.items():
        after[INDEX[source]] = row
    return Chain(np.cumsum(start), np.cumsum(after, axis=1))


def _shares(targets: str) -> npt.NDArray[np.float64]:
    """float64 (E,): the shares that a line's right side gives to each endpoint."""
    row = np.zeros(len(ENDPOINTS))
    for target in targets.split(","):
        name, weight = target.split()
        row[INDEX[name]] += float(weight)
    shares: npt.NDArray[np.float64] = row / row.sum()
    return shares


def walk(
    chain: Chain,
    lengths: npt.NDArray[np.int64],
    favourites: npt.NDArray[np.int64],
    loyalty: float,
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """int64 (visits, longest): the endpoints of all visits at once, valid up to each length.

    lengths     int64 (visits,)     steps of each visit
    favourites  int64 (visits, k)   endpoints that this person likes to return to
    loyalty     share of steps that go to a favourite instead of along the chain
    """
    visits, longest = len(lengths), int(lengths.max(initial=0))
    steps = np.zeros((visits, longest), dtype=np.int64)
    if not visits:
        return steps
    last = len(ENDPOINTS) - 1
    draws = rng.random((longest, visits))
    loyal = rng.random((longest, visits)) < loyalty
    choice = rng.integers(0, favourites.shape[1], (longest, visits))
    going = np.arange(visits)
    for step in range(longest):
        going = going[lengths[going] > step]
        rows = chain.after[steps[going, step - 1]] if step else chain.start[None, :]
        drawn = np.minimum((rows < draws[step, going, None]).sum(axis=1), last)
        liked = favourites[going, choice[step, going]]
        steps[going, step] = np.where(loyal[step, going] & (step > 0), liked, drawn)
    return steps
