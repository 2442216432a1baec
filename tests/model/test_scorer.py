"""A second detection algorithm is one class and one row of `SCORERS`."""

from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import pytest
from numpy.typing import NDArray

from api_anomaly.detector import Detector
from api_anomaly.errors import ModelIncompatible
from api_anomaly.features.extract import extract
from api_anomaly.features.memory import Memory
from api_anomaly.model.bundle import SCORERS, Model
from api_anomaly.model.calibration import TailCurve
from api_anomaly.model.executor import Executor
from api_anomaly.model.fit import Fitted, fit
from api_anomaly.model.scorer import FitOptions, FittedScorer, TrainingData, as_dict
from api_anomaly.storage.keys import SigningKeys
from api_anomaly.storage.manifest import TrainingFacts
from api_anomaly.storage.models import ModelStore
from tests.support.streams import columns, traffic

PAST, LATER = np.split(np.array(traffic(800, users=8)), [600])


@dataclass(frozen=True)
class ZScores:
    """The largest z-score among a row's features."""

    mean: NDArray[np.float64]
    deviation: NDArray[np.float64]
    tail: TailCurve

    @classmethod
    def fit(cls, data: TrainingData, options: FitOptions, executor: Executor) -> FittedScorer:
        rows = data.training_rows.astype(np.float64)
        mean, deviation = rows.mean(axis=0), np.maximum(rows.std(axis=0), 0.05)
        highest = ((rows - mean) / deviation).max(axis=1)
        scorer = cls(mean, deviation, TailCurve.of(highest))
        return FittedScorer(scorer, scorer.evidence(data.rows))

    def evidence(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return self.tail.evidence_of(self.contributions(rows).max(axis=1))

    def contributions(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        return (rows - self.mean) / self.deviation

    def state(self) -> dict[str, Any]:
        tail = as_dict(self.tail)
        return {"mean": self.mean, "deviation": self.deviation, "tail": tail}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        return cls(state["mean"], state["deviation"], TailCurve(**state["tail"]))


@pytest.fixture(params=[("ensemble", "z_scores"), ("z_scores",)], ids="+".join)
def trained(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Fitted:
    """A model of the ensemble with the second algorithm, or of the second one alone."""
    monkeypatch.setitem(SCORERS, "z_scores", ZScores)
    for name in SCORERS.keys() - set(request.param):
        monkeypatch.delitem(SCORERS, name)
    return fit(columns(PAST), FitOptions(trees=10, memory_entities=500, alert_budget=0.01))


def test_every_scorer_of_the_table_is_trained_stored_loaded_and_used(
    trained: Fitted, facts: TrainingFacts, keys: SigningKeys, tmp_path: Path
) -> None:
    store = ModelStore(tmp_path / "isolation_forest.pkl", tmp_path / "scaler.pkl", keys)
    store.save(trained.model, facts, datetime(2026, 1, 1, tzinfo=UTC))
    loaded, _ = store.load()
    assert loaded.scorers.keys() == SCORERS.keys()
    before, after = (
        Detector(model, trained.memory).detect(columns(LATER), threshold=-0.8, remember=False)
        for model in (trained.model, loaded)
    )
    assert np.array_equal(before.scores, after.scores)
    assert before.anomalies == after.anomalies
    assert before.anomalies and all(anomaly.reasons for anomaly in before.anomalies)


def test_the_scorer_with_the_most_evidence_decides_and_explains(trained: Fitted) -> None:
    rows = extract(Memory.empty(500), columns(LATER)).rows
    scorers = list(trained.model.scorers.values())
    evidence = np.array([scorer.evidence(rows) for scorer in scorers])
    contributions = np.array([scorer.contributions(rows) for scorer in scorers])
    expected = contributions[evidence.argmax(axis=0), np.arange(len(rows))]
    assert np.array_equal(trained.model.evidence(rows), evidence.max(axis=0))
    assert np.allclose(trained.model.contributions(rows), expected)


def test_a_model_with_a_scorer_that_this_release_does_not_have_is_refused(trained: Fitted) -> None:
    parts = trained.model.parts()
    parts["isolation_forest"]["scorers"]["another"] = {}
    with pytest.raises(ModelIncompatible, match="Train again"):
        Model.from_parts(parts)
