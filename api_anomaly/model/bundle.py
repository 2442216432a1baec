"""What a training leaves behind: everything that scoring needs besides the memory.

Evidence (see `scorer`; higher is more anomalous) becomes the API's `anomaly_score` here:
scikit-learn's ``score_samples`` scale in [-1, 0), lower is more anomalous.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from api_anomaly.errors import ModelIncompatible
from api_anomaly.features.table import NAMES, SCHEMA
from api_anomaly.kernels import kernel
from api_anomaly.model.calibration import Calibration, TailCurve
from api_anomaly.model.ensemble import Ensemble
from api_anomaly.model.peer_baseline import PeerBaseline
from api_anomaly.model.scorer import Scorer, as_dict

#: The detection algorithms by the name under which a model keeps them. All are trained.
SCORERS: dict[str, type[Scorer]] = {"ensemble": Ensemble}
#: Evidence of the median log.
NEUTRAL = float(np.log(2.0))


@dataclass(frozen=True)
class Model:
    """Trained `scorers` (one or more) and what was measured with them.

    The evidence of a log is the highest that a scorer has; `calibration` is that of this evidence.
    """

    scorers: Mapping[str, Scorer]
    calibration: Calibration
    peer_baseline: PeerBaseline
    #: When the last label that was learned was given, in Unix seconds.
    labels_until: float = -np.inf

    feature_schema = SCHEMA
    feature_count = len(NAMES)

    @cached_property
    def threshold(self) -> float:
        """The model's own threshold as an anomaly score."""
        return float(to_score(np.array([self.calibration.threshold()]))[0])

    @property
    def alert_budget(self) -> float:
        """False alarms per ordinary log that the threshold was set for."""
        return self.calibration.budget

    def evidence(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Evidence (n,) >= 0 of feature rows (n, d)."""
        first, *others = self.scorers.values()
        evidence = first.evidence(rows)
        for scorer in others:
            np.maximum(evidence, scorer.evidence(rows), out=evidence)
        return evidence

    def contributions(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Evidence (n, d) that each feature adds, by the scorer with the most evidence."""
        scorers = list(self.scorers.values())
        highest = np.argmax([scorer.evidence(rows) for scorer in scorers], axis=0)
        added = np.zeros(rows.shape)
        for index, scorer in enumerate(scorers):
            chosen = highest == index
            if chosen.any():
                added[chosen] = scorer.contributions(rows[chosen])
        return added

    def parts(self) -> dict[str, dict[str, Any]]:
        """The model as dicts of arrays and numbers, one for each of its files."""
        return {
            "isolation_forest": {
                "schema": SCHEMA,
                "scorers": {name: scorer.state() for name, scorer in self.scorers.items()},
                "calibration": as_dict(self.calibration),
                "labels_until": self.labels_until,
            },
            "scaler": {"schema": SCHEMA, "peer_baseline": as_dict(self.peer_baseline)},
        }

    @classmethod
    def from_parts(cls, parts: dict[str, dict[str, Any]]) -> Self:
        """The model back from `parts`.

        Raises ModelIncompatible for other features, scorers or parts than this release has.
        """
        try:
            main, scaler = parts["isolation_forest"], parts["scaler"]
            if main["schema"] != SCHEMA or scaler["schema"] != SCHEMA:
                raise ModelIncompatible(
                    "The model was trained on other features than this release has. Train again."
                )
            scorers = {
                name: SCORERS[name].from_state(state) for name, state in main["scorers"].items()
            }
            calibration = main["calibration"]
            return cls(
                scorers,
                Calibration(TailCurve(**calibration["curve"]), calibration["budget"]),
                PeerBaseline(**scaler["peer_baseline"]),
                main["labels_until"],
            )
        except (KeyError, TypeError) as error:
            raise ModelIncompatible(
                "The model's parts are not those of this release. Train again."
            ) from error


def to_score(evidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evidence (n,) as anomaly scores (n,) in [-1, 0), lower is more anomalous.

    The median log has an evidence of about ln 2 and so a score of -0.5, the neutral point of
    scikit-learn's scale.
    """
    scores = np.empty(len(evidence))
    _to_scores(evidence, scores)
    return scores


@kernel
def _to_scores(evidence: NDArray[np.float64], scores: NDArray[np.float64]) -> None:
    for i in range(len(evidence)):
        share = evidence[i] / (evidence[i] + NEUTRAL)
        scores[i] = -min(1.0, max(1e-9, share))
