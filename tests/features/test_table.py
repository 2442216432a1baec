"""The feature table: names, units, columns, and words that read well with any number."""

import re

import numpy as np
import pytest

from api_anomaly.features.table import (
    ADDRESS,
    FEATURES,
    IS_LOG1P,
    LINEAR,
    LOG1P,
    NAMES,
    SCHEMA,
    SINGLE,
    USER,
    A,
    F,
    Feature,
    to_units,
)


def test_every_feature_has_its_own_name_a_unit_a_family_and_a_meaning() -> None:
    assert len(set(NAMES)) == len(FEATURES)
    for row in FEATURES:
        assert all(text and "{" not in text for text in row[:5]), row.name
        assert row.scale in (LOG1P, LINEAR)


def test_members_are_the_columns_of_their_features() -> None:
    assert [NAMES[column] for column in F] == [row.name for row in F]
    assert (USER, ADDRESS, SINGLE) == (0, len(A), len(NAMES) - len(F))
    for base, who, counterparts in ((USER, "user", "addresses"), (ADDRESS, "address", "users")):
        names = [f"{who}_{row.name}".replace("counterparts", counterparts) for row in A]
        assert [NAMES[base + row] for row in A] == names


@pytest.mark.parametrize("row", FEATURES, ids=NAMES)
def test_words_hold_the_value_once_and_nothing_else_to_fill_in(row: Feature) -> None:
    before, after = row.words.split("{value}")
    assert re.fullmatch(r"[a-zA-Z0-9 ',().-]*", before)
    assert re.fullmatch(r"[a-zA-Z0-9 ',().-]*(\[e?s\])?[a-zA-Z0-9 ',().-]*", after)


def test_the_schema_is_a_digest() -> None:
    assert re.fullmatch("[0-9a-f]{16}", SCHEMA)


def test_rows_are_converted_to_units() -> None:
    values = np.linspace(0.5, 500.0, len(FEATURES))
    held = np.where(IS_LOG1P, np.log1p(values), values).astype(np.float32)
    assert to_units(held) == pytest.approx(values, rel=1e-5)
    assert to_units(np.stack([held, held])).shape == (2, len(FEATURES))
