"""Evidence of the ensemble: the classifier decides; rarity counts where it is undecided."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api_anomaly.features.extract import extract
from api_anomaly.model.fit import fit
from api_anomaly.model.scorer import FitOptions
from api_anomaly.features.memory import Memory
from api_anomaly.model.ensemble import Ensemble, add_rarity
from tests.support.streams import columns, traffic

log_odds = st.floats(-12.0, 12.0)
evidence = st.floats(0.0, 15.0)


def raised(odds: float, rarity: float) -> float:
    """The log-odds of abuse of one log."""
    result = np.array([odds])
    add_rarity(result, np.array([rarity]))
    return float(result[0])


def test_evidence_is_what_its_definition_says() -> None:
    model = fit(columns(traffic(1_200, users=8)), FitOptions(trees=10, memory_entities=500)).model
    rows = extract(Memory.empty(500), columns(traffic(300, users=9))).rows
    scorer = model.scorers["ensemble"]
    assert isinstance(scorer, Ensemble)
    assert scorer.classifier is not None and scorer.abuse is not None
    rarity = scorer.rarity.evidence_of(scorer.forest.isolation_scores(rows))
    odds = [
        math.log(math.exp(one) + 0.01 * math.exp(0.1 * rare))
        for one, rare in zip(scorer.classifier.log_odds(rows), rarity, strict=True)
    ]
    assert model.evidence(rows) == pytest.approx(scorer.abuse.evidence_of(np.array(odds)), rel=1e-9)
    assert scorer.abuse.value[0] > math.log(0.01)  # the history's odds were raised too


@given(log_odds, evidence)
def test_rarity_never_lowers_the_classifiers_log_odds(odds: float, rare: float) -> None:
    assert raised(odds, rare) >= odds
    assert raised(odds, rare + 1.0) > raised(odds, rare)


@given(log_odds, log_odds, evidence)
def test_the_classifier_ranks_logs_of_equal_rarity(one: float, other: float, rare: float) -> None:
    low, high = sorted((one, other))
    assert raised(low, rare) <= raised(high, rare) + 1e-12


def test_rarity_ranks_logs_on_which_the_classifier_is_undecided() -> None:
    assert raised(-9.0, 3.0) > raised(-8.5, 1.0)


def test_a_rare_log_stays_below_one_with_an_even_chance_of_abuse() -> None:
    assert raised(-6.0, 40.0) < raised(0.0, 0.0)
