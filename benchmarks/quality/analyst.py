"""Our model with verdicts: what an analyst's first 20, 40 or 100 are worth.

The protocol, the same for every data set, with no choice in it and no chance:

1. A first model learns from the earlier `LEARNT` of the training part, as out of the box.
2. It scores the rest of the training part. The analyst looks through these logs from the most to
   the least anomalous and gives a verdict on each user's (without one: each address's) worst log,
   and on no other of that user: a false positive or a true positive, as the label says. Logs
   without a label are passed over. After 20, 40 or 100 verdicts the analyst goes home.
3. The product's model learns from the whole training part and from the verdicts, as a training
   does in the product, and hears the verdicts while it scores the test part.

So every verdict is older than every log that is judged, and no label of the test part is used. The
verdicts are not chosen: where the training part holds no attacks, all of them are false positives,
and where the first model is right they tell it nothing new.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from api_anomaly.features.extract import extract
from api_anomaly.detector import Detector, FitOptions, fit
from api_anomaly.feedback.rescoring import Feedback
from api_anomaly.feedback.labels import LABEL, labels_of
from benchmarks.quality.datasets import UNKNOWN, Dataset, Floats

LEARNT = 0.6  # of the training part, before the analyst looks at what follows
VERDICTS = (20, 40, 100)


class Analyst:
    """One analyst for all rows of a table: the verdicts are made once for a data set."""

    def __init__(self, budget: float) -> None:
        self._options = FitOptions(alert_budget=budget)
        self._data: Dataset | None = None
        self._labels = np.zeros(0, LABEL)

    def scores(self, data: Dataset, verdicts: int) -> tuple[Floats, float]:
        """Scores on the wire's scale of the test part after that many verdicts, and the threshold
        that our model has."""
        if self._data is not data:
            self._labels = labels(data, self._options, max(VERDICTS))
            self._data = data
        adjusted = self._labels[:verdicts]
        model, memory, _ = fit(data.training, self._options, labels=adjusted)
        feedback = Feedback.of(model, adjusted) if len(adjusted) else None
        found = Detector(model, memory, feedback).observe(data.test, threshold=-1.0)
        return found.scores, model.threshold


def labels(data: Dataset, options: FitOptions, most: int) -> npt.NDArray[Any]:
    """What an analyst says of the later training part: at most `most` lessons, the log that was
    judged first first."""
    cut = max(1, round(LEARNT * data.cut))
    early = data.columns.take(np.arange(cut))
    late = data.columns.take(np.arange(cut, data.cut))
    model, memory, _ = fit(early, options)
    seen = extract(memory, late, remember=False)
    evidence = model.evidence(seen.rows)
    label = data.label[cut : data.cut]
    known = np.flatnonzero(label != UNKNOWN)
    order = known[np.argsort(-evidence[known], kind="stable")]
    worst = np.sort(np.unique(seen.keys[order, 0], return_index=True)[1])
    judged = order[worst[:most]]
    found = labels_of(seen.rows[judged], seen.keys[judged], late.time[judged])
    found["hostile"] = label[judged] == 1
    return found
