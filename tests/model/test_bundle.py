"""Evidence: the ranker decides, and how rare a log is counts where the ranker cannot tell."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_anomaly.features.extract import extract
from api_anomaly.detector import FitOptions, fit
from api_anomaly.features.memory import Memory
from api_anomaly.model.bundle import odds_of_abuse
from tests.support.streams import columns, traffic

log_odds = st.floats(-12.0, 12.0)
evidence = st.floats(0.0, 15.0)


def raised(odds: float, rare: float) -> float:
    """The log-odds of abuse of one log."""
    several = np.array([odds])
    odds_of_abuse(several, np.array([rare]))
    return float(several[0])


def test_evidence_is_what_its_definition_says() -> None:
    model = fit(columns(traffic(1_200, users=8)), FitOptions(trees=10, memory_entities=500)).model
    rows = extract(Memory.empty(500), columns(traffic(300, users=9))).rows
    assert model.classifier is not None and model.abuse is not None
    rare = model.rarity.evidence_of(model.forest.suspicion(rows))
    odds = [
        math.log(math.exp(one) + 0.01 * math.exp(0.1 * seldom))
        for one, seldom in zip(model.classifier.log_odds(rows), rare, strict=True)
    ]
    assert model.evidence(rows) == pytest.approx(model.abuse.evidence_of(np.array(odds)), rel=1e-9)
    assert model.abuse.value[0] > math.log(0.01)  # the history's odds were raised too


@given(log_odds, evidence)
def test_no_log_is_less_suspect_for_being_rare_or_less_than_the_ranker_says(
    odds: float, rare: float
) -> None:
    assert raised(odds, rare) >= odds
    assert raised(odds, rare + 1.0) > raised(odds, rare)


@given(log_odds, log_odds, evidence)
def test_of_two_logs_alike_in_rarity_the_ranker_says_which_is_worse(
    one: float, other: float, rare: float
) -> None:
    low, high = sorted((one, other))
    assert raised(low, rare) <= raised(high, rare) + 1e-12


def test_rarity_ranks_those_of_whom_the_ranker_can_tell_nothing() -> None:
    assert raised(-9.0, 3.0) > raised(-8.5, 1.0)


def test_however_rare_a_log_is_it_does_not_pass_one_that_is_as_likely_abuse_as_not() -> None:
    assert raised(-6.0, 40.0) < raised(0.0, 0.0)
