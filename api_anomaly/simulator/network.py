"""Addresses of homes, offices, mobile carriers, clouds and hotels.

All lie in blocks that are not routed (240.0.0.0/4 reserved, 100.64.0.0/10 carrier-grade NAT,
2001:db8::/32 documentation), so a simulated attacker never has a real host's address.
Attackers use the same networks as benign actors.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Network(NamedTuple):
    """A kind of network: its /16 blocks and its number of addresses.

    pool   0: a new address on each request for one; otherwise that many shared addresses a block
    """

    blocks: tuple[str, ...]
    pool: int


NETWORKS: dict[str, Network] = {
    "home": Network(tuple(f"24{a}.{b}" for a in range(1, 5) for b in (7, 96, 177)), 0),
    "home6": Network(tuple(f"2001:db8:{a:x}" for a in (0x10, 0x2A, 0x31, 0x47, 0x5C, 0x63)), 0),
    "carrier": Network(("100.64", "100.71", "100.88", "100.103"), 6),
    "office": Network(("245.11", "245.60", "246.8"), 0),
    "cloud": Network(("247.20", "247.21", "248.3", "248.90"), 0),
    "hotel": Network(("249.14", "249.77", "250.5", "250.66", "251.40"), 40),
}


class AddressBook:
    """Draws addresses and stores them: an address is referred to by its index in ``texts``."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._indices: dict[str, int] = {}

    def draw(self, kind: str, count: int, rng: np.random.Generator) -> npt.NDArray[np.int64]:
        """int64 (count,): indices of addresses in a kind of network, new or from its pool."""
        network = NETWORKS[kind]
        block = rng.integers(0, len(network.blocks), count)
        host = rng.integers(0, network.pool or 250 * 250, count)
        texts = [
            _text(network.blocks[b], kind, h, rng)
            for b, h in zip(block.tolist(), host.tolist(), strict=True)
        ]
        return np.array([self._index(text) for text in texts], dtype=np.int64)

    def private_suffixes(
        self, count: int, prefix: str, rng: np.random.Generator
    ) -> npt.NDArray[np.int64]:
        """int64 (count,): indices of addresses in an IPv6 /64, as privacy extensions make."""
        words = rng.integers(0x1000, 0xFFFF, (count, 4)).tolist()
        texts = [f"{prefix}:{a:x}:{b:x}:{c:x}:{d:x}" for a, b, c, d in words]
        return np.array([self._index(text) for text in texts], dtype=np.int64)

    def _index(self, text: str) -> int:
        """The index of an address, which is added if it is new."""
        index = self._indices.setdefault(text, len(self.texts))
        if index == len(self.texts):
            self.texts.append(text)
        return index


def _text(block: str, kind: str, host: int, rng: np.random.Generator) -> str:
    """One address of a block; an IPv6 home gets a /64 of its own and a random suffix."""
    if kind != "home6":
        return f"{block}.{host // 250}.{host % 250 + 2}"
    a, b, c, d = rng.integers(0x1000, 0xFFFF, 4).tolist()
    return f"{block}:{host:x}:{a:x}:{b:x}:{c:x}:{d:x}"
