"""Every number is said in a unit of daily life."""

import math
import re
from collections.abc import Callable

import numpy as np
import pytest

from api_anomaly.explain import wording
from api_anomaly.features.peers import PLAUSIBLE_BITS
from api_anomaly.features.table import FEATURES, NAMES, SINGLE, Feature
from api_anomaly.explain.wording import in_words, sentence, spoken

NAN = math.nan


def said(name: str, value: float, others: float = 0.0, own: float = NAN, pace: float = 0.0) -> str:
    """What a behaviour says of an actor that is not new."""
    return sentence(NAMES.index(name), value, others, own, pace, False, False)


@pytest.mark.parametrize(
    ("say", "value", "text"),
    [
        (wording.count, 312.4, "312"),
        (wording.count, 1.3, "1"),
        (wording.count, 0.21, "0.2"),
        (wording.count, 1e-9, "0"),
        (wording.count, 1_234_567.8, "1,234,568"),
        (wording.plain, 2.46, "2.5"),
        (wording.plain, -0.01, "0"),
        (wording.plain, 10.4, "10"),
        (wording.share, 0.456, "46 %"),
        (wording.deviation, 3.21, "+3.2"),
        (wording.deviation, -3.21, "-3.2"),
        (wording.deviation, -0.01, "0"),
        (wording.rarity, 1.2, "most"),
        (wording.rarity, 4.4, "1 of 4"),
        (wording.rarity, 47.3, "1 of 47"),
        (wording.rarity, 5_482.0, "1 of 5,500"),
        (wording.rarity, 2.0**30, "less than 1 of 1,000,000"),
        (wording.size, 312.0, "312 kB"),
        (wording.size, 4_520.0, "4.5 MB"),
        (wording.size, 12e6, "12 GB"),
        (wording.duration, 4.9, "4.9 s"),
        (wording.duration, 90.0, "1.5 min"),
        (wording.duration, 7_200.0, "2 h"),
        (wording.duration, 86_400.0, "1 day"),
        (wording.hours, 60.0, "2.5 days"),
    ],
)
def test_numbers_are_short_and_plain(say: Callable[[float], str], value: float, text: str) -> None:
    assert say(value) == text


def test_a_sentence_for_the_small_hours() -> None:
    assert said("user_requests_3m", 312.0, 3.0, 4.0, 180.0) == (
        "this user: 312 requests in about 4 minutes; usually 4 for this user, 3 for others"
    )
    assert said("address_denied_3m", 1.0, 0.0, 0.02, 180.0) == (
        "this address: 1 denial (401, 403) in about 4 minutes;"
        " usually 9.6 a day for this address, 0 for others"
    )
    assert said("status_surprise", 512.0, 1.1) == (
        "a status seen in 1 of 510 requests to this endpoint; usually nothing rare"
    )
    assert said("user_peer_surprise_statuses_mean_1h", 500.0, 4.0, 6.0) == (
        "this user: responses seen in 1 of 500 requests of similar clients, over about 90 minutes;"
        " usually 1 of 6 for this user, 1 of 4 for others"
    )
    assert said("user_response_kilobytes_1d", 2_500.0, 0.4) == (
        "this user: 2.5 MB received in about a day and a half; usually 0.4 kB for others"
    )


def test_where_user_and_address_say_the_same_it_is_the_client() -> None:
    place = NAMES.index("address_not_found_1h")
    assert sentence(place, 40.0, 0.0, NAN, 3_600.0, True, True) == (
        "this client: 40 responses not found (404) in about 90 minutes; usually 0 for others as new"
    )


def test_counts_that_round_to_the_same_are_told_to_a_tenth() -> None:
    assert "1.4 new addresses" in said("user_new_addresses_1d", 1.4, 0.8)
    assert said("user_new_addresses_1d", 1.4, 0.8).endswith("usually 0.8 for others")


@pytest.mark.parametrize("row", FEATURES, ids=NAMES)
def test_every_behaviour_has_a_sentence_for_any_number(row: Feature) -> None:
    place = NAMES.index(row.name)
    for value in (0.0, 0.3, 1.0, 2.5, 19.96, 1_234.5):
        text = said(row.name, value, 0.0, 0.25, 0.0)
        assert re.fullmatch(r"[^\[\]{}]+; usually [^;]+", text), text
        assert text.startswith(("this user: ", "this address: ")) == (place < SINGLE)
        assert "bits" not in text and "log s" not in text
        assert wording._SAID[place].say(value) in text
    assert not re.search(r"\b1 (\w+ )?(requests|denials|writes|users|addresses|URLs)\b", text)


@pytest.mark.parametrize(
    ("name", "held", "value"),
    [
        ("user_requests_3m", np.log1p(312.0), 312.0),
        ("user_transition_surprise_mean", 5.0, 32.0),
        ("user_peer_surprise_statuses_mean_1h", 3.0, 2.0 ** (3.0 + PLAUSIBLE_BITS)),
        (
            "user_peer_surprise_statuses_3m",
            np.log1p(2 * (math.log2(100.0) - PLAUSIBLE_BITS)),
            2.0,
        ),
        ("user_interval_spread", 1.0, math.e),
        ("user_client_error_share_1h", 0.25, 0.25),
        ("user_transition_surprise_mean", 1e9, 2.0**40),
    ],
)
def test_values_become_what_a_person_counts(name: str, held: float, value: float) -> None:
    row = np.zeros(len(NAMES), np.float32)
    row[NAMES.index(name)] = held
    assert spoken(row, NAMES.index(name)) == pytest.approx(value, rel=1e-5)


def test_what_is_not_known_stays_unknown() -> None:
    assert all(math.isnan(in_words(NAN, place)) for place in range(len(NAMES)))
