"""What a training leaves behind: all that scoring needs besides the memory.

This is where evidence (inside: higher is more anomalous) becomes the wire's `anomaly_score`
(scikit-learn's ``score_samples`` scale: in [-1, 0), lower is more anomalous).
"""

from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from api_anomaly.kernels import kernel
from api_anomaly.features.table import NAMES, SCHEMA
from api_anomaly.model.calibration import Calibration, TailCurve, interpolate
from api_anomaly.model.forest import Forest
from api_anomaly.model.classifier import AbuseClassifier
from api_anomaly.model.peer_baseline import PeerBaseline
from api_anomaly.model.trees import Trees
from api_anomaly.model.tree_walk import add_up
from api_anomaly.errors import ModelIncompatible

NEUTRAL = float(np.log(2.0))  # evidence of the median log
#: Odds of abuse of one in a hundred: below, they rank what is alike to the ranker by its noise.
_UNDECIDED = float(np.log(0.01))
_RARITY_WEIGHT = 0.1  # log-odds of the undecided for each unit of evidence of being rare
_EXPLAINED_BY = 10_000  # training rows, evenly spread: enough for the means at the trees' nodes


@dataclass(frozen=True)
class Model:
    """All that scoring needs besides the memory.

    The evidence against a log is -ln of the tail probability, in the team's own traffic, of its
    `odds_of_abuse`; where there was nothing to rehearse on (`classifier` and `abuse` are None),
    of how
    rare its behaviours are.
    """

    forest: Forest
    rarity: TailCurve
    classifier: AbuseClassifier | None
    abuse: TailCurve | None
    calibration: Calibration
    peer_baseline: PeerBaseline
    #: When the last verdict was given that the training learnt from, in Unix seconds.
    labels_until: float = -np.inf

    feature_schema = SCHEMA
    feature_count = len(NAMES)

    @cached_property
    def threshold(self) -> float:
        """The model's own threshold on the wire's scale."""
        return float(to_score(np.array([self.calibration.threshold()]))[0])

    @property
    def alert_budget(self) -> float:
        """False alarms per ordinary log that the threshold was set for."""
        return self.calibration.budget

    def evidence(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Evidence (n,) >= 0 against behaviours (n, d)."""
        rare = np.empty(len(rows))
        if self.classifier is None or self.abuse is None:
            _rare(*self._rarely, rows, rare)
            return rare
        evidence = np.empty(len(rows))
        _both(*self._rarely, *self._hostilely, rows, rare, evidence)
        return evidence

    def evidence_from(
        self, rarely: NDArray[np.float64], hostilely: NDArray[np.float64] | None
    ) -> NDArray[np.float64]:
        """`evidence` (n,), to the last bit, of rows whose sums (n,) over the trees of the forest
        and, where there is one, of the ranker are known."""
        rare = rarely.copy()
        _rarity_from_sums(*self._rarely[4:], rare)
        if self.classifier is None or self.abuse is None or hostilely is None:
            return rare
        evidence = hostilely.copy()
        _against(*self._hostilely[4:], rare, evidence)
        return evidence

    @cached_property
    def _rarely(self) -> tuple[Any, ...]:
        whole = len(self.forest.trees.roots) * self.forest.usual_path
        return *self.forest.trees.paths, whole, *self.rarity

    @cached_property
    def _hostilely(self) -> tuple[Any, ...]:
        if self.classifier is None or self.abuse is None:
            return ()
        return *self.classifier.trees.paths, self.classifier.baseline, *self.abuse

    def contributions(self, rows: NDArray[np.float32]) -> NDArray[np.float64]:
        """Evidence that each behaviour of n rows adds, (n, d), against what training rows have.

        Of the forest and of the ranker each in the units of its own ladder, so that rarity and
        hostility weigh the same: it says why a log stands out, not how far. About 5 microseconds a
        row.
        """
        added = np.zeros(rows.shape)
        path = len(self.forest.trees.roots) * max(self.forest.usual_path, 1.0)
        steep = self.rarity.slope * np.log(2.0) / path
        self.forest.trees.contribute(rows, -steep * self.forest.suspicion(rows), added)
        if self.classifier is not None and self.abuse is not None:
            slopes = np.full(len(rows), self.abuse.slope)
            self.classifier.trees.contribute(rows, slopes, added)
        return added

    def explainable(self, rows: NDArray[np.float32]) -> Self:
        """The same model, which knows what the training rows (n, d) have: see `contributions`."""
        # Contiguous, else the kernel would be compiled a second time.
        some = np.ascontiguousarray(rows[:: 1 + len(rows) // _EXPLAINED_BY])
        classifier = self.classifier
        return replace(
            self,
            forest=self.forest._replace(trees=self.forest.trees.expecting(some)),
            classifier=classifier and classifier._replace(trees=classifier.trees.expecting(some)),
        )

    def parts(self) -> dict[str, dict[str, Any]]:
        """The model as plain dicts of arrays and numbers, one for each file that keeps it."""
        forest = {
            "schema": SCHEMA,
            "forest": plain(self.forest),
            "rarity": plain(self.rarity),
            "classifier": plain(self.classifier),
            "abuse": plain(self.abuse),
            "calibration": plain(self.calibration),
            "labels_until": self.labels_until,
        }
        return {
            "isolation_forest": forest,
            "scaler": {"schema": SCHEMA, "scaler": plain(self.peer_baseline)},
        }

    @classmethod
    def from_parts(cls, parts: dict[str, dict[str, Any]]) -> Self:
        """The model back from `parts`.

        Raises ModelIncompatible for parts of another release's behaviours.
        """
        try:
            forest, peer_baseline = parts["isolation_forest"], parts["scaler"]
            if forest["schema"] != SCHEMA or peer_baseline["schema"] != SCHEMA:
                raise ModelIncompatible(
                    "The model was trained on other behaviours than this release has. Train again."
                )
            classifier, abuse = forest["classifier"], forest["abuse"]
            return cls(
                Forest(Trees(**forest["forest"]["trees"]), forest["forest"]["usual_path"]),
                TailCurve(**forest["rarity"]),
                classifier
                and AbuseClassifier(Trees(**classifier["trees"]), classifier["baseline"]),
                abuse and TailCurve(**abuse),
                Calibration(
                    TailCurve(**forest["calibration"]["curve"]), forest["calibration"]["budget"]
                ),
                PeerBaseline(**peer_baseline["scaler"]),
                forest["labels_until"],
            )
        except (KeyError, TypeError) as error:
            raise ModelIncompatible(
                "The model's parts are not those of this release. Train again."
            ) from error


@kernel
def _rare(  # type: ignore[no-untyped-def]
    nodes, value, roots, depths, whole, quantile, height, slope, rows, rare
):
    """What ``rarity.evidence_of(forest.suspicion(rows))`` gives, into rare (n,)."""
    add_up(nodes, value, roots, depths, rows, rare)
    _rarity_from_sums(whole, quantile, height, slope, rare)


@kernel
def _rarity_from_sums(whole, quantile, height, slope, rare):  # type: ignore[no-untyped-def]
    """From sums over the forest's trees in rare (n,) to how rare that is."""
    for row in range(len(rare)):
        rare[row] = 0.5 if whole == 0.0 else np.exp2(-rare[row] / whole)
    interpolate(quantile, height, slope, rare, rare)


@kernel
def _both(  # type: ignore[no-untyped-def]
    nodes, value, roots, depths, whole, quantile, height, slope,
    nodes2, value2, roots2, depths2, baseline, rung2, height2, slope2,
    rows, rare, evidence,
):  # fmt: skip
    """The evidence of both kinds of trees into evidence (n,); `rare` (n,) is for its work.

    In one call, because for a single log calls would cost more than walks.
    """
    _rare(nodes, value, roots, depths, whole, quantile, height, slope, rows, rare)
    add_up(nodes2, value2, roots2, depths2, rows, evidence)
    _against(baseline, rung2, height2, slope2, rare, evidence)


@kernel
def _against(baseline, quantile, height, slope, rare, evidence):  # type: ignore[no-untyped-def]
    """Evidence (n,) in place of the sums over the ranker's trees; `rare` as for `odds_of_abuse`."""
    for row in range(len(evidence)):
        evidence[row] += baseline
    odds_of_abuse(evidence, rare)
    interpolate(quantile, height, slope, evidence, evidence)


@kernel
def odds_of_abuse(odds, rare):  # type: ignore[no-untyped-def]
    """The ranker's log-odds in odds (n,), raised where they say next to nothing by how `rare` (n,)
    the behaviours are.

    Abuse is what a team is woken for. A weighted mean of both, which was here before, let what is
    only rare displace what is hostile: with attacks in the history, 0.1 % of false positives found
    77 instead of 82 % of ten simulations' attackers.
    """
    for row in range(len(odds)):
        odds[row] = np.logaddexp(odds[row], _UNDECIDED + _RARITY_WEIGHT * rare[row])


def plain(value: Any) -> Any:
    """Trees and named tuples as plain dicts, all the way down."""
    if isinstance(value, Trees):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if hasattr(value, "_asdict"):
        return {name: plain(part) for name, part in value._asdict().items()}
    return value


def to_score(evidence: NDArray[np.float64]) -> NDArray[np.float64]:
    """Evidence (n,) as scores of the wire: in [-1, 0), lower is more anomalous.

    The median log has an evidence of about ln 2, and so -0.5: the neutral point of scikit-learn's
    scale.
    """
    scores = np.empty(len(evidence))
    _to_scores(evidence, scores)
    return scores


@kernel
def _to_scores(evidence, scores):  # type: ignore[no-untyped-def]
    for row in range(len(evidence)):
        share = evidence[row] / (evidence[row] + NEUTRAL)
        scores[row] = -min(1.0, max(1e-9, share))
