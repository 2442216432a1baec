"""The attack families: one row each. ``campaigns`` carries them out."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Attack:
    """What attackers of a family do.

    meaning    one line for readers
    requests   least and most requests of an attacker
    pace       median seconds between two requests; the gaps are lognormal with sigma ``spread``
    targets    endpoints and weights
    account    none (no user) | member (a customer's own account, or one made for the attack) |
               staff (an employee's own) | key (a machine client's) | roles: stolen from one of them
    networks   kinds of network of their addresses; owners of the account mostly use their own
               address and device
    addresses  least and most addresses; up to five are used in turn, more at random
    agents     kinds of program, one is chosen for each address
    cover      share of requests that are like an ordinary person's of the same role
    rests      share of requests after which they rest, rest: median seconds of that
    items      own (the account's own) | walk (numbers in order) | anywhere
    statuses   status codes and weights on the targets; 0 = the server decides as for other clients
    size_factor  least and most size of a request and its response, relative to the median
    night      only in the attacked person's night, resting by day
    opening    first requests and their status codes
    """

    meaning: str
    requests: tuple[int, int]
    pace: float
    spread: float
    targets: str
    account: str = "none"
    networks: tuple[str, ...] = ("home", "cloud")
    addresses: tuple[int, int] = (1, 1)
    agents: tuple[str, ...] = ("browser", "browser", "script")
    cover: float = 0.2
    rests: float = 0.02
    rest: float = 600.0
    items: str = "own"
    statuses: str = "0 1"
    size_factor: tuple[float, float] = (1.0, 1.0)
    night: bool = False
    opening: str = ""


ATTACKS: dict[str, Attack] = {
    "credential_stuffing": Attack(
        meaning="tries leaked passwords of many people from one address (OAT-008)",
        requests=(80, 180),
        pace=4.0,
        spread=0.8,
        targets="auth.login 1",
        cover=0.05,
        statuses="401 0.96, 200 0.03, 429 0.01",
        agents=("browser", "script"),
    ),
    "distributed_stuffing": Attack(
        meaning="the same from a hundred addresses, few tries from each (OAT-008)",
        requests=(90, 200),
        pace=25.0,
        spread=1.0,
        targets="auth.login 1",
        networks=("home", "home", "carrier", "cloud"),
        addresses=(60, 140),
        agents=("browser",),
        cover=0.08,
        statuses="401 0.97, 200 0.03",
    ),
    "enumeration_fast": Attack(
        meaning="goes through other people's orders and profiles by number (BOLA)",
        requests=(100, 220),
        pace=0.7,
        spread=0.6,
        targets="orders.get 5, users.get 3, orders.invoice 1, files.get 0.5",
        account="member",
        addresses=(1, 2),
        cover=0.08,
        items="walk",
        statuses="0 0.64, 404 0.29, 403 0.04, 429 0.03",
    ),
    "enumeration_slow": Attack(
        meaning="the same, a few an hour and out of order",
        requests=(60, 130),
        pace=110.0,
        spread=1.0,
        targets="orders.get 5, users.get 3, users.addresses 1, tickets.get 1",
        account="member",
        addresses=(1, 3),
        agents=("browser",),
        cover=0.45,
        rest=3600.0,
        items="anywhere",
        statuses="0 0.80, 404 0.17, 403 0.03",
    ),
    "token_theft": Attack(
        meaning="uses another person's session from another network, and explores",
        requests=(40, 110),
        pace=9.0,
        spread=1.1,
        targets="users.orders 2, orders.list 3, orders.invoice 3, me.keys 1, files.list 1, "
        "files.get 2, me.get 1, auth.sessions 0.4, exports.create 0.5",
        account="customer power support",
        addresses=(1, 2),
        cover=0.3,
        statuses="0 0.95, 401 0.03, 403 0.02",
    ),
    "bulk_exfiltration": Attack(
        meaning="downloads data, a little every few minutes for days",
        requests=(50, 110),
        pace=700.0,
        spread=0.8,
        targets="exports.download 2, files.get 4, reports.get 2, orders.invoice 2, orders.list 2",
        account="power analyst",
        addresses=(1, 2),
        cover=0.4,
        rest=5400.0,
        size_factor=(1.0, 2.0),
        items="anywhere",
    ),
    "scraping": Attack(
        meaning="copies the catalogue at the pace of a person, without a pause (OAT-011)",
        requests=(110, 240),
        pace=6.0,
        spread=0.6,
        targets="products.get 6, products.reviews 2, products.list 2, media.thumb 1",
        networks=("home", "home", "cloud"),
        addresses=(1, 3),
        agents=("browser",),
        cover=0.15,
        rest=900.0,
        items="walk",
    ),
    "privilege_probing": Attack(
        meaning="a customer tries what only staff may do",
        requests=(35, 90),
        pace=14.0,
        spread=1.0,
        targets="admin.users 2, admin.user 3, admin.role 1, admin.audit 1, admin.settings 2, "
        "admin.flags 2, orders.refund 1, hooks.list 1, reports.run 1",
        account="member",
        cover=0.5,
        items="anywhere",
        statuses="403 0.45, 404 0.28, 401 0.05, 0 0.22",
    ),
    "path_scanning": Attack(
        meaning="looks for files, consoles and forgotten endpoints",
        requests=(60, 150),
        pace=1.2,
        spread=0.8,
        targets="unknown 8, openapi 0.4, docs 0.4, graphql 0.6, admin.settings 0.6, health 0.4",
        networks=("cloud", "home"),
        addresses=(1, 3),
        agents=("browser", "script", "browser", "scanner"),
        cover=0.12,
        statuses="0 0.86, 401 0.06, 403 0.04, 400 0.04",
    ),
    "expensive_queries": Attack(
        meaning="requests what costs the server most (OAT-015)",
        requests=(40, 110),
        pace=18.0,
        spread=0.7,
        targets="search.advanced 4, reports.sales 3, reports.run 1, graphql 3, orders.list 1",
        account="member",
        cover=0.25,
        size_factor=(2.0, 7.0),
        items="anywhere",
        statuses="0 0.94, 429 0.03, 503 0.03",
    ),
    "off_hours_insider": Attack(
        meaning="an employee looks at people's data at night, with every right to see it",
        requests=(50, 120),
        pace=14.0,
        spread=0.9,
        targets="users.get 4, users.orders 3, users.addresses 2, orders.get 2, admin.user 1, "
        "orders.invoice 2, exports.download 0.3",
        account="staff",
        cover=0.25,
        items="anywhere",
        night=True,
    ),
    "key_sharing": Attack(
        meaning="uses a stolen key of a machine client",
        requests=(60, 150),
        pace=6.0,
        spread=1.0,
        targets="orders.get 4, orders.list 3, products.get 2, users.get 2, orders.since 2, "
        "me.get 1",
        account="key",
        networks=("cloud", "home"),
        addresses=(1, 2),
        agents=("script", "integration", "browser"),
        cover=0.2,
        items="anywhere",
        statuses="0 0.92, 404 0.05, 403 0.03",
    ),
    "account_takeover": Attack(
        meaning="logs in as another person, locks it out and buys",
        requests=(18, 45),
        pace=11.0,
        spread=0.8,
        targets="me.get 2, me.email 1.5, me.password 1.5, me.payment 1.5, users.addresses 1, "
        "users.update 1, orders.create 2, cart.add 1, auth.sessions 1, orders.list 1",
        account="customer power",
        agents=("browser",),
        cover=0.25,
        opening="auth.login 401, auth.login 401, auth.login 200, auth.mfa 200, me.get 200",
    ),
}
