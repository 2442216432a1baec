"""The table of attacks. Each is a function that generates the logs of one attacker.

A new attack is a function in one of this package's modules, with its OWASP id in a comment
(OAT: Automated Threats to Web Applications 1.2; API: API Security Top 10, 2023), and a row here.
"""

from collections.abc import Callable
from typing import NamedTuple

from api_anomaly.model.synthetic.attacks import credentials, extraction, insider, scanning, tokens
from api_anomaly.model.synthetic.sampler import Episode, TrafficSampler

AttackGenerator = Callable[[TrafficSampler], Episode]


class Attack(NamedTuple):
    """A kind of attack, and what the team's traffic needs to have so that it is generated."""

    name: str
    generate: AttackGenerator
    needs_accounts: bool = False
    needs_writes: bool = False


#: Most need accounts: on a public site without any, crawlers enumerate, miss and fetch as a matter
#: of course, and these attacks taught the classifier to flag them. Attempts at a credential need
#: writes to be an ordinary part of the traffic; where they are rarer, the forest finds each of
# them.
ATTACKS: tuple[Attack, ...] = (
    Attack("credential_cracking", credentials.credential_cracking, needs_writes=True),
    Attack("credential_stuffing", credentials.credential_stuffing, needs_writes=True),
    Attack("enumeration", scanning.enumeration, needs_accounts=True),
    Attack("path_scanning", scanning.path_scanning, needs_accounts=True),
    Attack("privilege_probing", scanning.privilege_probing, needs_accounts=True),
    Attack("token_theft", tokens.token_theft, needs_accounts=True),
    Attack("key_sharing", tokens.key_sharing, needs_accounts=True),
    Attack("scraping", extraction.scraping, needs_accounts=True),
    Attack("bulk_exfiltration", extraction.bulk_exfiltration, needs_accounts=True),
    Attack("expensive_queries", extraction.expensive_queries, needs_accounts=True),
    Attack("off_hours_insider", insider.off_hours_insider, needs_accounts=True),
    Attack("fuzzing", scanning.fuzzing, needs_accounts=True),
    Attack("account_takeover", credentials.account_takeover, needs_accounts=True),
    Attack("lone_probe", scanning.lone_probe, needs_accounts=True),
    Attack("distributed_stuffing", credentials.distributed_stuffing, needs_accounts=True),
)
