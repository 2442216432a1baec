"""Sets that forget never take a seen item for a new one, and rarely a new one for a seen one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from api_anomaly.features.sketches import add, contains

SMALL, LARGE = 1, 2


def empty_set(words: int) -> np.ndarray:
    return np.zeros((2, words), np.uint64)


def add_new(sets: np.ndarray, item: int) -> bool:
    """Whether `item` was new; now it is in the set."""
    new = not contains(sets, np.uint64(item))
    if new:
        add(sets, np.uint64(item))
    return new


def filled(sets: np.ndarray) -> list[int]:
    return [sum(int(word).bit_count() for word in generation) for generation in sets]


@given(st.sampled_from((SMALL, LARGE)), st.lists(st.integers(0, 2**64 - 1), max_size=300))
@settings(max_examples=60)
def test_an_item_stays_until_a_whole_generation_has_passed(words: int, items: list[int]) -> None:
    sets = empty_set(words)
    current: list[int] = []
    previous: list[int] = []
    for item in items:
        if add_new(sets, item):
            current.append(item)
        if filled(sets)[0] == 0 and current:
            current, previous = [], current
        assert all(contains(sets, np.uint64(item)) for item in current + previous)


@pytest.mark.parametrize(("words", "least"), [(SMALL, 16), (LARGE, 32)])
def test_a_generation_holds_at_least_a_quarter_of_its_bits_in_items(words: int, least: int) -> None:
    chance = np.random.default_rng(words)
    for _ in range(50):
        sets, count = empty_set(words), 0
        while filled(sets)[1] == 0:
            add(sets, chance.integers(2**64, dtype=np.uint64))
            count += 1
        assert count >= least
        assert max(filled(sets)) <= 32 * words + 1


@pytest.mark.parametrize("words", [SMALL, LARGE])
def test_a_new_item_is_taken_for_a_seen_one_in_three_of_ten_cases_and_never_above_half(
    words: int,
) -> None:
    chance = np.random.default_rng(words)
    items = chance.integers(2**64, size=6_000, dtype=np.uint64)
    sets = empty_set(words)
    wrong = np.array([not add_new(sets, item) for item in items])
    assert not wrong[:3].any()
    assert wrong[500:].mean() == pytest.approx(0.3, abs=0.05)
    fullest = empty_set(words)  # half the bits of each generation, and not the same
    fullest[0], fullest[1] = np.uint64(0x5555555555555555), np.uint64(0xAAAAAAAAAAAAAAAA)
    probes = chance.integers(2**64, size=4_000, dtype=np.uint64)
    assert np.mean([contains(fullest, probe) for probe in probes]) == pytest.approx(0.5, abs=0.03)


def test_an_empty_set_contains_nothing() -> None:
    chance = np.random.default_rng(0)
    assert not any(
        contains(empty_set(LARGE), item)
        for item in chance.integers(2**64, size=99, dtype=np.uint64)
    )
