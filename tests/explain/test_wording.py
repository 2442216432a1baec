"""Every number is displayed in a unit of daily life."""

import math
import re
from collections.abc import Callable

import numpy as np
import pytest

from api_anomaly.explain import wording
from api_anomaly.features.peers import PLAUSIBLE_BITS
from api_anomaly.features.table import FEATURES, NAMES, SINGLE, Feature
from api_anomaly.explain.wording import Fact, displayed_value, sentence, to_display

NAN = math.nan


def text_of(
    name: str, value: float, others: float = 0.0, own: float = NAN, pace: float = 0.0
) -> str:
    """The sentence on a feature of an actor that is not new."""
    return sentence(NAMES.index(name), Fact(value, others, own, pace, False, False))


@pytest.mark.parametrize(
    ("format_value", "value", "text"),
    [
        (wording.format_count, 312.4, "312"),
        (wording.format_count, 1.3, "1"),
        (wording.format_count, 0.21, "0.2"),
        (wording.format_count, 1e-9, "0"),
        (wording.format_count, 1_234_567.8, "1,234,568"),
        (wording.format_number, 2.46, "2.5"),
        (wording.format_number, -0.01, "0"),
        (wording.format_number, 10.4, "10"),
        (wording.format_share, 0.456, "46 %"),
        (wording.format_deviation, 3.21, "+3.2"),
        (wording.format_deviation, -3.21, "-3.2"),
        (wording.format_deviation, -0.01, "0"),
        (wording.format_rarity, 1.2, "most"),
        (wording.format_rarity, 4.4, "1 of 4"),
        (wording.format_rarity, 47.3, "1 of 47"),
        (wording.format_rarity, 5_482.0, "1 of 5,500"),
        (wording.format_rarity, 2.0**30, "less than 1 of 1,000,000"),
        (wording.format_size, 312.0, "312 kB"),
        (wording.format_size, 4_520.0, "4.5 MB"),
        (wording.format_size, 12e6, "12 GB"),
        (wording.format_duration, 4.9, "4.9 s"),
        (wording.format_duration, 90.0, "1.5 min"),
        (wording.format_duration, 7_200.0, "2 h"),
        (wording.format_duration, 86_400.0, "1 day"),
        (wording.format_hours, 60.0, "2.5 days"),
    ],
)
def test_numbers_are_short_and_plain(
    format_value: Callable[[float], str], value: float, text: str
) -> None:
    assert format_value(value) == text


def test_sentences() -> None:
    assert text_of("user_requests_3m", 312.0, 3.0, 4.0, 180.0) == (
        "this user: 312 requests in about 4 minutes (usually 4; other clients: 3)"
    )
    assert text_of("address_denied_3m", 1.0, 0.0, 0.02, 180.0) == (
        "this address: 1 denial (401, 403) in about 4 minutes"
        " (usually 9.6 a day; other clients: 0)"
    )
    assert text_of("status_surprise", 512.0, 1.1) == (
        "a status seen in 1 of 510 requests to this endpoint (usually nothing rare)"
    )
    assert text_of("user_peer_surprise_statuses_mean_1h", 500.0, 4.0, 6.0) == (
        "this user: responses seen in 1 of 500 requests of similar clients, over about 90 minutes"
        " (usually 1 of 6; other clients: 1 of 4)"
    )
    assert text_of("user_response_kilobytes_1d", 2_500.0, 0.4) == (
        "this user: 2.5 MB received in about 36 hours (other clients: 0.4 kB)"
    )


def test_equal_values_of_user_and_address_are_the_clients() -> None:
    column = NAMES.index("address_not_found_1h")
    assert sentence(column, Fact(40.0, 0.0, NAN, 3_600.0, True, True)) == (
        "this client: 40 responses not found (404) in about 90 minutes (other new clients: 0)"
    )


def test_counts_that_round_to_the_same_number_have_one_decimal() -> None:
    assert "1.4 new addresses" in text_of("user_new_addresses_1d", 1.4, 0.8)
    assert text_of("user_new_addresses_1d", 1.4, 0.8).endswith("(other clients: 0.8)")


@pytest.mark.parametrize("row", FEATURES, ids=NAMES)
def test_every_feature_has_a_sentence_for_any_number(row: Feature) -> None:
    column = NAMES.index(row.name)
    for value in (0.0, 0.3, 1.0, 2.5, 19.96, 1_234.5):
        text = text_of(row.name, value, 0.0, 0.25, 0.0)
        assert re.fullmatch(r"[^\[\]{}]+ \((usually|other clients:) [^()]+\)", text), text
        assert text.startswith(("this user: ", "this address: ")) == (column < SINGLE)
        assert "bits" not in text and "log s" not in text
        assert wording._PHRASES[column].format_value(value) in text
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
    assert displayed_value(row, NAMES.index(name)) == pytest.approx(value, rel=1e-5)


def test_what_is_not_known_stays_unknown() -> None:
    assert all(math.isnan(to_display(NAN, column)) for column in range(len(NAMES)))
