"""Small sets that forget: has this entity met this item lately? In a few fixed words, ageing by
generations.

Each set is a Bloom filter (Bloom, 1970) with two bits an item, kept twice: the current generation
takes new items; when half its bits are set it becomes the previous one and a fresh one begins. An
item is known when either holds it. So a set of 2 x 128 bits remembers about the last 44 to 88
distinct items; a new item is mistaken for a known one with probability at most 1/4 + 1/4, on
average about 0.3. It answers "known" wrongly, never "new" wrongly, except for what was forgotten.
"""

import numpy as np

from api_anomaly.kernels import kernel

_WORD = np.uint64(64)
_ONE = np.uint64(1)


@kernel
def known(sets, item):  # type: ignore[no-untyped-def]
    """Whether `sets` (2, words) of uint64, current generation first, holds the key `item`."""
    bits = np.uint64(sets.shape[1]) * _WORD
    first, second = item % bits, (item >> np.uint64(32)) % bits
    for generation in range(2):
        if _has(sets, generation, first) and _has(sets, generation, second):
            return True
    return False


@kernel
def add(sets, item):  # type: ignore[no-untyped-def]
    """Put `item` into the current generation; begin a new one when half its bits are set."""
    words = sets.shape[1]
    bits = np.uint64(words) * _WORD
    for bit in (item % bits, (item >> np.uint64(32)) % bits):
        sets[0, bit // _WORD] |= _ONE << (bit % _WORD)
    filled = 0
    for word in range(words):
        filled += _ones(sets[0, word])
    if filled * 2 >= words * 64:
        for word in range(words):
            sets[1, word] = sets[0, word]
            sets[0, word] = np.uint64(0)


@kernel
def _has(sets, generation, bit):  # type: ignore[no-untyped-def]
    return (sets[generation, bit // _WORD] >> (bit % _WORD)) & _ONE != np.uint64(0)


@kernel
def _ones(word):  # type: ignore[no-untyped-def]
    """Number of set bits (Hacker's Delight, 5-2)."""
    word = word - ((word >> np.uint64(1)) & np.uint64(0x5555555555555555))
    word = (word & np.uint64(0x3333333333333333)) + (
        (word >> np.uint64(2)) & np.uint64(0x3333333333333333)
    )
    word = (word + (word >> np.uint64(4))) & np.uint64(0x0F0F0F0F0F0F0F0F)
    return (word * np.uint64(0x0101010101010101)) >> np.uint64(56)
