"""The table of behaviours: names, units, and words that read well with any number."""

import re

import numpy as np
import pytest

from api_anomaly.features.table import (
    ADDRESS,
    FEATURES,
    COUNT,
    NAMES,
    PLAIN,
    SCHEMA,
    SINGLE,
    USER,
    Feature,
    in_units,
)


def test_every_behaviour_has_its_own_name_a_unit_a_family_and_a_meaning() -> None:
    assert len(set(NAMES)) == len(FEATURES)
    for row in FEATURES:
        assert all(text and "{" not in text for text in row[:5]), row.name
        assert row.kind in (COUNT, PLAIN)


def test_the_actors_rows_stand_twice() -> None:
    assert (USER, ADDRESS, SINGLE) == (0, len(NAMES[USER:ADDRESS]), 2 * len(NAMES[USER:ADDRESS]))
    counterparts = {"user_new_addresses_1d": "user_new_users_1d"}
    assert [counterparts.get(name, name).removeprefix("user_") for name in NAMES[USER:ADDRESS]] == [
        name.removeprefix("address_") for name in NAMES[ADDRESS:SINGLE]
    ]


@pytest.mark.parametrize("row", FEATURES, ids=NAMES)
def test_words_hold_the_value_once_and_nothing_else_to_fill_in(row: Feature) -> None:
    before, after = row.words.split("{value}")
    assert re.fullmatch(r"[a-zA-Z0-9 ',().-]*", before)
    assert re.fullmatch(r"[a-zA-Z0-9 ',().-]*(\[e?s\])?[a-zA-Z0-9 ',().-]*", after)


def test_a_schema_is_the_tables_digest() -> None:
    assert re.fullmatch("[0-9a-f]{16}", SCHEMA)


def test_rows_read_in_units_are_counts_again() -> None:
    counted = np.array([row.kind == COUNT for row in FEATURES])
    values = np.linspace(0.5, 500.0, len(FEATURES))
    held = np.where(counted, np.log1p(values), values).astype(np.float32)
    assert in_units(held) == pytest.approx(values, rel=1e-5)
    assert in_units(np.stack([held, held])).shape == (2, len(FEATURES))
