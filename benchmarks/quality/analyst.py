"""Our model with the first 20, 40 or 100 verdicts of an analyst.

The protocol is the same for every data set and has no choice or randomness:

1. A first model is trained with the defaults on the earlier `FIRST_SHARE` of the training part.
2. It scores the rest of the training part. The analyst reads these logs from the most to the least
   anomalous and gives one verdict for each user (else address), on its most anomalous log: false
   positive or true positive, as the label says. Logs without a label are skipped.
3. The model is trained on the whole training part and on the verdicts, as the service does, and
   uses the verdicts while it scores the test part.

So every verdict is older than every log that is counted, and no label of the test part is used.
Where the training part holds no attacks, all verdicts are false positives.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from api_anomaly.feedback.training_labels import LabelRecords
from api_anomaly.features.extract import extract
from api_anomaly.detector import Detector
from api_anomaly.model.fit import fit
from api_anomaly.model.scorer import FitOptions
from api_anomaly.feedback.rescoring import Rescoring
from api_anomaly.feedback.labels import LABEL, build_labels
from benchmarks.quality.datasets import UNKNOWN, Dataset, Floats

FIRST_SHARE = 0.6  # of the training part, before the logs that the analyst reads
VERDICTS = (20, 40, 100)


class Analyst:
    """One analyst for all contenders: the verdicts are given once for each data set."""

    def __init__(self, budget: float) -> None:
        self._options = FitOptions(alert_budget=budget)
        self._data: Dataset | None = None
        self._labels = np.zeros(0, LABEL)

    def scores(self, data: Dataset, verdicts: int) -> tuple[Floats, float]:
        """Scores of the test part with that many verdicts, and the model's threshold, both as
        published (lower = more anomalous).
        """
        if self._data is not data:
            self._labels = labels(data, self._options, max(VERDICTS))
            self._data = data
        given = self._labels[:verdicts]
        model, memory, _ = fit(data.training, self._options, labels=LabelRecords(given))
        rescoring = Rescoring.of(model, given) if len(given) else None
        detections = Detector(model, memory, rescoring).detect(data.test, threshold=-1.0)
        return detections.scores, model.threshold


def labels(data: Dataset, options: FitOptions, most: int) -> npt.NDArray[Any]:
    """At most `most` labels on the later training part, in the order in which they are given."""
    cut = max(1, round(FIRST_SHARE * data.cut))
    early = data.columns.take(np.arange(cut))
    later = data.columns.take(np.arange(cut, data.cut))
    model, memory, _ = fit(early, options)
    seen = extract(memory, later, remember=False)
    evidence = model.evidence(seen.rows)
    label = data.label[cut : data.cut]
    labelled = np.flatnonzero(label != UNKNOWN)
    order = labelled[np.argsort(-evidence[labelled], kind="stable")]
    first_of_each = np.sort(np.unique(seen.keys[order, 0], return_index=True)[1])
    rows = order[first_of_each[:most]]
    given = build_labels(seen.rows[rows], seen.keys[rows], later.time[rows])
    given["hostile"] = label[rows] == 1
    return given
