"""Small sets that forget: was this item seen recently? A few fixed words each.

Each set is a Bloom filter (Bloom, "Space/time trade-offs in hash coding with allowable errors",
1970) with two bits an item, kept twice: the current generation takes new items; when half its bits
are set it becomes the previous one and an empty one begins. The set contains an item that either
generation holds. A set of 2 x 128 bits remembers about the last 44 to 88 distinct items.

A new item is taken for one that was seen with probability at most 1/4 + 1/4, on average about 0.3.
An item that was seen is never taken for a new one unless it was forgotten.
"""

import numpy as np
from numpy.typing import NDArray

from api_anomaly.kernels import kernel

#: Shape (2, words); the current generation first.
ItemSet = NDArray[np.uint64]

_WORD_BITS = np.uint64(64)
_ONE = np.uint64(1)


@kernel
def contains(items: ItemSet, key: np.uint64) -> bool:
    bits = np.uint64(items.shape[1]) * _WORD_BITS
    first, second = key % bits, (key >> np.uint64(32)) % bits
    for generation in range(2):
        if _has(items, generation, first) and _has(items, generation, second):
            return True
    return False


@kernel
def add(items: ItemSet, key: np.uint64) -> None:
    """Put `key` into the current generation; begin a new one when half its bits are set."""
    words = items.shape[1]
    bits = np.uint64(words) * _WORD_BITS
    for bit in (key % bits, (key >> np.uint64(32)) % bits):
        items[0, bit // _WORD_BITS] |= _ONE << (bit % _WORD_BITS)
    filled = np.uint64(0)
    for word in range(words):
        filled += _count_ones(items[0, word])
    if filled * 2 >= words * 64:
        for word in range(words):
            items[1, word] = items[0, word]
            items[0, word] = np.uint64(0)


@kernel
def _has(items: ItemSet, generation: int, bit: np.uint64) -> bool:
    word: np.uint64 = items[generation, bit // _WORD_BITS]
    return bool((word >> (bit % _WORD_BITS)) & _ONE)


@kernel
def _count_ones(word: np.uint64) -> np.uint64:
    """Number of set bits (Warren, Hacker's Delight, section 5-1)."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + (
        (word >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)
